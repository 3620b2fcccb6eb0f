"""The outbox of one batch, which the fake and the real lane share."""

import pytest

from services.chassis.kafka.outbox import BatchOutbox, OutputTooLarge, record_bytes


def an_outbox(limit: int = 1000) -> BatchOutbox:
    return BatchOutbox(epoch=7, limit=limit)


def test_the_digest_covers_only_the_sent_records() -> None:
    """Topic, partition, key, value and their order count; headers, changelog and the runner's dead letters do not."""
    digests = set()
    for sends in (
        [("t", b"k", b"v", None)],
        [("t", b"k", b"v", 0)],
        [("t", b"kv", b"", None)],
        [("tk", b"", b"v", None)],
        [("t", b"k", b"v", None), ("t", b"k", b"w", None)],
        [("t", b"k", b"w", None), ("t", b"k", b"v", None)],
    ):
        outbox = an_outbox()
        for topic, key, value, partition in sends:
            outbox.send(topic, key, value, partition=partition)
        digests.add(outbox.digest())
    assert len(digests) == 6
    other = an_outbox()
    other.put(b"state", b"1")
    other.dead_letter("deadletters.v1", b"origin", b"why")
    other.send("t", b"k", b"v", (("h", b"1"),))
    assert other.digest() in digests


def test_the_last_change_of_a_key_wins() -> None:
    """There is one changelog record per key and batch, in the order of the last writes; a deletion counts as a write."""
    outbox = an_outbox()
    outbox.put(b"a", b"1")
    outbox.put(b"b", b"1")
    outbox.put(b"a", b"2")
    outbox.delete(b"b")
    assert list(outbox.changes().items()) == [(b"a", b"2"), (b"b", None)]


@pytest.mark.parametrize("key", [b"", b"\x00position"])
def test_the_lanes_own_keys_are_refused(key: bytes) -> None:
    """A processor cannot overwrite the position, nor write without a key, which a compacted topic would refuse."""
    with pytest.raises(ValueError, match="zero byte"):
        an_outbox().put(key, b"")
    with pytest.raises(ValueError, match="zero byte"):
        an_outbox().delete(key)


@pytest.mark.parametrize("headers", [(), (("h", b"1"),)])
def test_the_limit_counts_everything(headers: tuple[tuple[str, bytes], ...]) -> None:
    """Key, value, headers and framing count, with and without headers of the processor."""
    room = 1000 - record_bytes(b"key", b"", (*headers, ("lane-epoch", b"7")))
    outbox = an_outbox()
    outbox.send("t", b"key", b"x" * room, headers)
    with pytest.raises(OutputTooLarge):
        outbox.send("t", b"key", b"x" * (room + 1), headers)
    assert outbox.refused is not None
