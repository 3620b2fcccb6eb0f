"""Files of customers are fetched from their providers, over a real broker and a real server."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from chapar.ingest.v1 import records_pb2
from services.chassis.clock import system_clock
from services.chassis.cluster_topics import apply
from services.chassis.destinations import DEVELOPMENT
from services.chassis.kafka.consumer import GroupConsumer
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.keys import tenant_key
from services.chassis.metrics import Metrics
from services.chassis.outgoing import CallLimits, Outgoing
from services.chassis.pinned import pinned_client
from services.chassis.privacy.sealing import seal, unseal
from services.chassis.secrets import SecretReferences
from services.cli.local.provider_files import HeldFile
from services.cli.local.providers import Hang, HttpProvider, Refuse
from services.ingest.adapters.edges.accounts import AccountSecrets
from services.ingest.adapters.files.fetcher import AGAIN_GROUP, GROUP, Fetcher
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.sources import FileSource, TelegramFiles, WhatsAppFiles
from services.ingest.adapters.files.store import file_store
from services.ingest.adapters.out.account import SendingAccount
from services.ingest.domain.fetching import FetchLimits
from services.ingest.domain.files.places import FilePlace
from services.ingest.domain.files.policy import FilePolicy
from services.ingest.metrics import METRICS
from services.ingest.translate import headers
from services.ingest.translate.headers import CONVERSATIONS, FETCHES, WAITING_FETCHES
from tests.contract.files.test_sealed import whole
from tests.contract.lane.real import eventually, read_all
from tests.fakes.privacy import MemoryKeys
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.ingest.lanes.builders import TENANT, VARIABLES, accounts

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]
PDF = b"%PDF-1.7\n" + os.urandom(100_000)
STORED, REFUSED = records_pb2.ATTACHMENT_STATE_STORED, records_pb2.ATTACHMENT_STATE_REFUSED
FAST = FetchLimits(tries=2, first_wait_ms=10, longest_wait_ms=50, delay_ms=200)


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Desk:
    """A fetcher with its broker, its provider and its store."""

    kafka: KafkaSettings
    directory: Path
    provider: HttpProvider
    producer: DurableProducer
    http: Outgoing
    keys: MemoryKeys = field(default_factory=MemoryKeys)
    metrics: Metrics = field(default_factory=lambda: Metrics(METRICS))

    def __post_init__(self) -> None:
        store = file_store("", str(self.directory), self.metrics)
        self.files = SealedFiles(store, self.keys, FilePolicy(max_bytes=1 << 20))

    def fetcher(self, limits: FetchLimits = FAST, telegram: FileSource | None = None) -> Fetcher:
        policy: Any = MappingProxyType({TENANT: _Policy(accounts(self.provider))})
        return Fetcher(
            self.files,
            {"telegram": telegram or TelegramFiles(self.http), "whatsapp": WhatsAppFiles(self.http)},
            lambda: policy,
            AccountSecrets(SecretReferences(system_clock, env=VARIABLES)),
            self.producer,
            self.keys,
            self.metrics,
            clock=system_clock,
            limits=limits,
        )

    def erased_during(self, source: FileSource) -> FileSource:
        """Return the source, whose customers are erased while their files are on their way."""
        keys = self.keys

        class Erasing:
            @asynccontextmanager
            async def opened(self, reference: str, account: SendingAccount) -> AsyncIterator[AsyncIterator[bytes]]:
                async with source.opened(reference, account) as pieces:
                    yield pieces
                keys.destroy(TENANT, "identity-1")

        return Erasing()

    async def ask(self, name: str, channel: str = "telegram", **changes: Any) -> None:
        """Ask for a file of a customer, as the intake lane does."""
        fetch = records_pb2.FileFetch(
            tenant=TENANT,
            conversation_id="c-1",
            message_id=f"message-{name}",
            identity_id="identity-1",
            channel=channel,
            account="main",
            attachment=records_pb2.Attachment(
                file_id=f"file-{name}",
                owner_id="identity-1",
                reference=name,
                name=f"{name}.pdf",
                state=records_pb2.ATTACHMENT_STATE_TO_FETCH,
            ),
        )
        for field_name, given in changes.items():
            setattr(fetch, field_name, given)
        key = tenant_key(TENANT, "c-1")
        value = seal(fetch, self.keys.made(TENANT, "identity-1"), FETCHES, key)
        await self.producer.publish(FETCHES, key, value, headers.of_fetch(fetch))

    async def settled(self) -> list[records_pb2.ConversationRecord]:
        """Return what the conversation learned, repetitions included."""
        found = []
        for record in await read_all(self.kafka, CONVERSATIONS):
            made = records_pb2.ConversationRecord.FromString(record.value or b"")
            unseal(made, self.keys, CONVERSATIONS, record.key or b"")
            found.append(made)
        return found

    async def becomes(self, count: int) -> list[records_pb2.Attachment]:
        """Wait until the conversation has learned of this number of files."""

        async def enough() -> bool:
            return len(await self.settled()) >= count

        await eventually(enough, "the files are settled", 40)
        return [each.file_settled.attachment for each in await self.settled()]

    @asynccontextmanager
    async def running(
        self, limits: FetchLimits = FAST, fault: Callable[[str], None] | None = None
    ) -> AsyncIterator[asyncio.Task[None]]:
        """Run both members of the fetcher."""
        fetcher = self.fetcher(limits)
        members = [
            GroupConsumer(
                self.kafka,
                group=group,
                topics=[topic],
                handler=handler,
                client_id=group,
                poison=Poison(group, self.metrics),
                fault=fault,
            )
            for group, topic, handler in (
                (GROUP, FETCHES, fetcher.first),
                (AGAIN_GROUP, WAITING_FETCHES, fetcher.again),
            )
        ]
        tasks = [asyncio.create_task(each.run()) for each in members]
        try:
            yield tasks[0]
        finally:
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError, Killed, BaseExceptionGroup):
                await asyncio.gather(*tasks)


class _Policy:
    def __init__(self, policies: dict[str, Any]) -> None:
        self.accounts = {(channel, "main"): policy for channel, policy in policies.items()}


@pytest.fixture
async def desk(kafka: KafkaUnderTest, prefix: str, tmp_path: Path) -> AsyncIterator[Desk]:
    settings = kafka.settings(prefix)
    await apply(settings)
    client = pinned_client(DEVELOPMENT, timeout_s=0.5, connections=20)
    async with (
        HttpProvider() as provider,
        Outgoing(client, CallLimits(5.0, 5.0, 8, 8)) as http,
        DurableProducer(settings, client_id="intake") as producer,
    ):
        provider.held.files |= {name: HeldFile(PDF) for name in ("a", "b", "c")}
        provider.held.files["program"] = HeldFile(b"MZ" + bytes(100))
        provider.held.files["large"] = HeldFile(bytes((1 << 20) + 1))
        yield Desk(settings, tmp_path, provider, producer, http)


@pytest.mark.parametrize("channel", ["telegram", "whatsapp"])
async def test_a_file_is_fetched_and_can_be_opened(desk: Desk, channel: str) -> None:
    """The conversation learns its size, its type and its hash, and the bytes are in the store."""
    async with desk.running():
        await desk.ask("a", channel)
        (file,) = await desk.becomes(1)
    assert (file.state, file.size, file.content_type, file.name) == (STORED, len(PDF), "application/pdf", "a.pdf")
    assert len(file.sha256) == 64
    assert await whole(await desk.files.open(FilePlace(TENANT, "identity-1", "file-a"))) == PDF


async def test_what_can_not_be_kept_says_why(desk: Desk) -> None:
    """Gone at the provider, too large, a program: each with its reason, and at once."""
    async with desk.running():
        for name in ("unknown", "large", "program"):
            await desk.ask(name)
        files = await desk.becomes(3)
    assert {file.file_id: file.refusal for file in files} == {
        "file-unknown": records_pb2.ATTACHMENT_REFUSAL_GONE,
        "file-large": records_pb2.ATTACHMENT_REFUSAL_TOO_LARGE,
        "file-program": records_pb2.ATTACHMENT_REFUSAL_TYPE_NOT_ALLOWED,
    }
    assert all(file.state == REFUSED for file in files)


async def test_a_provider_that_comes_back(desk: Desk) -> None:
    """It fails for several rounds; the file waits in the log, and then it is fetched once."""
    desk.provider.usually(Refuse(503))
    async with desk.running():
        await desk.ask("a")

        async def waits() -> bool:
            return len(await read_all(desk.kafka, WAITING_FETCHES)) >= 2

        await eventually(waits, "the file waits", 40)
        assert await desk.settled() == []
        desk.provider.usually(None)
        (file,) = await desk.becomes(1)
    assert file.state == STORED
    assert desk.provider.held.downloads == ["a"]


async def test_a_short_failure_is_over_at_once(desk: Desk) -> None:
    """The next try of the same round succeeds: the file does not wait in the log."""
    desk.provider.next(Refuse(503))
    async with desk.running():
        await desk.ask("a")
        (file,) = await desk.becomes(1)
    assert file.state == STORED
    assert await read_all(desk.kafka, WAITING_FETCHES) == []


async def test_a_round_ends_in_time(desk: Desk) -> None:
    """A slow download is not tried again at once, its account rests, and the other files of the round wait in the log."""
    desk.provider.next(None, Hang(taken=False))
    async with desk.running(FetchLimits(tries=3, delay_ms=60_000)):
        await desk.ask("a")

        async def waits() -> bool:
            return len(await read_all(desk.kafka, WAITING_FETCHES)) == 1

        await eventually(waits, "the file waits", 40)
        await desk.ask("b")
        await desk.ask("c", "whatsapp")
        (file,) = await desk.becomes(1)
        assert file.file_id == "file-c"
    assert len(await read_all(desk.kafka, WAITING_FETCHES)) == 2
    assert desk.provider.held.downloads == ["c"]


async def test_a_file_is_given_up_in_the_end(desk: Desk) -> None:
    """An account that never works again does not keep its files waiting for ever."""
    desk.provider.usually(Refuse(401))
    async with desk.running(FetchLimits(tries=1, delay_ms=100, give_up_ms=500)):
        await desk.ask("a")
        (file,) = await desk.becomes(1)
    assert (file.state, file.refusal) == (REFUSED, records_pb2.ATTACHMENT_REFUSAL_NOT_FETCHED)


async def test_another_account_does_not_wait(desk: Desk) -> None:
    """While Telegram hangs, WhatsApp's files come."""
    desk.provider.next(Hang(taken=False))
    async with desk.running(FetchLimits(tries=1, delay_ms=60_000)):
        await desk.ask("a", "telegram")
        await desk.provider.asked(1)
        await desk.ask("b", "whatsapp")
        (file,) = await desk.becomes(1)
    assert file.file_id == "file-b"


