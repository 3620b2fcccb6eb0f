"""The machines behind the demo's mailboxes: the first reply by e-mail gets an out-of-office notice, the second comes back as a bounce."""

from __future__ import annotations

import asyncio
import smtplib
import uuid
from collections.abc import Callable
from email.message import EmailMessage
from functools import partial
from typing import Final

from services.cli.demo.customers import World, persist
from services.cli.demo.ledger import MARK
from services.cli.local.providers import Received


class Machines:
    """Replies by e-mail that a machine answers: one each, to two customers."""

    def __init__(self) -> None:
        self._answers = [self._away, self._bounce]
        self._addresses: set[str] = set()
        self._waiting: asyncio.Queue[tuple[Callable[[World, str, Received], bytes], str, Received]] = asyncio.Queue()

    def arrived(self, message: Received) -> None:
        """Answer this message, if it is an agent's reply by e-mail and a machine is left."""
        marks = [mark for mark in MARK.findall(message.text) if mark.startswith("#r")]
        if message.channel == "email" and marks and self._answers and message.recipient not in self._addresses:
            self._addresses.add(message.recipient)
            self._waiting.put_nowait((self._answers.pop(0), marks[0], message))

    async def answer(self, world: World) -> None:
        """Answer until cancelled. A mail that ingest does not take is repeated."""
        while True:
            make, mark, message = await self._waiting.get()
            mail = make(world, mark, message)
            await persist(partial(asyncio.to_thread, _deliver, world.smtp, mail, message.account))

    def _away(self, world: World, mark: str, message: Received) -> bytes:
        own = world.mark()
        world.sent.acknowledged[own] = "email"
        world.sent.auto_replies[own] = mark
        mail = EmailMessage()
        mail["From"] = message.recipient
        mail["To"] = message.account
        mail["Subject"] = "پاسخ خودکار: در دفتر نیستم"
        mail["Message-ID"] = f"<{uuid.uuid4().hex}@mail.example>"
        mail["In-Reply-To"] = message.native_id
        mail["Auto-Submitted"] = "auto-replied"
        mail.set_content(f"تا شنبه در مرخصی هستم. {own}")
        return mail.as_bytes()

    def _bounce(self, world: World, mark: str, message: Received) -> bytes:
        world.sent.bounces.add(mark)
        return _REPORT.format(
            to=message.account, recipient=message.recipient, own=uuid.uuid4().hex, message_id=message.native_id
        ).encode()


_REPORT: Final = """From: MAILER-DAEMON@mail.example
To: {to}
Subject: Undelivered Mail Returned to Sender
Message-ID: <{own}@mail.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="{own}"

--{own}
Content-Type: text/plain

The mailbox of the recipient is full.
--{own}
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example

Final-Recipient: rfc822; {recipient}
Action: failed
Status: 5.2.2
Diagnostic-Code: smtp; 552 5.2.2 mailbox full
--{own}
Content-Type: text/rfc822-headers

Message-ID: {message_id}
To: {recipient}
--{own}--
"""
"""A delivery report (RFC 3464)."""


def _deliver(server: str, mail: bytes, to: str) -> bool:
    host, _, port = server.rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=10) as session:
        return not session.sendmail("<>", [to], mail)
