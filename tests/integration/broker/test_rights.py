"""A cluster that allows each user exactly what `deploy/strimzi/users.yaml` says: the chart's hook, the services, the operators' commands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from services.chassis.clock import system_clock
from services.chassis.kafka.intervention import LaneOperator, Repair
from services.chassis.kafka.producer import DurableProducer
from services.chassis.topics import TOPICS
from services.cli.lane_table import LANES
from services.cli.local.stack import EXAMPLE
from services.cli.local.workspace import SERVICES
from tests.architecture.deployed import CHART, containers, environment, workloads
from tests.architecture.documented_commands import Documented, path_of, written
from tests.architecture.guide import PAGES, RUNBOOKS, blocks_by
from tests.fixtures import one_interaction
from tests.fixtures.guarded_installation import (
    HOOK,
    LANE_OPERATOR,
    OPERATOR,
    ROOT,
    TRANSACTION_OPERATOR,
    Installation,
    until,
)

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]

DOCUMENTS = (RUNBOOKS, *PAGES, ROOT / "docs/upgrading.md")
POISONED = (
    "inbound.v1",
    "outbound.v1",
    "routing.commands.v1",
    "routing.events.v1",
    "feedback.commands.v1",
    "sla.webhooks.v1",
    "feedback.webhooks.v1",
)
"""The topics that lanes and consumers read from other services: each reader sets a record aside that it cannot read."""


async def test_an_interaction_is_completed_and_measured(installation: Installation) -> None:
    """From web chat to an agent and back, targets met, survey answered and counted, history written: each service has only
    the rights of its own user."""
    assert one_interaction.REPLY in installation.received

    def chapar(*words: str) -> Any:
        return json.loads(installation.chapar(OPERATOR, *words, "--json"))

    name = installation.completed()["interaction_id"]
    services = {entry["service"] for entry in chapar("interactions", "show", name)["story"]}
    assert services >= {"router", "sla"}
    assert {deadline["state"] for deadline in chapar("sla", "show", name)} == {"DEADLINE_STATE_MET"}
    await until(lambda: [each for each in chapar("scores", "--by", "queue") if each.get("estimate", {}).get("n")])


async def test_unreadable_records_become_dead_letters_that_an_operator_replays(installation: Installation) -> None:
    """Every reader may write dead letters; an operator lists, shows and replays them."""
    async with DurableProducer(installation.guarded.own, client_id="vandal") as vandal:
        for topic in POISONED:
            await vandal.publish(topic, b"poison", b"\xff\xff\xff")

    def letters() -> Any:
        found = json.loads(installation.chapar(OPERATOR, "deadletters", "list", "--json"))
        return found if {each["origin_topic"] for each in found} >= set(POISONED) else None

    found = await until(letters)
    first = {each["origin_topic"]: each["id"] for each in found}
    assert "UNDECODABLE" in installation.chapar(OPERATOR, "deadletters", "show", first["inbound.v1"])
    installation.chapar(OPERATOR, "deadletters", "replay", *first.values(), "--yes")
    again = await until(lambda: [each for each in letters() or () if each["id"] not in {f["id"] for f in found}])
    assert again


USERS: Final[Mapping[tuple[str, ...], str]] = {
    ("topics", "apply"): HOOK,
    ("deadletters", "skip"): LANE_OPERATOR,
    ("lanes",): LANE_OPERATOR,
    ("upgrade",): LANE_OPERATOR,
    ("transactions",): TRANSACTION_OPERATOR,
}
"""The users of commands, or groups of commands, that `chapar-operator` may not run. The pages say so."""
COMPLETED: Final[Mapping[str, tuple[str, ...]]] = {
    "config apply": ("config apply EXAMPLE",),
    "config diff": ("config diff VERSION",),
    "config lint": ("config lint EXAMPLE",),
    "config rollback": ("config rollback VERSION",),
    "deadletters replay": ("deadletters replay ID",),
    "replay --state /var/lib/chapar/replay --save /var/lib/chapar/replay": (
        "replay --capture STATE",
        "replay --state STATE --save STATE",
    ),
    "deadletters skip": ("deadletters skip LANE PARTITION OFFSET",),
    "lanes rebuild": ("lanes rebuild sla PARTITION",),
    "lanes reset": ("lanes reset LANE PARTITION --to end",),
    "run": (),  # starts a machine of its own: tests/integration/guide
    "simulate": ("simulate record ARRIVALS",),
    "size": ("size --interactions-per-s 10",),
    "token revoke": ("token revoke --agent ID --reason lost-laptop",),
}
"""The commands that a person runs where a page only names a command, or names files of a pod."""
BESIDES: Final = ("audit", "config show", "interactions list", "sla backlog", "topics diff --check")
"""Commands of operators that these pages do not show."""
CODES: Final[Mapping[tuple[str, ...], Sequence[int]]] = {
    ("persons", "erase"): (0, 2),  # before all of its work is done
    # Refused, because the lane works and has passed the record: see test_an_operator_decides_about_partitions.
    ("deadletters", "skip"): (1,),
    ("lanes", "rebuild"): (1,),
    ("lanes", "reset"): (1,),
}
"""Exit codes of commands that do not end with 0 here."""
LAST: Final = ("persons", "erase")
"""Nothing about the person can be shown afterwards."""


def _documented() -> list[Documented]:
    """Return the commands of the runbooks and of the operators' page, each once."""
    found = [each for path in DOCUMENTS for each in written(path.read_text(encoding="utf-8"))]
    unique = {str(each): each for each in found}
    return sorted(unique.values(), key=lambda each: path_of(each.words) == LAST)


