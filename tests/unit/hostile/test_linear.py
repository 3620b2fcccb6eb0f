"""Work on text and bytes from outside is linear in their size, and work on the event loop blocks it only for a moment."""

from collections.abc import Callable, Mapping

import pytest

from tests.hostile.documents import DOCUMENTS
from tests.hostile.entry import Entry
from tests.hostile.mails import MAILS
from tests.hostile.pace import Fault, faults_of
from tests.hostile.registry import BY_NAME
from tests.hostile.texts import TEXTS

LARGEST = {"texts": 1 << 20, "bytes": 1 << 20, "documents": 256 << 10, "mails": 256 << 10}


def inputs_of(entry: Entry) -> Mapping[str, Callable[[int], str | bytes]]:
    """Return the hostile inputs of an entry, by kind."""
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
    """Four times the input takes at most about four times the CPU, at every size that can arrive."""
    entry = BY_NAME[name]
    found: list[Fault] = []
    for kind, make in inputs_of(entry).items():
        found += faults_of(entry, kind, make, LARGEST[entry.inputs])
    assert found == []


def quadratic(raw: bytes) -> None:
    """Read each byte again for each later block of 64 bytes, in C."""
    for end in range(0, len(raw), 64):
        raw[:end].count(b"\x00")


def slow(raw: bytes) -> None:
    """Do linear work that is far too slow for an event loop."""
    for byte in raw:
        sum(range(byte))


@pytest.mark.parametrize(("work", "what"), [(quadratic, "times the CPU"), (slow, "holds the loop")])
def test_the_walk_sees_what_is_not_linear_and_what_is_too_slow(work: Callable[[bytes], None], what: str) -> None:
    """The property can fail: for a quadratic function, and for a linear function that is slow."""
    (fault,) = faults_of(Entry(("x",), work, "bytes"), "bytes", lambda size: b"\xff" * size, 4 << 20)
    assert what in fault.what
