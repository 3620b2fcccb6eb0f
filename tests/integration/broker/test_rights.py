"""A cluster that allows each user exactly what `deploy/strimzi/users.yaml` says: the chart's hook, the services, the operators' commands."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from services.chassis.clock import system_clock
from services.chassis.kafka.intervention import LaneOperator, Repair
from services.chassis.kafka.producer import DurableProducer
from services.chassis.topics import TOPICS
from services.cli.connection import token_for
from services.cli.lane_table import LANES
from services.cli.local.stack import EXAMPLE, Stack, StackOptions, running_stack
from services.cli.local.workspace import SERVICES, Workspace
from tests.fixtures.guarded_broker import GuardedKafka

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[3]
DOCUMENTS = (ROOT / "deploy/runbooks/README.md", ROOT / "docs/operating.md")
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


@dataclass(frozen=True)
class Installation:
    """The running services, and the access of operators to them."""

    guarded: GuardedKafka
    stack: Stack
    workspace: Workspace
    elsewhere: Path
    """A home in which nothing runs, as in a pod."""
    told: list[str] = field(default_factory=list)
    """The texts that the customer of the one interaction received; every test finds that interaction completed."""

    def completed(self) -> str:
        """Return the id of that interaction."""
        found = json.loads(self.chapar("chapar-operator", "interactions", "list", "--state", "completed", "--json"))
        return str(found[0]["interaction_id"]) if found else ""

    def chapar(self, user: str, *words: str, codes: Sequence[int] = (0,)) -> str:
        """Run a command on a machine where no service runs: it knows only the documented variables."""
        endpoints = self.stack.running.endpoints
        environment = {
            **_bare(),
            **self.guarded.environment(user),
            "CHAPAR_HOME": str(self.elsewhere),
            "CHAPAR_TENANT": "demo",
            "CHAPAR_TOKEN": token_for(self.workspace, "demo"),
            **{f"CHAPAR_ADDRESS_{service.upper()}": endpoints[service]["grpc"] for service in SERVICES},
        }
        return _chapar(environment, *words, codes=codes)

    def logs(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.workspace.directory("logs").glob("*.log")}


def _bare() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("CHAPAR_", "KAFKA_"))}


def _chapar(environment: Mapping[str, str], *words: str, codes: Sequence[int] = (0,)) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", *words],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode in codes, f"{words}: {done.stdout}{done.stderr}"
    assert "Authorization" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installation(guarded: GuardedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Run the hook first, with its own user; then the services, each with its own user."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    hook = {**_bare(), **guarded.environment("chapar-apply"), "CHAPAR_HOME": str(elsewhere)}
    assert "chapar.inbound.v1" in _chapar(hook, "topics", "apply")
    assert "version 1" in _chapar(hook, "config", "apply", str(EXAMPLE))
    assert "nothing changed" in _chapar(hook, "topics", "apply")

    workspace = Workspace(tmp_path_factory.mktemp("home"))
    options = StackOptions(of_service={name: guarded.environment(f"chapar-{name}") for name in SERVICES})
    started: list[Stack | BaseException] = []
    ready, stop = threading.Event(), threading.Event()

    async def run() -> None:
        try:
            async with running_stack(workspace, options, lambda _: None) as stack:
                started.append(stack)
                ready.set()
                await asyncio.to_thread(stop.wait)
        except BaseException as error:
            started.append(error)
            raise
        finally:
            ready.set()

    with pytest.MonkeyPatch.context() as patch:
        # The process that starts all of them has the rights of the hook.
        for name, value in guarded.environment("chapar-apply").items():
            patch.setenv(name, value)
        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        ready.wait(120)
    try:
        (stack,) = started
        assert isinstance(stack, Stack), stack
        made = Installation(guarded, stack, workspace, elsewhere)
        made.told.extend(asyncio.run(_an_interaction(made)))
        yield made
    finally:
        stop.set()
        thread.join(60)


async def _until(look: Callable[[], Any], seconds: float = 60) -> Any:
    """Return the first result that is not empty."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not (found := await asyncio.to_thread(look)):
        assert loop.time() < end, "it did not come"
        await asyncio.sleep(0.1)
    return found


async def _an_interaction(installation: Installation) -> list[str]:
    """Play web chat, agent and answered survey; return the texts that reached the customer. The interaction is in the history then."""
    running = installation.stack.running
    url = f"ws://{running.endpoints['ingest']['http']}/v1/demo/webchat/main/ws"
    desk = asyncio.to_thread(_desk, installation)
    async with websockets.connect(url) as socket:
        await socket.send(json.dumps({"type": "hello", "name": "مینا"}))
        await socket.send(json.dumps({"type": "message", "id": str(uuid.uuid4()), "text": "سلام، قیمت چند است؟"}))
        answering = asyncio.create_task(desk)
        texts: list[str] = []
        async with asyncio.timeout(90):
            while not any("http" in text for text in texts):
                texts.append(json.loads(await socket.recv()).get("text", ""))
        await answering
    link = next(found[0] for text in texts if (found := re.search(r"http://\S+", text)))
    async with httpx.AsyncClient() as browser:
        assert (await browser.post(link, data={"score": "5", "comment": "خیلی خوب"})).status_code == 200
    await _until(installation.completed)
    return texts


async def test_an_interaction_is_completed_and_measured(installation: Installation) -> None:
    """From web chat to an agent and back, targets met, survey answered and counted, history written: each service has only
    the rights of its own user."""
    assert "سلام، ۱۰۰ تومان" in installation.told

    def chapar(*words: str) -> Any:
        return json.loads(installation.chapar("chapar-operator", *words, "--json"))

    name = installation.completed()
    services = {entry["service"] for entry in chapar("interactions", "show", name)["story"]}
    assert services >= {"router", "sla"}
    assert {deadline["state"] for deadline in chapar("sla", "show", name)} == {"DEADLINE_STATE_MET"}
    await _until(lambda: [each for each in chapar("scores", "--by", "queue") if each.get("estimate", {}).get("n")])