def _filled(words: Sequence[str], values: Mapping[tuple[str, str], str]) -> list[str]:
    """Return the words with values for what a page writes in capitals. Raises KeyError for a word that the test has no value for."""
    group = words[0]
    return [values[group, word] if word.isupper() and word.isalpha() else word for word in words]


async def test_every_command_of_the_runbooks_works_for_its_user(installation: Installation, tmp_path: Path) -> None:
    """The documented variables are enough, and the rights of the manifests. Each command is run as the page writes it, with values for
    the words in capitals: a command or a word that this test does not know fails it."""
    completed = installation.completed()
    interaction = str(completed["interaction_id"])
    values = {
        ("config", "EXAMPLE"): str(_changed_example(tmp_path)),
        ("config", "TENANT"): "demo",
        ("config", "VERSION"): "1",
        ("deadletters", "LANE"): "router",
        ("deadletters", "OFFSET"): "0",
        ("deadletters", "PARTITION"): "0",
        ("deadletters", "ID"): await _a_dead_letter(installation),
        ("explain", "INTERACTION"): interaction,
        ("interactions", "ID"): interaction,
        ("lanes", "LANE"): "router",
        ("lanes", "OFFSET"): "0",
        ("lanes", "PARTITION"): "0",
        ("persons", "ID"): "the-same-erasure",
        ("persons", "PERSON"): str(completed["person_id"]),
        ("replay", "STATE"): str(tmp_path / "state"),
        ("simulate", "ARRIVALS"): str(tmp_path / "arrivals.csv"),
        ("sla", "QUEUE"): "sales",
        ("token", "ID"): "no-agent-of-this-name",
        ("transactions", "PARTITION"): "0",
        ("transactions", "TOPIC"): "chapar.inbound.v1",
    }
    shown = [*BESIDES, *map(str, _documented())]
    assert COMPLETED.keys() <= {*shown}, "COMPLETED has commands that no page names"
    blocks = [shlex.split(text, comments=True)[1:] for block in blocks_by("acl-check") for text in block.commands()]
    assert {shlex.join(words) for words in blocks} <= {*shown}, "a block of the guide is not run"
    texts = dict.fromkeys(text for each in shown for text in COMPLETED.get(each, (each,)))
    for words in [_filled(shlex.split(text), values) for text in texts]:
        path = path_of(words)
        user = USERS.get(path) or USERS.get(path[:1]) or OPERATOR
        installation.chapar(user, *words, codes=CODES.get(path, (0,)))


def _changed_example(folder: Path) -> Path:
    """Return a file with another content than the one in force, so that applying it writes a version, and a rollback another one."""
    text = EXAMPLE.read_text(encoding="utf-8")
    assert text.count("first_contact_window: 7d") == 1
    file = folder / "changed.yaml"
    file.write_text(text.replace("first_contact_window: 7d", "first_contact_window: 6d"), encoding="utf-8")
    return file


async def _a_dead_letter(installation: Installation) -> str:
    """Return the id of a dead letter, made here when there is none."""

    def first() -> str:
        found = json.loads(installation.chapar(OPERATOR, "deadletters", "list", "--json"))
        return str(found[0]["id"]) if found else ""

    if not first():
        async with DurableProducer(installation.guarded.own, client_id="vandal") as vandal:
            await vandal.publish(POISONED[0], b"poison", b"\xff\xff\xff")
    return str(await until(first))


async def test_an_operator_decides_about_partitions(installation: Installation) -> None:
    """Of each lane: its claim is read, its owner is found and fenced, the decision is written, and an owner takes over again.
    The record to skip is one that will never come."""

    def chapar(*words: str, codes: Sequence[int] = (0,)) -> str:
        return installation.chapar(LANE_OPERATOR, *words, "--yes", "--json", codes=codes)

    def states(*lane: str) -> set[tuple[str, str]]:
        found = json.loads(installation.chapar(LANE_OPERATOR, "lanes", "list", *lane, "--json"))
        return {(each["lane"], each["state"]) for each in found}

    assert states() == {(lane, "works") for lane in LANES}
    chapar("lanes", "reset", "router", "0", "--to", "end", codes=(1,))
    for lane in LANES:
        async with LaneOperator(
            installation.guarded.settings(LANE_OPERATOR), LANES[lane], clock=system_clock
        ) as operator:
            before = await operator.decide(0, lambda situation: Repair(skips=(situation.input.end + 1_000_000,)))
            assert before.works
    await until(lambda: states("sla") == {("sla", "works")})


def test_no_service_met_a_right_that_it_lacks(installation: Installation) -> None:
    """After all tests above: a client that is refused logs the refusal."""
    for name, log in installation.logs().items():
        assert "Authorization" not in log, f"{name}: {[line for line in log.splitlines() if 'Authorization' in line]}"


def test_the_chart_gives_each_pod_its_user(installation: Installation) -> None:
    """Services, hook and toolbox have the users and the variables with which the tests above run."""
    seen = set()
    for workload in workloads(CHART / "rendered/minimal.yaml"):
        for container in containers(workload):
            if workload["kind"] == "Pod":
                continue  # the chart's test, which does not use Kafka
            given = environment(container)
            user = given["KAFKA_SASL_USERNAME"]
            tested = installation.guarded.environment(user)
            kafka = {name for name in given if name.startswith("KAFKA_") or name == "CHAPAR_TOPIC_PREFIX"}
            assert kafka - {"KAFKA_SSL_CAFILE"} == tested.keys(), container["name"]
            assert user == (HOOK if workload["kind"] == "Job" else f"chapar-{container['name']}")
            seen.add(user)
    assert seen == {HOOK, *(f"chapar-{service}" for service in SERVICES)}


def test_the_manifests_name_topics_of_the_table() -> None:
    """The poisoned topics exist."""
    assert TOPICS.keys() >= set(POISONED)
