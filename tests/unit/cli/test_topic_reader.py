"""Commands that read a topic once report a missing broker, instead of waiting for ever."""

import socket

import pytest

from services.chassis.errors import ChaparError
from services.cli.topic_reader import read_all
from tests.fixtures.broker import plain_settings


async def test_a_missing_broker_is_reported() -> None:
    """The error is one sentence with the broker's address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.RaisesGroup(pytest.RaisesExc(ChaparError, match=address)):
            await read_all(plain_settings(address, "x."), "deadletters.v1", patience_s=0.3)
