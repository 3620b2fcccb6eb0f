"""The first steps in the README: start Chapar, send a message with the printed curl command, reply to it from a second terminal."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
CHAPAR = (sys.executable, "-m", "services.cli")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run `chapar run` in its own home, ready, until the module ends."""
    home = tmp_path_factory.mktemp("home")
    values = {name: value for name, value in os.environ.items() if not name.startswith(("CHAPAR_", "KAFKA_"))}
    values |= {"CHAPAR_HOME": str(home)}
    if cache := os.environ.get("CHAPAR_CACHE_DIR"):
        values["CHAPAR_CACHE_DIR"] = cache
    with subprocess.Popen(
        [*CHAPAR, "run", "--json"], cwd=ROOT, env=values, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["ready_s"] > 0
            yield values
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def asked(environment: dict[str, str], *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CHAPAR, *words],
        cwd=ROOT,
        env=environment,
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def chapar(environment: dict[str, str], *words: str, typed: str = "") -> str:
    done = asked(environment, *words, typed=typed)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_first_message_gets_a_reply_and_its_story_is_shown(environment: dict[str, str]) -> None:
    """The printed curl command is accepted unchanged; an agent at a desk gets the interaction; the story shows every step."""
    words = shlex.split(chapar(environment, "send", "--curl", "سلام، قیمت چاپار چند است؟"))
    headers = dict(word.split(": ", 1) for word in (words[i + 1] for i, w in enumerate(words) if w == "-H"))
    url = next(word for word in words if word.startswith("http://"))
    answer = httpx.post(url, headers=headers, content=words[words.index("--data-binary") + 1].encode())
    assert answer.status_code == 200, answer.text
    assert httpx.post(url, headers=headers, content=b"{}").status_code == 401

    words = [*CHAPAR, "agents", "desk", "sara", "--auto-reply", "سلام، ۱۰۰ تومان"]
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as desk:
        try:
            assert desk.stdout is not None
            assert any("done:" in line for line in desk.stdout)
        finally:
            desk.terminate()

    (interaction,) = until_told(environment)
    story = json.loads(chapar(environment, "interactions", "show", interaction, "--json"))
    kinds = [entry["kind"] for entry in story["story"]]
    for station in (
        "InteractionQueued",
        "InteractionOffered",
        "InteractionAssigned",
        "AgentReplied",
        "InteractionCompleted",
    ):
        assert station in kinds
    # The last step of the README: the interaction is closed, and its decisions can still be explained.
    assert "sara had it" in chapar(environment, "explain", interaction)
    explained = json.loads(chapar(environment, "explain", interaction, "--json"))
    assert (explained["state"], explained["agent_id"]) == ("completed", "sara")
    assert explained["considered"] > 0
    # Any id that the customer's system or `send` was shown finds it.
    for name in (*answer.json()["accepted"], headers["webhook-id"]):
        assert (
            json.loads(chapar(environment, "explain", name, "--json"))["interaction"]["interaction_id"] == interaction
        )
    deadlines = json.loads(chapar(environment, "sla", "show", interaction, "--json"))
    assert {d["state"] for d in deadlines} == {"DEADLINE_STATE_MET"}

    assert read_by(environment, interaction) >= {"operator"}
    erase(environment, story["interaction"]["person_id"])


def erase(environment: dict[str, str], person: str) -> None:
    """Show the person of the story, then erase them. Check the commands of an operator, their exit codes, and the report."""
    (identity,) = json.loads(chapar(environment, "persons", "show", person, "--json"))["identities"]
    assert identity["native_id"]
    words = ("persons", "erase", person, "--json", "--key", "gone")
    assert asked(environment, *words).returncode == 1  # the command asks for confirmation; nothing is typed
    done = asked(environment, *words, "--yes")
    for _ in range(10):
        if done.returncode != 2:  # 2: a store has not answered yet
            break
        done = asked(environment, *words, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["idempotency_key"] == "gone"
    assert report["complete"] is True
    assert report["identity_ids"] == [identity["identity_id"]]
    stores = {store["store"]: store["counts"] for store in report["stores"]}
    assert stores.keys() >= {"intake", "sender", "feedback"}
    assert any(name.startswith("history@") and counts for name, counts in stores.items())
    assert {"inbound.v1", "personal.keys.v1"} <= {topic["topic"] for topic in report["topics"]}
    left = asked(environment, "persons", "show", person, "--json")
    assert identity["native_id"] not in left.stdout
    unknown = asked(environment, "persons", "erase", "no-such-person", "--yes", "--json")
    assert (unknown.returncode, unknown.stderr.partition(":")[0]) == (1, "UNKNOWN_PERSON")


def read_by(environment: dict[str, str], interaction: str) -> set[str]:
    """Return the subjects who read the interaction, from the audit log; repeat until the log's table has them."""
    for _ in range(30):
        found = json.loads(chapar(environment, "audit", interaction, "--kind", "interaction", "--json"))
        readers = {each["subject"] for each in found if each["outcome"] == "AUDIT_OUTCOME_RETURNED"}
        if readers:
            return readers
        time.sleep(0.5)  # the table lags behind the topic
    raise AssertionError("the audit log has no reader of the interaction")


def until_told(environment: dict[str, str]) -> list[str]:
    """Return the ids of completed interactions, once history has them."""
    for _ in range(30):
        found = json.loads(chapar(environment, "interactions", "list", "--state", "completed", "--json"))
        if found:
            return [each["interaction_id"] for each in found]
    raise AssertionError("history never had a completed interaction")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_an_unknown_interaction_is_not_explained(environment: dict[str, str]) -> None:
    """The error is one sentence, with exit code 1."""
    done = subprocess.run(
        [*CHAPAR, "explain", "no-such-id"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("UNKNOWN_INTERACTION: ")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_second_run_in_the_same_home_is_refused(environment: dict[str, str]) -> None:
    """The error is one sentence with what to do, and the first run continues."""
    done = subprocess.run(
        [*CHAPAR, "run"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "ALREADY_RUNS" in done.stderr
    assert chapar(environment, "queues", "--json").startswith("[")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_default_load_of_loadgen_is_acknowledged(environment: dict[str, str]) -> None:
    """The load lasts longer than any burst; exit code 0 means that no good message was refused."""
    told = json.loads(chapar(environment, "loadgen", "--seconds", "5", "--json"))
    assert told["statuses"]["good 200"] > 200
