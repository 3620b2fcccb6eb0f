"""Old files are deleted in time, whatever the replicas do; young ones never are."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.clock import ManualClock
from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.adapters.files.retention import FileRetention
from services.ingest.domain.files.places import FilePlace, Folder
from services.ingest.domain.files.sweeps import AGAIN_MS, EVERY_S, MARKS, SHARDS, WITHIN_MS, due, mark_of
from services.ingest.domain.reasons import Reason
from tests.fakes.files import MemoryFiles

DAY_MS = 86_400_000
EVERY_MS = int(EVERY_S * 1000)
DAYS = {Folder.FILES: 3, Folder.THUMBNAILS: 3, Folder.ORIGINALS: 1, Folder.QUARANTINE: 0}
STEPS = WITHIN_MS // EVERY_MS
START_MS = 1_800_000_000_000


@given(st.sets(st.sampled_from(SHARDS)), st.sets(st.sampled_from(SHARDS)))
def test_shards_without_a_recent_mark_are_due(marked: set[str], old: set[str]) -> None:
    """An old mark counts as none."""
    found = due(map(mark_of, marked | old), map(mark_of, old))
    assert found == [shard for shard in SHARDS if shard in old or shard not in marked]


def test_shards_have_similar_numbers_of_owners() -> None:
    """The first two digits of a hash."""
    found = Counter(FilePlace("acme", f"identity-{number}", "f").key.split("/")[1] for number in range(25_600))
    assert sorted(found) == list(SHARDS)
    assert (min(found.values()) > 50, max(found.values()) < 200) == (True, True)


files = st.tuples(st.integers(0, 40), st.sampled_from(Folder), st.integers(0, 5 * 24))
crashes = st.lists(st.tuples(st.integers(0, STEPS - 1), st.integers(0, 5)), max_size=30)


@settings(max_examples=30)
@given(st.lists(files, min_size=1, max_size=25), st.integers(1, 3), crashes, st.integers(0, 1 << 32))
async def test_a_file_is_deleted_within_two_days_and_never_early(
    written: list[tuple[int, Folder, int]], replicas: int, ends: list[tuple[int, int]], seed: int
) -> None:
    """Replicas sweep at the same time and end at any operation, and go on without any memory. `written`: the owner, the
    folder and the age in hours at the start."""
    clock = ManualClock(START_MS - 5 * DAY_MS)
    left = -1

    def before(operation: str, key: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise ChaparError(ErrorKind.UNAVAILABLE, Reason.FILES_AWAY, "the process ends")
        folder = key.partition("/")[0]
        if operation == "delete" and key in store.stored and folder != Folder.THUMBNAILS:
            assert clock() - store.stored[key][1] > DAYS[Folder(folder)] * DAY_MS > 0

    store = MemoryFiles(clock, before)
    for number, (owner, folder, hours) in enumerate(sorted(written, key=lambda each: -each[2])):
        clock.advance(START_MS - hours * 3_600_000 - clock())
        await store.put(FilePlace("acme", f"identity-{owner}", f"f{number}", folder).key, b"x")
    clock.advance(START_MS - clock())
    random, end_at = Random(seed), dict(ends)
    for step in range(STEPS):
        for replica in range(replicas):
            left = end_at.get(step, -1) + 1 if replica == 0 and step in end_at else -1
            try:
                await FileRetention(store, DAYS, clock, random).once()
            except ChaparError:
                continue
        clock.advance(EVERY_MS)
    for key, (_, written_ms) in store.stored.items():
        name, _, _ = key.partition("/")
        if f"{name}/" != MARKS and DAYS[Folder(name)]:
            assert clock() - written_ms <= DAYS[Folder(name)] * DAY_MS + WITHIN_MS


async def test_a_sweep_that_breaks_off_is_repeated_at_once() -> None:
    """A shard is marked after its files are deleted, not before."""
    clock = ManualClock(START_MS)
    away = True

    def before(operation: str, _: str) -> None:
        if operation == "delete" and away:
            raise ChaparError(ErrorKind.UNAVAILABLE, Reason.FILES_AWAY, "the process ends")

    store = MemoryFiles(clock, before)
    old = FilePlace("acme", "identity-1", "f").key
    await store.put(old, b"x")
    clock.advance(4 * DAY_MS)
    for shard in SHARDS:
        if f"/{shard}/" not in old:
            await store.put(mark_of(shard), b"")
    retention = FileRetention(store, DAYS, clock, Random(1))
    with pytest.raises(ChaparError):
        await retention.once()
    away = False
    assert await retention.once() == 1
    assert old not in store.stored


async def test_a_shard_is_listed_once_a_day() -> None:
    """Two replicas together list each shard once, and then only the marks."""
    listed: list[str] = []
    clock = ManualClock(START_MS)
    store = MemoryFiles(clock, lambda operation, key: listed.append(key) if operation == "list" else None)
    one, two = (FileRetention(store, DAYS, clock, Random(seed)) for seed in (1, 2))
    for _ in range(200):
        await one.once()
        await two.once()
    assert sorted(key for key in listed if key.startswith("files/")) == [f"files/{shard}/" for shard in SHARDS]
    clock.advance(AGAIN_MS + 1)
    await one.once()
    assert sum(key.startswith("files/") for key in listed) == len(SHARDS) + 1
