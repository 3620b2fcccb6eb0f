"""Strimzi's manifests match the table of topics and the topics that the services' code names."""

import re
import runpy
import subprocess
import sys

import pytest

from services.chassis.topics import TOPICS
from services.feedback.wiring import topics as feedback_topics
from services.ingest.settings import IngestSettings
from services.ingest.wiring import topics as ingest_topics
from services.router.wiring import TOPICS as ROUTER_TOPICS
from services.sla.settings import SlaSettings
from services.sla.wiring import topics as sla_topics
from tests.architecture.deployed import DEPLOY, ROOT, SETTINGS, yaml_documents


def test_strimzi_manifests_are_generated_from_the_table() -> None:
    """Topics have three replicas and the partitions and settings of services/chassis/topics.py; users have their rights."""
    run = subprocess.run(
        [sys.executable, "deploy/strimzi/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    named = [d["spec"]["topicName"] for d in yaml_documents(DEPLOY / "strimzi/topics.yaml")]
    assert sorted(named) == sorted(f"chapar.{name}" for name in TOPICS)


@pytest.mark.parametrize("service", SETTINGS)
def test_a_services_user_may_touch_the_topics_that_its_code_names(service: str) -> None:
    """Without the right to a topic, a service stops at its first record on a secured cluster."""
    rights = runpy.run_path(str(DEPLOY / "strimzi/generate.py"))["RIGHTS"][service]
    literal = re.compile(r'"((?:[a-z-]+\.)+v1)"')
    named = {
        name
        for file in (ROOT / "services" / service).rglob("*.py")
        if file.name != "erasure.py"  # its report names topics that other services read
        for name in literal.findall(file.read_text(encoding="utf-8"))
        if name in TOPICS
    }
    assert named - {*rights.reads, *rights.writes} == set()
    assert {*rights.reads, *rights.writes} <= TOPICS.keys()


@pytest.mark.parametrize("service", SETTINGS)
def test_groups_of_a_service_start_with_its_name(service: str) -> None:
    """The users' rights on groups and transactional ids use this prefix."""
    group = re.compile(r'(?:\b_?(?:group|GROUP)(?:: Final)?\s*=\s*|(?:Lane|Relay)Spec\()"([^"]+)"')
    files = (ROOT / "services" / service).rglob("*.py")
    found = [name for file in files for name in group.findall(file.read_text(encoding="utf-8"))]
    assert found
    assert [name for name in found if not name.startswith(service)] == []


_AWAITED = {
    "ingest": lambda: ingest_topics(IngestSettings.model_construct(role="all", history=True)),
    "router": lambda: set(ROUTER_TOPICS),
    "sla": lambda: sla_topics(SlaSettings.model_construct(lanes=True)),
    "feedback": lambda: feedback_topics(("edge", "dispatcher", "lanes", "analytics")),
}


@pytest.mark.parametrize("service", SETTINGS)
def test_a_start_waits_for_every_topic_that_the_service_may_touch(service: str) -> None:
    """If the list lacked a topic, a process that reports ready would fail at the first record that needs the topic."""
    manifests = runpy.run_path(str(DEPLOY / "strimzi/generate.py"))
    rights = manifests["RIGHTS"][service]
    assert _AWAITED[service]() == {*rights.reads, *rights.writes, *manifests["EVERY_SERVICE"]}
