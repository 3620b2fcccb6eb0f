"""Strimzi's manifests fit the table of topics and what the services' code names."""

import re
import runpy
import subprocess
import sys

import pytest

from services.chassis.topics import TOPICS
from tests.architecture.deployed import DEPLOY, ROOT, SETTINGS, yaml_documents


def test_strimzi_manifests_are_drawn_from_the_table() -> None:
    """Topics with three replicas, counts and settings of services/chassis/topics.py; users with their rights."""
    run = subprocess.run(
        [sys.executable, "deploy/strimzi/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    named = [d["spec"]["topicName"] for d in yaml_documents(DEPLOY / "strimzi/topics.yaml")]
    assert sorted(named) == sorted(f"chapar.{name}" for name in TOPICS)


@pytest.mark.parametrize("service", SETTINGS)
def test_a_services_user_may_touch_the_topics_that_its_code_names(service: str) -> None:
    """A topic in the code without a right is a service that stops at its first record on a secured cluster."""
    rights = runpy.run_path(str(DEPLOY / "strimzi/generate.py"))["RIGHTS"][service]
    literal = re.compile(r'"((?:[a-z-]+\.)+v1)"')
    named = {
        name
        for file in (ROOT / "services" / service).rglob("*.py")
        if file.name != "erasure.py"  # its report names topics that others read
        for name in literal.findall(file.read_text(encoding="utf-8"))
        if name in TOPICS
    }
    assert named - {*rights.reads, *rights.writes} == set()
    assert {*rights.reads, *rights.writes} <= TOPICS.keys()


@pytest.mark.parametrize("service", SETTINGS)
def test_groups_of_a_service_start_with_its_name(service: str) -> None:
    """The users' rights on groups and transactional ids are by that prefix."""
    group = re.compile(r'(?:\b_?(?:group|GROUP)(?:: Final)?\s*=\s*|LaneSpec\()"([^"]+)"')
    files = (ROOT / "services" / service).rglob("*.py")
    found = [name for file in files for name in group.findall(file.read_text(encoding="utf-8"))]
    assert found
    assert [name for name in found if not name.startswith(service)] == []
