"""The outcome of a transaction that hangs is read from the coordinators' log, or is not known; it is never guessed."""

import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.kafka.transactions.contents import Place
from services.chassis.kafka.transactions.coordinator_log import Logged, Status, decode_logged
from services.chassis.kafka.transactions.coordinators import id_in, java_hash
from services.chassis.kafka.transactions.ending import Outcome, is_ongoing, outcome_of
from services.chassis.kafka.transactions.hanging import OpenTransaction
from services.chassis.kafka.transactions.wire import Malformed, varint

HERE: Place = ("state", 1)
ELSEWHERE: Place = ("events", 3)
HANGING = OpenTransaction(HERE, 347, 3, 27, 0, 1_000)
KEY = struct.pack(">hh", 0, 2) + b"id"
V0 = (
    struct.pack(">hqhib", 0, 3, 27, 60_000, 2)
    + struct.pack(">ih", 1, 5)
    + b"state"
    + struct.pack(">iiqq", 1, 1, 2_000, 900)
)
V1 = (
    struct.pack(">hqhib", 1, 3, 28, 60_000, 3)
    + (b"\x02\x06state\x02" + struct.pack(">i", 1) + b"\x00")
    + struct.pack(">qq", 2_000, 900)
    + (b"\x02" + varint(1) + varint(8) + struct.pack(">q", -1) + varint(2) + varint(2) + struct.pack(">h", 2))
)


def logged(
    status: Status, epoch: int, *, places: Iterable[Place] = (HERE,), at: int = 2_000, v2: bool = True
) -> Logged:
    return Logged("id", HANGING.producer_id, epoch, status, frozenset(places), at, v2)


def test_a_record_of_each_version_is_decoded() -> None:
    """Both are what a broker writes; the second by a client of version 2 of transactions."""
    assert decode_logged(KEY, V0) == Logged("id", 3, 27, Status.PREPARE_COMMIT, frozenset({HERE}), 2_000, False)
    assert decode_logged(KEY, V1) == Logged("id", 3, 28, Status.PREPARE_ABORT, frozenset({HERE}), 2_000, True)
    assert decode_logged(struct.pack(">h", 1) + KEY[2:], V0) is None


@pytest.mark.parametrize("value", [V0, V1], ids=["v0", "v1"])
def test_a_record_cut_anywhere_is_refused(value: bytes) -> None:
    for length in range(len(value)):
        with pytest.raises(Malformed):
            decode_logged(KEY, value[:length])
    with pytest.raises(Malformed, match="unknown state"):
        decode_logged(KEY, value[:16] + b"\x63" + value[17:])
    with pytest.raises(Malformed, match="version 2"):
        decode_logged(KEY, b"\x00\x02" + value[2:])


@given(key=st.binary(max_size=40), value=st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(key: bytes, value: bytes) -> None:
    try:
        found = decode_logged(key, value)
    except Malformed:
        return
    assert found is None or found.status in Status


@pytest.mark.parametrize(("status", "commit"), [(Status.PREPARE_COMMIT, True), (Status.PREPARE_ABORT, False)])
def test_a_decision_is_found_although_the_id_was_used_again(status: Status, commit: bool) -> None:
    """Later transactions of the id, also on the same partition, have later epochs."""
    other = Status.PREPARE_ABORT if commit else Status.PREPARE_COMMIT
    log = [
        logged(other, 27),
        logged(Status.ONGOING, 27),
        logged(status, 28),
        logged(Status.COMPLETE_COMMIT, 28, places=()),
        logged(Status.ONGOING, 30),
        logged(other, 31),
    ]
    assert outcome_of(HANGING, log) == Outcome(commit, 28)
    assert not is_ongoing(HANGING, log)


@pytest.mark.parametrize(
    "log",
    [
        [],
        [logged(Status.ONGOING, 27)],
        [logged(Status.PREPARE_COMMIT, 27)],
        [logged(Status.PREPARE_COMMIT, 29)],
        [logged(Status.PREPARE_COMMIT, 28, places=(ELSEWHERE,))],
        [logged(Status.COMPLETE_COMMIT, 28)],
        [logged(Status.PREPARE_COMMIT, 28)._replace(producer_id=4)],
        [logged(Status.PREPARE_COMMIT, 27, v2=False, at=999)],
    ],
    ids=[
        "nothing",
        "open",
        "epoch before",
        "epoch after",
        "other partition",
        "no partitions",
        "other producer",
        "older",
    ],
)
def test_another_record_decides_nothing(log: list[Logged]) -> None:
    assert outcome_of(HANGING, log) is None


def test_the_older_protocol_has_several_transactions_in_an_epoch() -> None:
    """The newest decision about the partition counts, if it is not older than the records."""
    log = [
        logged(Status.PREPARE_ABORT, 27, v2=False, at=500),
        logged(Status.PREPARE_COMMIT, 27, v2=False, at=1_000),
        logged(Status.PREPARE_ABORT, 27, v2=False, places=(ELSEWHERE,), at=1_500),
    ]
    assert outcome_of(HANGING, log) == Outcome(True, 27)
    assert outcome_of(HANGING, log[:1]) is None
    assert outcome_of(HANGING, [logged(Status.PREPARE_ABORT, 28, v2=False)]) == Outcome(False, 28)


def test_an_open_transaction_of_a_coordinator_that_is_away_is_not_ended() -> None:
    assert is_ongoing(HANGING, [logged(Status.PREPARE_COMMIT, 26), logged(Status.ONGOING, 27)])
    assert not is_ongoing(HANGING, [logged(Status.ONGOING, 27), logged(Status.PREPARE_ABORT, 28)])
    assert not is_ongoing(HANGING, [logged(Status.ONGOING, 27, places=(ELSEWHERE,))])
    assert not is_ongoing(HANGING, [])


def test_an_id_is_found_for_each_partition_of_the_log() -> None:
    """By Java's hash, as a broker chooses the coordinator of an id."""
    assert java_hash("") == 0
    assert java_hash("router-1-claim") == sum(ord(c) * 31 ** (13 - i) for i, c in enumerate("router-1-claim")) % 2**32
    for count in (8, 50):
        for partition in range(count):
            assert (java_hash(id_in(partition, count, "chapar.")) & 0x7FFFFFFF) % count == partition
