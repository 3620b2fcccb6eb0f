"""Work on text and bytes from outside is linear in them, and what runs on the event loop holds it for a moment only."""

from collections.abc import Callable, Mapping

import pytest

from tests.hostile.documents import DOCUMENTS
from tests.hostile.mails import MAILS
from tests.hostile.pace import Fault, faults_of
from tests.hostile.registry import BY_NAME, Entry
from tests.hostile.texts import TEXTS

LARGEST = {"texts": 1 << 20, "bytes": 1 << 20, "documents": 256 << 10, "mails": 256 << 10}


def inputs_of(entry: Entry) -> Mapping[str, Callable[[int], str | bytes]]:
    """The hostile inputs of an entry, by kind."""
    if entry.inputs == "mails":
        return MAILS
    if entry.inputs == "documents":
        return DOCUMENTS
    if entry.inputs == "texts":
        return TEXTS
    return {name: _encoded(make) for name, make in TEXTS.items()}


def _encoded(make: Callable[[int], str]) -> Callable[[int], bytes]:
    return lambda size: make(size // 4).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("name", BY_NAME)
def test_work_is_linear_for_every_kind_of_hostile_input(name: str) -> None:
    """Four times the input takes about four times the CPU at most, at every size up to what can arrive."""
    entry = BY_NAME[name]
    found: list[Fault] = []
    for kind, make in inputs_of(entry).items():
        found += faults_of(entry, kind, make, LARGEST[entry.inputs])
    assert found == []


def quadratic(raw: bytes) -> None:
    """Looks at each byte once for each byte before it, in C."""
    for end in range(0, len(raw), 64):
        raw[:end].count(b"\x00")


def slow(raw: bytes) -> None:
    """Linear, and far too slow for an event loop."""
    for byte in raw:
        sum(range(byte))


@pytest.mark.parametrize(("work", "what"), [(quadratic, "times the CPU"), (slow, "holds the loop")])
def test_the_walk_sees_what_is_not_linear_and_what_is_too_slow(work: Callable[[bytes], None], what: str) -> None:
    """The property can fail: for a function that is quadratic, and for one that is linear and slow."""
    (fault,) = faults_of(Entry(("x",), work, "bytes"), "bytes", lambda size: b"\xff" * size, 4 << 20)
    assert what in fault.what
