"""E-mail over a real SMTP conversation: 250 means durable, and unusual mail is kept, not lost."""

import asyncio
import smtplib
from email.message import EmailMessage
from pathlib import Path

import pytest
import uvloop

from chapar.common.v1 import types_pb2
from services.chassis.errors import ChaparError
from services.chassis.http import bind
from tests.fixtures.broker import KafkaUnderTest
from tests.integration.ingest.edges.conftest import Edges, configuration, ingest, install

pytestmark = pytest.mark.kafka

SUPPORT = "support@demo.example"


def plain_mail(subject: str = "سفارش ۱۲۳", text: str = "سلام، سفارش من نرسیده است.") -> EmailMessage:
    """Return an ordinary mail of a customer."""
    mail = EmailMessage()
    mail["From"] = "مریم احمدی <Maryam@Shop.Example>"
    mail["To"] = SUPPORT
    mail["Subject"] = subject
    mail["Message-ID"] = "<m1@shop.example>"
    mail.set_content(text)
    return mail


async def send(edges: Edges, raw: bytes, sender: str = "maryam@shop.example", to: str = SUPPORT) -> tuple[int, bytes]:
    """Return the edge's answer to DATA (or to RCPT, if that was refused)."""
    host, _, port = edges.service.endpoints["smtp"].rpartition(":")

    def talk() -> tuple[int, bytes]:
        with smtplib.SMTP(host, int(port), timeout=20) as client:
            client.ehlo("test.example")
            client.mail(sender)
            code, answer = client.rcpt(to)
            return (code, answer) if code != 250 else client.data(raw)

    return await asyncio.to_thread(talk)


async def test_a_mail_is_in_the_log_when_it_is_accepted(edges: Edges) -> None:
    """250 means durable: text, subject, name, language and the data for an answer; the identity is only claimed."""
    code, _ = await send(edges, plain_mail().as_bytes())
    assert code == 250
    (record,) = await edges.inbound(1)
    message = record.message
    assert message.text == "سلام، سفارش من نرسیده است."
    assert message.subject == "سفارش ۱۲۳"
    assert message.language == "fa"
    assert message.identity.native_id == "maryam@shop.example"
    assert message.identity.display_name == "مریم احمدی"
    assert not message.identity.verified
    assert message.native_message_id == "<m1@shop.example>"
    assert message.reply_context["message_id"] == "<m1@shop.example>"
    assert not message.no_auto_reply


async def test_the_null_return_path_reaches_the_log_as_a_machines(edges: Edges) -> None:
    """The library passes "<>", which is neither an address nor an identity."""
    mail = plain_mail(subject="Out of office")
    mail["In-Reply-To"] = "<ours@demo.example>"
    assert (await send(edges, mail.as_bytes(), sender=""))[0] == 250
    (record,) = await edges.inbound(1)
    message = record.message
    assert message.automatic.kind == types_pb2.AUTOMATIC_KIND_AUTO_REPLY
    assert "null_return_path" in message.automatic.evidence
    assert message.no_auto_reply
    assert message.identity.native_id == "maryam@shop.example"


def test_a_mail_is_accepted_on_the_event_loop_of_production(
    kafka: KafkaUnderTest, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """Its transports are not asyncio's: a session that checks their class would accept no mail in production."""

    async def mailed() -> None:
        settings = kafka.settings(prefix)
        await install(settings, configuration())
        async with ingest(settings, tmp_path) as edges:
            assert (await send(edges, plain_mail().as_bytes()))[0] == 250
            (record,) = await edges.inbound(1)
            assert record.message.subject == "سفارش ۱۲۳"

    uvloop.run(mailed())


async def test_a_plus_tag_reaches_the_mailbox_and_strangers_do_not(edges: Edges) -> None:
    """support+anything is support; any other address gets 550."""
    assert (await send(edges, plain_mail().as_bytes(), to="support+x1@demo.example"))[0] == 250
    assert (await send(edges, plain_mail().as_bytes(), to="nobody@demo.example"))[0] == 550


async def test_a_from_of_20_kb_of_quotes_is_accepted(edges: Edges) -> None:
    """The header that takes the standard parser seconds is read at once; the envelope names the sender."""
    raw = b"From: " + b'"' * 20_000 + b" <x@y.example>\r\nSubject: odd\r\n\r\nhello there, please help me\r\n"
    assert (await send(edges, raw))[0] == 250
    (record,) = await edges.inbound(1)
    assert record.message.text.startswith("hello there")
    assert record.message.identity.native_id == "maryam@shop.example"


async def test_a_mail_that_can_not_be_read_is_kept_raw(edges: Edges) -> None:
    """Nested a thousand levels deep: accepted, labelled, its bytes kept."""
    head = b"From: a@b.example\r\nMIME-Version: 1.0\r\n"
    nest = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(1000))
    assert (await send(edges, head + nest + b"\r\nhi\r\n", sender="a@b.example"))[0] == 250
    (record,) = await edges.inbound(1)
    assert record.message.labels["unparsed"] == "true"
    assert record.message.raw.startswith(b"From: a@b.example")


async def test_too_much_mail_is_552_and_the_session_goes_on(edges: Edges) -> None:
    """The size is counted while the mail arrives; a second mail in the same process is accepted."""
    big = plain_mail().as_bytes() + b"x" * 60 + (b"\r\n" + b"y" * 70) * (26 * 1024 * 1024 // 72)
    assert (await send(edges, big))[0] == 552
    assert (await send(edges, plain_mail().as_bytes()))[0] == 250


async def test_a_line_without_end_is_cut_off(edges: Edges) -> None:
    """A client can't fill our memory with a line that never ends."""
    host, _, port = edges.service.endpoints["smtp"].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    await reader.readline()
    for line in (b"HELO x\r\n", b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<support@demo.example>\r\n", b"DATA\r\n"):
        writer.write(line)
        await reader.readline()
    sent = 0
    cut_off = False
    while sent < 400 << 20 and not cut_off:
        writer.write(b"z" * 65536)
        try:
            await writer.drain()
        except ConnectionError:
            cut_off = True
        sent += 65536
    assert cut_off
    assert sent < 100 << 20
    writer.close()


async def test_a_port_in_use_is_one_sentence(edges: Edges) -> None:
    """Two servers can't share a port, and the message says what to do."""
    taken = bind("127.0.0.1", 0)
    taken.listen()
    with pytest.raises(ChaparError, match="is in use"):
        bind("127.0.0.1", taken.getsockname()[1])
    taken.close()
