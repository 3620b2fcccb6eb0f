"""Commands that read a topic once report a missing broker, instead of waiting for ever."""

import socket

import pytest

from chapar.common.v1.revocation_pb2 import Revocation
from services.chassis.errors import ChaparError
from services.chassis.kafka.records import Record
from services.cli.topic_reader import decoded, read_all
from tests.fixtures.broker import plain_settings


async def test_a_missing_broker_is_reported() -> None:
    """The error is one sentence with the broker's address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.RaisesGroup(pytest.RaisesExc(ChaparError, match=address)):
            await read_all(plain_settings(address, "x."), "deadletters.v1", patience_s=0.3)


def test_records_that_do_not_decode_are_left_out() -> None:
    """The others are yielded with their messages; a tombstone has no message."""
    values = (b"\xff\xff", Revocation(token_id="a").SerializeToString(), None, b"")
    records = [Record("revocations.v1", 0, offset, 0, b"k", value, ()) for offset, value in enumerate(values)]
    found = [(record.offset, entry.token_id) for record, entry in decoded(records, Revocation.FromString)]
    assert found == [(1, "a"), (3, "")]
