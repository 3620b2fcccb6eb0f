"""The state file from which a daily replay begins."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.replay.state import MAGIC, ShardState, StateFile, StateRefused, StateWriter

PREFIX = "chapar."


def written(path: Path, *states: ShardState) -> Path:
    """Write a complete file."""
    with StateWriter(path, PREFIX) as writer:
        for state in states:
            writer.add(state)
        writer.commit()
    return path


def a_state(shard: int = 0, entities: int = 3) -> ShardState:
    """Return a state with this number of entities."""
    return ShardState(
        shard, 4, 1_700_000_000_000, 77, 12, b"\1" * 32, {b"i|acme/default|%d" % n: b"v%d" % n for n in range(entities)}
    )


@given(st.lists(st.integers(0, 1_203), min_size=1, max_size=3))
def test_saved_entities_come_back_in_order(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    """One file holds several shards, with any number of entities."""
    states = [a_state(shard, size) for shard, size in enumerate(sizes)]
    path = written(tmp_path_factory.mktemp("state") / "state", *states)
    read = StateFile(path, PREFIX)
    for state in reversed(states):
        found = read.shard(state.shard)
        assert found == state
        assert list(found.entities) == list(state.entities)


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    """A flipped, missing or additional byte is refused before any content is used."""
    path = written(tmp_path / "state", a_state())
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(StateRefused):
            StateFile(path, PREFIX)
    for damaged in (whole[:-1], whole[: len(whole) // 2], whole + b"\0", b""):
        path.write_bytes(damaged)
        with pytest.raises(StateRefused):
            StateFile(path, PREFIX)


def test_refusals_contain_advice(tmp_path: Path) -> None:
    """Refused are another version, another installation, another shard, and a missing file."""
    path = written(tmp_path / "state", a_state())
    with pytest.raises(StateRefused, match=r"is of topics that begin with 'chapar\.', not 'other\.'"):
        StateFile(path, "other.")
    with pytest.raises(StateRefused, match="does not contain shard 3: save one with --shard 3"):
        StateFile(path, PREFIX).shard(3)
    path.write_bytes(MAGIC + b"9\n" + path.read_bytes()[len(MAGIC) + 2 :])
    with pytest.raises(StateRefused, match="has format 9, this program knows 1"):
        StateFile(path, PREFIX)
    with pytest.raises(StateRefused, match="can't be read: No such file"):
        StateFile(tmp_path / "none", PREFIX)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """After an interrupted write the old file remains, and no other file; it is readable by its owner only."""
    path = written(tmp_path / "state", a_state(entities=1))
    before = path.read_bytes()

    def broken_off() -> None:
        with StateWriter(path, PREFIX) as writer:
            writer.add(a_state(entities=2_000))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600
