"""Each kind of parser is fuzzed for two seconds in every run, and the fuzzers find planted faults."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import command
from tests.fuzz.one import with_hypothesis
from tests.fuzz.targets import KINDS, feed_of, seeds_of
from tests.hostile.registry import BY_NAME, ENTRIES


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_moment_of_fuzzing_finds_nothing(tmp_path: Path) -> None:
    """Two seconds of fuzzing find no fault in any kind; `make fuzz SECONDS=600` searches longer."""
    done = subprocess.run(command(KINDS, 2, tmp_path), capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    assert [line for line in done.stdout.splitlines() if line.startswith("fuzzed ")] == [
        f"fuzzed {kind}: 0" for kind in KINDS
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kept_input_is_taken(kind: str) -> None:
    """The corpus has each input that once broke a parser; each parser of its kind is tried with it."""
    feed = feed_of(kind)
    for seed in seeds_of(kind):
        feed(seed)


@pytest.mark.parametrize("name", BY_NAME)
@settings(max_examples=60)
@given(raw=st.binary(max_size=500) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_an_answer_or_a_refusal(name: str, raw: bytes) -> None:
    """For any bytes, a function in the registry returns or refuses; it raises no other exception."""
    entry = BY_NAME[name]
    entry.feed(entry.given(raw))


def test_every_kind_of_input_is_fuzzed() -> None:
    """Each kind of input in the registry has a fuzzing process; without one, its entries would be left out."""
    assert {entry.inputs for entry in ENTRIES} <= set(KINDS)


def test_without_atheris_hypothesis_finds_a_planted_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness can fail: it finds a parser that fails at a byte of its corpus."""

    def broken(data: bytes) -> None:
        assert b"\x7fX" not in data

    monkeypatch.setattr("tests.fuzz.targets.feed_of", lambda kind: broken)
    monkeypatch.setattr("tests.fuzz.targets.seeds_of", lambda kind: [b"seed\x7f", b"X"])
    with pytest.raises(AssertionError):
        with_hypothesis("texts", 20)


def test_a_process_finds_a_planted_fault(tmp_path: Path) -> None:
    """A fuzzing process finds a planted fault too, guided by coverage where atheris is installed."""
    program = "from tests.fuzz import one, targets\ntargets.feed_of = lambda kind: (lambda data: 1 / (len(data) < 3))\none.main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "20", str(tmp_path), "bytes"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr + done.stdout