def _desk(installation: Installation) -> None:
    environment = {**_bare(), "CHAPAR_HOME": str(installation.workspace.home)}
    words = [sys.executable, "-m", "services.cli", "agents", "desk", "sara", "--auto-reply", "سلام، ۱۰۰ تومان"]
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as desk:
        late = threading.Timer(80, desk.kill)
        late.start()
        try:
            assert desk.stdout is not None
            assert any("done:" in line for line in desk.stdout), "no work came to the desk"
        finally:
            late.cancel()
            desk.terminate()


async def test_unreadable_records_become_dead_letters_that_an_operator_replays(installation: Installation) -> None:
    """Every reader may write dead letters; an operator lists, shows and replays them."""
    async with DurableProducer(installation.guarded.own, client_id="vandal") as vandal:
        for topic in POISONED:
            await vandal.publish(topic, b"poison", b"\xff\xff\xff")

    def letters() -> Any:
        found = json.loads(installation.chapar("chapar-operator", "deadletters", "list", "--json"))
        return found if {each["origin_topic"] for each in found} >= set(POISONED) else None

    found = await _until(letters)
    first = {each["origin_topic"]: each["id"] for each in found}
    assert "UNDECODABLE" in installation.chapar("chapar-operator", "deadletters", "show", first["inbound.v1"])
    installation.chapar("chapar-operator", "deadletters", "replay", *first.values(), "--yes")
    again = await _until(lambda: [each for each in letters() or () if each["id"] not in {f["id"] for f in found}])
    assert again


COMMANDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "config lint": (("config", "lint", str(EXAMPLE)),),
    "config apply": (("config", "apply", str(EXAMPLE)),),
    "deadletters list": (("deadletters", "list"),),
    "deadletters show": (("deadletters", "list"),),  # with an id: see the test above
    "deadletters replay": (("deadletters", "list"),),
    "deadletters skip": (("deadletters", "list"),),  # see the test below
    "explain": (("explain", "{interaction}"),),
    "lanes list": (("lanes", "list"),),
    "lanes rebuild": (("lanes", "list", "sla"),),  # refused while the lane works: see the test below
    "lanes reset": (("lanes", "list", "router"),),
    "interactions show": (("interactions", "show", "{interaction}"),),
    "interactions list": (("interactions", "list"),),
    "queues": (("queues",),),
    "replay": (
        ("replay", "--capture", "{file}"),
        ("replay", "--state", "{file}", "--save", "{file}"),
    ),
    "scores": (("scores", "--by", "queue", "--window", "day", "--trend"), ("scores", "--by", "category")),
    "simulate": (("simulate", "record", "{csv}"),),
    "sla at-risk": (("sla", "at-risk"), ("sla", "at-risk", "--likeliest", "--queue", "sales")),
    "token revoke": (("token", "revoke", "--agent", "nobody-there", "--reason", "lost laptop"),),
    "token revoked": (("token", "revoked"),),
    "topics apply": (("topics", "diff", "--check"),),  # only the hook applies; an operator sees the differences
    "config show": (("config", "show"),),
    "topics diff": (("topics", "diff"),),
}


def _documented() -> set[str]:
    """Return the commands that the runbooks and the operator's page name."""
    words = re.findall(r"`chapar ([a-z-]+(?: [a-z-]+)?)", "\n".join(path.read_text() for path in DOCUMENTS))
    return {word if word in COMMANDS else word.split()[0] for word in words}


def test_every_command_of_the_runbooks_works_for_an_operator(installation: Installation, tmp_path: Path) -> None:
    """The documented variables are enough. A command that a page names and this test does not know fails the test."""
    assert sorted(_documented() - COMMANDS.keys()) == []
    places = {
        "interaction": installation.completed(),
        "file": str(tmp_path / "state"),
        "csv": str(tmp_path / "arrivals.csv"),
    }
    for variants in COMMANDS.values():
        for words in variants:
            user = "chapar-lanes" if words[0] == "lanes" else "chapar-operator"
            installation.chapar(user, *(word.format(**places) for word in words))


async def test_an_operator_decides_about_partitions(installation: Installation) -> None:
    """Of each lane: its claim is read, its owner is found and fenced, the decision is written, and an owner takes over again.
    The record to skip is one that will never come."""

    def chapar(*words: str, codes: Sequence[int] = (0,)) -> str:
        return installation.chapar("chapar-lanes", *words, "--yes", "--json", codes=codes)

    def state() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for each in json.loads(installation.chapar("chapar-lanes", "lanes", "list", "--json")):
            found.setdefault(each["lane"], set()).add(each["state"])
        return found

    assert state() == {lane: {"works"} for lane in LANES}
    for lane in LANES:
        chapar("lanes", "reset", lane, "0", "--to", "end", codes=(1,))
        async with LaneOperator(
            installation.guarded.settings("chapar-lanes"), LANES[lane], clock=system_clock
        ) as operator:
            before = await operator.decide(0, lambda situation: Repair(skips=(situation.input.end + 1_000_000,)))
            assert before.works
    await _until(lambda: state() == {lane: {"works"} for lane in LANES})


def test_no_service_met_a_right_that_it_lacks(installation: Installation) -> None:
    """After all tests above: a client that is refused logs the refusal."""
    for name, log in installation.logs().items():
        assert "Authorization" not in log, f"{name}: {[line for line in log.splitlines() if 'Authorization' in line]}"


def test_the_manifests_name_topics_of_the_table() -> None:
    """The poisoned topics exist."""
    assert TOPICS.keys() >= set(POISONED)
