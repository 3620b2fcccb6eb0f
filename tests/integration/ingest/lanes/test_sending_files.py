"""Files reach the providers, from the store, over real connections."""

import hashlib
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from services.chassis.destinations import DEVELOPMENT
from services.chassis.metrics import Metrics
from services.chassis.outgoing import Outgoing
from services.cli.local.providers import Cut, Hang, HttpProvider, MailRelay, Received, Refuse
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.store import file_store
from services.ingest.adapters.out.attached import AttachedFiles, NotSendable
from services.ingest.adapters.out.client import ChannelClient
from services.ingest.adapters.out.email_out import EmailClient
from services.ingest.adapters.out.http import provider_client
from services.ingest.adapters.out.telegram import TelegramClient
from services.ingest.adapters.out.webhook_out import WebhookClient
from services.ingest.adapters.out.whatsapp import WhatsAppClient
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.files.places import FilePlace
from services.ingest.domain.files.policy import FilePolicy
from services.ingest.domain.messages import Attachment
from services.ingest.domain.reasons import Reason
from services.ingest.domain.retry_classes import PartResult
from services.ingest.metrics import METRICS
from tests.fakes.privacy import MemoryKeys
from tests.integration.ingest.lanes.builders import TENANT, a_part, accounts, an_account

PDF = b"%PDF-1.7\r\n--chapar\r\n" + os.urandom(200_000)
PNG = b"\x89PNG\r\n\x1a\n" + os.urandom(5_000)
NAME = 'صورت‌حساب "۱۴۰۵".pdf'


@dataclass
class Office:
    """The clients, their providers, and the store."""

    provider: HttpProvider
    relay: MailRelay
    http: Outgoing
    files: SealedFiles
    keys: MemoryKeys

    async def kept(self, content: bytes, name: str = NAME) -> Attachment:
        """Store a file."""
        place = FilePlace(TENANT, "identity-1", hashlib.sha256(content).hexdigest())
        kept = await self.files.keep(place, name, content)
        return Attachment(
            kept.content_type,
            kept.name,
            kept.size,
            "",
            file_id=place.file_id,
            owner_id="identity-1",
            sha256=kept.sha256,
        )

    async def send(self, channel: str, *files: Attachment, text: str = "") -> PartResult:
        """Send one part."""
        clients: dict[str, ChannelClient] = {
            "telegram": TelegramClient(self.http),
            "whatsapp": WhatsAppClient(self.http),
            "webhook": WebhookClient(self.http, lambda place: f"https://chapar.example/files/{place.file_id}"),
            "email": EmailClient(DEVELOPMENT, timeout_s=5.0),
        }
        async with AttachedFiles(self.files).of(TENANT, files) as found:
            part = a_part(channel, text, files=found)
            return await clients[channel].send(part, an_account(accounts(self.provider, self.relay)[channel]))

    def arrived(self) -> Received:
        """Return the one message that a provider accepted."""
        (message,) = [*self.provider.received, *self.relay.received]
        return message


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    keys = MemoryKeys()
    files = SealedFiles(file_store("", str(tmp_path), Metrics(METRICS)), keys, FilePolicy())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with (
        HttpProvider() as provider,
        MailRelay() as relay,
        provider_client(DEVELOPMENT, timeout_s=1.0, tls=tls) as http,
    ):
        yield Office(provider, relay, http, files, keys)


@pytest.mark.parametrize("channel", ["telegram", "whatsapp", "email"])
async def test_a_file_arrives_whole(office: Office, channel: str) -> None:
    """Every byte, although it looks like a form's boundary, with its Persian name and its type."""
    result = await office.send(channel, await office.kept(PDF), text="بفرمایید")
    assert result.outcome is Outcome.ACCEPTED
    message = office.arrived()
    assert message.text.strip() == "بفرمایید"
    (file,) = message.files
    assert file.content == PDF
    assert file.content_type == "application/pdf"
    if channel == "whatsapp":
        assert message.details["document"]["filename"] == NAME
    else:
        assert file.name.replace("%22", '"') == NAME


@pytest.mark.parametrize(("channel", "field"), [("telegram", "photo"), ("whatsapp", "image")])
async def test_a_picture_is_sent_as_a_picture(office: Office, channel: str, field: str) -> None:
    """The customer sees it in the chat, not as a file to open."""
    await office.send(channel, await office.kept(PNG, "a.png"))
    message = office.arrived()
    assert message.files[0].content == PNG
    assert channel != "whatsapp" or field in message.details


async def test_a_mail_carries_several(office: Office) -> None:
    """Pictures, texts and mails too, unchanged."""
    mail = b"From: a@b\r\nSubject: x\r\n\r\nhello\n.\nworld\r\n"
    await office.send(
        "email", await office.kept(PDF), await office.kept(PNG, "a.png"), await office.kept(mail, "m.eml")
    )
    assert [file.content for file in office.arrived().files] == [PDF, PNG, mail]


async def test_another_system_gets_links(office: Office) -> None:
    """With size, type and hash, by which it can check what it downloads."""
    file = await office.kept(PDF)
    await office.send("webhook", file)
    (found,) = office.arrived().details["attachments"]
    assert found == {
        "id": file.file_id,
        "name": NAME,
        "content_type": "application/pdf",
        "size": len(PDF),
        "sha256": hashlib.sha256(PDF).hexdigest(),
        "url": f"https://chapar.example/files/{file.file_id}",
    }


@pytest.mark.parametrize("behaviour", [Refuse(500), Hang(taken=False), Cut(taken=True), Refuse(429)])
async def test_an_upload_can_be_repeated(office: Office, behaviour: Refuse | Hang | Cut) -> None:
    """Whatever became of it: the customer has seen nothing, so it is not UNKNOWN."""
    office.provider.next(behaviour)
    file = await office.kept(PDF)
    assert (await office.send("whatsapp", file)).outcome is Outcome.RETRY
    assert office.provider.received == []
    assert (await office.send("whatsapp", file)).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("changes", "erased", "reason"),
    [
        ({"size": 3}, False, Reason.FILE_OF_OTHERS),
        ({"sha256": "0" * 64}, False, Reason.FILE_OF_OTHERS),
        ({"name": "other.pdf"}, False, Reason.FILE_OF_OTHERS),
        ({"owner_id": "identity-2"}, False, Reason.FILE_GONE),
        ({}, True, Reason.FILE_GONE),
    ],
)
async def test_only_the_stored_file_is_sent(
    office: Office, changes: dict[str, object], reason: str, *, erased: bool
) -> None:
    """Not another one than the reply names, and none of a person who was erased: nothing leaves."""
    file = await office.kept(PDF)
    if erased:
        office.keys.destroy(TENANT, "identity-1")
    with pytest.raises(NotSendable) as refused:
        await office.send("telegram", replace(file, **changes))  # type: ignore[arg-type]  # by name
    assert (refused.value.result.outcome, refused.value.result.reason) == (Outcome.REJECTED, reason)
    assert office.provider.requests == 0