async def test_killed_before_its_offsets_are_committed(desk: Desk) -> None:
    """The next fetcher does it again: the same file, the same record, equal for every reader, and nothing is lost."""

    def kill(point: str) -> None:
        raise Killed(point)

    await desk.ask("a")
    async with desk.running(fault=kill) as member:
        await asyncio.wait({member}, timeout=40)
        assert member.done()
    async with desk.running():
        await desk.becomes(2)
        await desk.ask("b")
        await desk.becomes(3)
    settled = await desk.settled()
    assert len({each.event_id for each in settled}) == 2
    assert {each.file_settled.attachment.file_id for each in settled} == {"file-a", "file-b"}
    assert len({each.file_settled.attachment.sha256 for each in settled}) == 1


async def test_an_erased_person_gets_no_file(desk: Desk) -> None:
    """A file that still waits is not fetched; the same customer's later messages are those of a new person."""
    await desk.ask("a")
    desk.keys.destroy(TENANT, "identity-1")
    desk.keys.makes = False
    async with desk.running():
        await desk.ask("b", "whatsapp", identity_id="identity-1")
        await desk.becomes(1)
    assert [each.file_settled.attachment.file_id for each in await desk.settled()] == ["file-b"]
    assert desk.provider.held.downloads == ["b"]


async def test_a_person_who_is_erased_while_a_file_comes(desk: Desk) -> None:
    """Nothing of the file remains, and the conversation learns nothing of it."""
    fetcher = desk.fetcher(telegram=desk.erased_during(TelegramFiles(desk.http)))
    await desk.ask("a")
    await fetcher.first(await read_all(desk.kafka, FETCHES))
    assert desk.provider.held.downloads == ["a"]
    assert await desk.settled() == []
    assert [each for each in desk.directory.rglob("*") if each.is_file()] == []
