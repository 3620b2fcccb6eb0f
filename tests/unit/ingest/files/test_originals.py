"""Which messages are kept as they arrived, and what of a call belongs to each."""

import asyncio
import json
from collections.abc import Sequence
from uuid import uuid4

import pytest

from chapar.ingest.v1 import records_pb2
from services.chassis.clock import ManualClock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.metrics import Metrics
from services.chassis.pacing import Rate
from services.ingest.adapters.edges.ingress_limiter import IngressLimiter, IngressLimits
from services.ingest.adapters.edges.originals import with_originals
from services.ingest.adapters.files.keeper import MessageFiles
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.store import file_store
from services.ingest.domain.files.policy import FilePolicy
from services.ingest.domain.normalise.message import IncomingMessage
from services.ingest.domain.normalise.originals import keeps_original, original_of
from services.ingest.domain.normalise.webchat import End, Say, as_sent, parse_frame
from services.ingest.domain.normalise.whatsapp import parse_notification
from services.ingest.metrics import METRICS
from services.ingest.ports import Account, FileStore
from services.policy.reading.channels import DECLARATIONS, EDGES
from tests.fakes.privacy import MemoryKeys
from tests.unit.ingest.edges.provider_calls import whatsapp, whatsapp_value


def account(channel: str = "telegram", **settings: str) -> Account:
    """An account with these settings."""
    return Account("acme", channel, "main", {}, settings, "en")


@pytest.mark.parametrize("channel", sorted(EDGES))
def test_each_channel_declares_the_setting_and_its_default(channel: str) -> None:
    """The contract says what the edge does."""
    declared = DECLARATIONS[channel].settings["keep_original"]
    assert declared.values == ("true", "false")
    assert keeps_original(channel, {}) is (declared.default == "true")
    assert keeps_original(channel, {"keep_original": "perhaps"}) is keeps_original(channel, {})
    assert keeps_original(channel, {"keep_original": "true"})
    assert not keeps_original(channel, {"keep_original": "false"})


def test_a_message_gets_the_call_and_keeps_its_own_part() -> None:
    """What a parser has cut out is not replaced by what belongs to others too."""
    part = original_of("telegram", b"part")
    plain, cut = with_originals(
        account(), (IncomingMessage("1", "m1"), IncomingMessage("2", "m2", original=part)), lambda: b"call"
    )
    assert plain.original is not None
    assert (plain.original.content, plain.original.content_type) == (b"call", "application/json")
    assert cut.original is part


def test_an_account_that_keeps_none_does_not_even_ask_for_the_bytes() -> None:
    """Nor does it keep what a parser has cut out."""

    def never() -> bytes:
        raise AssertionError("the bytes are not needed")

    message = IncomingMessage("1", "m1", original=original_of("telegram", b"part"))
    (found,) = with_originals(account(keep_original="false"), (message,), never)
    assert found.original is None
    assert with_originals(account("grpc"), (found,), never) == (found,)


def test_persons_of_one_whatsapp_call_do_not_get_each_others_words() -> None:
    """An erasure of the one leaves nothing of theirs in the other's files. A call of one event is kept whole."""
    items = [
        {
            "from": str(number),
            "id": f"wamid.{number}",
            "timestamp": "1",
            "type": "text",
            "text": {"body": f"words of {number}"},
        }
        for number in (1, 2)
    ]
    call = whatsapp(items[0])
    (alone,) = parse_notification(json.dumps(call).encode()).messages
    assert alone.original is None
    call["entry"].append({"changes": [{"field": "messages", "value": whatsapp_value(items[1])}]})
    messages = parse_notification(json.dumps(call).encode()).messages
    assert [json.loads(each.original.content or b"") for each in messages if each.original is not None] == items


def test_a_message_beside_a_status_keeps_its_part_only() -> None:
    """The status names another customer."""
    item = {"from": "1", "id": "wamid.1", "timestamp": "1", "type": "text", "text": {"body": "hello"}}
    call = whatsapp(item)
    call["entry"][0]["changes"][0]["value"]["statuses"] = [{"id": "wamid.9", "status": "read", "recipient_id": "98912"}]
    (message,) = parse_notification(json.dumps(call).encode()).messages
    assert message.original is not None
    assert json.loads(message.original.content or b"") == item


def test_a_frame_of_web_chat_is_kept_without_the_proof_of_the_login() -> None:
    """Who has the proof could write in the customer's name."""
    frame = parse_frame(
        json.dumps({"type": "message", "id": str(uuid4()), "text": "سلام", "identifier_hash": "proof"}).encode()
    )
    assert isinstance(frame, Say)
    assert "proof" not in as_sent(frame).decode()
    assert parse_frame(as_sent(frame)) == Say(frame.id, "سلام")
    assert parse_frame(as_sent(End(frame.id))) == End(frame.id)


class Log:
    """A log that says when something is being published."""

    def __init__(self) -> None:
        self.records: list[records_pb2.InboundRecord] = []
        self.publishing = asyncio.Event()

    async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
        self.records += [record for _, record in records]
        self.publishing.set()


class Slow:
    """A store whose writes end only when a message is being published."""

    def __init__(self, store: FileStore, log: Log) -> None:
        self._log = log
        self.put_in: list[str] = []
        self.get, self.delete, self.older = store.get, store.delete, store.older
        self.delete_under = store.delete_under
        self._put = store.put

    async def put(self, key: str, content: object) -> None:
        await self._log.publishing.wait()
        assert isinstance(content, bytes)
        await self._put(key, content)
        self.put_in.append(key)


async def test_originals_are_written_while_the_messages_are_published() -> None:
    """A call does not wait for one and then for the other, and the store does not change the order of messages. The answer
    waits for both."""
    log, rate, metrics = Log(), Rate(100, 100), Metrics(METRICS, tenants=True)
    store = Slow(file_store("memory:///", "", metrics), log)
    files = MessageFiles(SealedFiles(store, MemoryKeys(), FilePolicy()), metrics)
    limiter = IngressLimiter(log, IngressLimits(rate, rate, rate), ManualClock(1_000), metrics, files)
    messages = with_originals(account(), [IncomingMessage("1", f"m{n}", "hi") for n in range(40)], lambda: b"{}")
    async with asyncio.timeout(10):
        taken = await limiter.take(account(), messages)
    assert len(store.put_in) == len(set(store.put_in)) == len(taken.records) == 40
    assert {key.partition("/")[0] for key in store.put_in} == {"originals"}
    assert all(record.message.original.state == records_pb2.ATTACHMENT_STATE_STORED for record in log.records)


class Away(Slow):
    """A store that can't be used."""

    async def put(self, key: str, content: object) -> None:
        raise ChaparError(ErrorKind.UNAVAILABLE, "FILES_AWAY", "the store is away")


async def test_a_call_whose_original_is_not_kept_is_sent_again() -> None:
    """Its message is in the log already; the same message again has the same id."""
    log, rate, metrics = Log(), Rate(100, 100), Metrics(METRICS, tenants=True)
    store = Away(file_store("memory:///", "", metrics), log)
    files = MessageFiles(SealedFiles(store, MemoryKeys(), FilePolicy()), metrics)
    limiter = IngressLimiter(log, IngressLimits(rate, rate, rate), ManualClock(1_000), metrics, files)
    messages = with_originals(account(), [IncomingMessage("1", "m1", "hi")], lambda: b"{}")
    for _ in range(2):
        with pytest.raises(ChaparError, match="away"):
            await limiter.take(account(), messages)
    assert len({record.message.message_id for record in log.records}) == 1
