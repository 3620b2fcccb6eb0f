"""The contract of `FileSource`, for both providers, against a server that behaves, and misbehaves, like them."""

import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from services.chassis.destinations import DEVELOPMENT
from services.chassis.outgoing import CallLimits, Outgoing
from services.chassis.pinned import pinned_client
from services.cli.local.provider_files import HeldFile
from services.cli.local.providers import Behaviour, Cut, CutInside, Hang, HttpProvider, Refuse
from services.ingest.adapters.files.sources import FetchFailed, FileSource, TelegramFiles, WhatsAppFiles
from services.ingest.domain.fetching import FetchOutcome, NotFetched
from services.ingest.domain.files.policy import FileRefusal
from services.ingest.domain.reasons import Reason
from tests.integration.ingest.lanes.builders import accounts, an_account

CONTENT = os.urandom(300_000)
ID = "BQACAgQAAx-_1"


@dataclass
class Kit:
    """A source, and its provider, which holds one file."""

    channel: str
    source: FileSource
    provider: HttpProvider

    async def fetched(self, reference: str = ID, **settings: str) -> bytes:
        """Fetch a file."""
        policy = accounts(self.provider)[self.channel]
        policy = replace(policy, settings={**policy.settings, **settings})
        async with self.source.opened(reference, an_account(policy)) as pieces:
            return b"".join([piece async for piece in pieces])

    async def failed(self, *behaviours: Behaviour | None, reference: str = ID) -> FetchFailed:
        """Fetch a file from a provider that behaves so."""
        self.provider.next(*behaviours)
        with pytest.raises(FetchFailed) as failed:
            await self.fetched(reference)
        return failed.value


@pytest.fixture(params=["telegram", "whatsapp"])
async def kit(request: pytest.FixtureRequest) -> AsyncIterator[Kit]:
    client = pinned_client(DEVELOPMENT, timeout_s=0.4, connections=10, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    async with HttpProvider() as provider, Outgoing(client, CallLimits(5.0, 5.0, 8, 8)) as http:
        provider.held.files[ID] = HeldFile(CONTENT, "a.bin")
        sources: dict[str, FileSource] = {"telegram": TelegramFiles(http), "whatsapp": WhatsAppFiles(http)}
        yield Kit(request.param, sources[request.param], provider)


async def test_the_bytes_come(kit: Kit) -> None:
    """All of them, in order."""
    assert await kit.fetched() == CONTENT


async def test_a_file_that_is_gone(kit: Kit) -> None:
    """The provider no longer knows it: nothing is tried again."""
    failed = (await kit.failed(reference="unknown")).failed
    assert (failed.outcome, failed.refusal) == (FetchOutcome.REFUSED, FileRefusal.GONE)


@pytest.mark.parametrize("before", [(), (None,)], ids=["description", "download"])
@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Refuse(503), "HTTP_503"),
        (Refuse(500, {"ok": False}), "HTTP_500"),
        (Hang(taken=False), Reason.TIMEOUT),
        (Cut(taken=False), Reason.CONNECTION_CUT),
    ],
)
async def test_a_provider_that_is_away(kit: Kit, before: tuple[None, ...], behaviour: Behaviour, reason: str) -> None:
    """It is tried again; if not even the description came, the account's other files wait too."""
    failed = await kit.failed(*before, behaviour)
    assert (failed.failed.outcome, failed.failed.reason) == (FetchOutcome.AGAIN, reason)
    assert failed.of_account == (not before)
    assert await kit.fetched() == CONTENT


async def test_a_file_that_is_cut_in_the_middle(kit: Kit) -> None:
    """Half of a file is not taken for the file."""
    failed = await kit.failed(None, CutInside())
    assert failed.failed == NotFetched(FetchOutcome.AGAIN, Reason.CONNECTION_CUT)
    assert not failed.of_account


@pytest.mark.parametrize("before", [(), (None,)], ids=["description", "download"])
async def test_a_provider_that_asks_to_wait(kit: Kit, before: tuple[None, ...]) -> None:
    """Its wait counts, and it is about the whole account."""
    failed = await kit.failed(*before, Refuse(429, {}, {"retry-after": "7"}))
    assert failed.failed == NotFetched(FetchOutcome.AGAIN, Reason.HTTP_429, retry_after_ms=7_000)
    assert failed.of_account


@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_token(kit: Kit, status: int) -> None:
    """The account waits for an operator; the file is not given up."""
    failed = await kit.failed(Refuse(status))
    assert (failed.failed.outcome, failed.of_account) == (FetchOutcome.HALTED, True)


@pytest.mark.parametrize("before", [(), (None,)], ids=["description", "download"])
async def test_a_redirect_is_not_followed(kit: Kit, before: tuple[None, ...]) -> None:
    """To wherever: the other server gets no request, so it never sees the token."""
    async with HttpProvider() as elsewhere:
        elsewhere.held.files[ID] = HeldFile(b"bait")
        failed = await kit.failed(*before, Refuse(302, {}, {"location": f"{elsewhere.url}/media/{ID}"}))
        assert failed.failed.refusal is FileRefusal.NOT_FETCHED
        assert failed.failed.reason == Reason.REDIRECTED
        assert elsewhere.requests == 0


async def test_an_address_that_has_expired(kit: Kit) -> None:
    """A new one is asked for at once."""
    failed = (await kit.failed(None, Refuse(404))).failed
    assert failed == NotFetched(FetchOutcome.AGAIN, Reason.LINK_EXPIRED)


async def test_the_token_goes_to_allowed_hosts_only() -> None:
    """WhatsApp names the address of a media: a foreign host gets neither a request nor the token, until it is allowed by TLS."""
    client = pinned_client(DEVELOPMENT, timeout_s=0.4, connections=10)
    async with (
        HttpProvider() as provider,
        HttpProvider() as elsewhere,
        Outgoing(client, CallLimits(5.0, 5.0, 8, 8)) as http,
    ):
        provider.held.files[ID] = elsewhere.held.files[ID] = HeldFile(CONTENT)
        provider.held.link_to = f"{elsewhere.url}/media/{ID}"
        kit = Kit("whatsapp", WhatsAppFiles(http), provider)
        with pytest.raises(FetchFailed) as failed:
            await kit.fetched(media_hosts="lookaside.fbsbx.com 127.0.0.1")
        assert failed.value.failed.refusal is FileRefusal.NOT_FETCHED
        assert elsewhere.requests == 0


async def test_a_file_that_is_too_large_for_a_bot() -> None:
    """Telegram says so instead of a path."""
    client = pinned_client(DEVELOPMENT, timeout_s=2.0, connections=10)
    async with HttpProvider() as provider, Outgoing(client, CallLimits(5.0, 5.0, 8, 8)) as http:
        provider.held.files[ID] = HeldFile(bytes((20 << 20) + 1))
        kit = Kit("telegram", TelegramFiles(http), provider)
        failed = (await kit.failed()).failed
        assert (failed.outcome, failed.refusal) == (FetchOutcome.REFUSED, FileRefusal.TOO_LARGE)


async def test_a_reference_is_part_of_one_address(kit: Kit) -> None:
    """A file id from outside can't change which address is called."""
    failed = await kit.failed(reference="../../bot1/getMe?x=1#")
    assert failed.failed.refusal is FileRefusal.GONE
