"""Sends mail by SMTP: plain text in UTF-8, threaded, with a Message-ID by which the answer finds its conversation.

Until the server has received the text, every failure is clear (RETRY or refused by code). From then on only the
server's answer counts: without one the outcome is UNKNOWN, because the server may have accepted the mail. Automatic
mail is marked (`Auto-Submitted`) and has the null sender, so that no other machine answers it.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, formataddr
from typing import Final
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib.errors import (
    SMTPException,
    SMTPNotSupported,
    SMTPResponseException,
)

from services.chassis.destinations import Destinations
from services.chassis.pinned import Refused, Resolve, connected_socket, system_resolve
from services.ingest.adapters.out.account import SendingAccount, Unconfigured
from services.ingest.adapters.out.client import Part
from services.ingest.domain import reply_token, retry_classes
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.messages import Purpose, Route
from services.ingest.domain.reasons import Reason
from services.ingest.domain.recipients import customer_address, recipients
from services.ingest.domain.retry_classes import PartResult

CUSTOMER_ONLY: Final = "customer"
"""The value of the setting `recipients` that allows no other address."""
_QUIT_S: Final = 2.0
_MAX_REFERENCES: Final = 20
_AUTOMATIC: Final = frozenset({Purpose.ACKNOWLEDGEMENT, Purpose.SURVEY, Purpose.NOTICE})


@dataclass(frozen=True, slots=True)
class _Server:
    host: str
    port: int
    tls: bool
    start_tls: bool | None
    user: str
    password: str


class EmailClient:
    """Settings: `address`, `recipients`, `from_name`, `smtp_url` (smtp://[user[:password]@]host[:port], smtps://…).

    Secrets: `reply_token`, `smtp_password`."""

    def __init__(
        self,
        rules: Destinations,
        *,
        timeout_s: float = 30.0,
        local_hostname: str = "localhost",
        resolve: Resolve = system_resolve,
    ) -> None:
        self._rules = rules
        self._resolve = resolve
        self._timeout_s = timeout_s
        self._local_hostname = local_hostname

    async def send(self, part: Part, account: SendingAccount) -> PartResult:
        """Send one mail in one SMTP session."""
        server = _server(account)
        sent_to = recipients(part.route, part.to, part.cc, _addresses(account))
        others = set(sent_to.everyone) - {customer_address(part.route)}
        if others and account.setting("recipients") == CUSTOMER_ONLY:
            return PartResult(outcome=Outcome.REJECTED, reason=Reason.RECIPIENTS_NOT_ALLOWED)
        if not sent_to.to:
            return PartResult(outcome=Outcome.REJECTED, reason=Reason.OWN_ADDRESS)
        to, cc = ([_ascii_address(each) for each in kind] for kind in (sent_to.to, sent_to.cc))
        everyone = [each for each in (*to, *cc) if each is not None]
        if len(everyone) < len(sent_to.everyone):
            return PartResult(outcome=Outcome.REJECTED, reason=Reason.ADDRESS_NOT_ASCII)
        try:
            addresses = everyone[: len(to)], everyone[len(to) :]
            if part.files:  # base64 of many bytes
                message_id, mail = await asyncio.to_thread(_compose, part, account, *addresses)
            else:
                message_id, mail = _compose(part, account, *addresses)
        except (ValueError, MessageError):
            return PartResult(outcome=Outcome.REJECTED, reason=Reason.UNSENDABLE_HEADER)
        sender = "" if part.purpose in _AUTOMATIC else _sender(account)
        result = await self._session(server, sender, everyone, mail)
        if result.outcome is Outcome.ACCEPTED:
            return PartResult(outcome=Outcome.ACCEPTED, native_id=message_id)
        return result

    def recipient(self, part_route: Route) -> tuple[str, bool]:
        """Return where an answer goes: Reply-To as the edge accepted it, or the sender's address."""
        return customer_address(part_route), False

    async def _session(self, server: _Server, sender: str, everyone: Sequence[str], mail: bytes) -> PartResult:
        """Send one mail to all of its recipients or to none: when the server refuses one of them, nothing is sent."""
        try:
            async with asyncio.timeout(self._timeout_s):
                made = await connected_socket(server.host, server.port, self._rules, self._resolve)
        except Refused:
            return PartResult(outcome=Outcome.HALTED, reason=Reason.RELAY_REFUSED)
        except (OSError, TimeoutError):
            return PartResult(outcome=Outcome.RETRY, reason=Reason.NO_CONNECTION)
        client = aiosmtplib.SMTP(
            hostname=server.host,
            sock=made,
            use_tls=server.tls,
            start_tls=server.start_tls,
            timeout=self._timeout_s,
            local_hostname=self._local_hostname,
        )
        phase = "connect"
        try:
            await client.connect()
            if server.user:
                phase = "login"
                await client.login(server.user, server.password)
            phase = "sender"
            await client.mail(sender)
            phase = "recipient"
            for recipient in everyone:
                await client.rcpt(recipient)
            phase = "data"
            answered = await client.data(mail)
            return retry_classes.smtp(answered.code, phase)
        except SMTPResponseException as error:
            return retry_classes.smtp(error.code, phase)
        except SMTPNotSupported:
            return PartResult(outcome=Outcome.HALTED, reason=Reason.SMTP_LOGIN_NOT_OFFERED)
        except (SMTPException, OSError, TimeoutError) as error:
            if phase != "data":
                return PartResult(outcome=Outcome.RETRY, reason=Reason.NO_CONNECTION)
            timed_out = isinstance(error, TimeoutError)
            return PartResult(outcome=Outcome.UNKNOWN, reason=Reason.TIMEOUT if timed_out else Reason.CONNECTION_CUT)
        finally:
            await _leave(client)
            if phase == "connect":
                made.close()  # otherwise the client owned the connection and has closed it


async def _leave(client: aiosmtplib.SMTP) -> None:
    """Send QUIT if the server is still there; the outcome is already known."""
    if client.is_connected:
        with contextlib.suppress(SMTPException, OSError, TimeoutError):
            async with asyncio.timeout(_QUIT_S):
                await client.quit()
    client.close()


def _compose(part: Part, account: SendingAccount, to: Sequence[str], cc: Sequence[str]) -> tuple[str, bytes]:
    address = _sender(account)
    secret = account.secret("reply_token")
    message_id = reply_token.message_id(
        part.conversation_id,
        part.delivery_id,
        secret,
        address.rpartition("@")[2] or "localhost",
        part.route.identity.identity_id,
    )
    # 7bit: base64 or quoted-printable, because the next server may not support 8BITMIME.
    mail = EmailMessage(policy=SMTP_POLICY.clone(cte_type="7bit"))
    mail["From"] = formataddr((_one_line(account.setting("from_name")), address))
    mail["To"] = ", ".join(to)
    if cc:
        mail["Cc"] = ", ".join(cc)
    mail["Subject"] = _subject(part.route.subject)
    mail["Date"] = format_datetime(datetime.fromtimestamp(part.now_ms / 1000, UTC))
    mail["Message-ID"] = message_id
    answered = _one_line(part.route.context.get("message_id", ""))
    if answered:
        mail["In-Reply-To"] = answered
        before = [r for r in part.route.context.get("references", "").split() if r != answered]
        mail["References"] = " ".join([*before[-_MAX_REFERENCES:], answered])
    if part.purpose in _AUTOMATIC:
        acknowledges = part.purpose is Purpose.ACKNOWLEDGEMENT
        mail["Auto-Submitted"] = "auto-replied" if acknowledges else "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(part.text)
    for file in part.files:
        family, _, kind = file.content_type.partition("/")
        if family in ("message", "multipart", "text"):  # as bytes: a mail or a text that is attached is not changed
            family, kind = "application", "octet-stream"
        mail.add_attachment(file.content, maintype=family, subtype=kind, filename=file.name or "file")
    return message_id, mail.as_bytes()


def _subject(subject: str) -> str:
    subject = _one_line(subject)[:200]
    if not subject:
        return "Re:"
    return subject if subject.casefold().startswith(("re:", "پاسخ:")) else f"Re: {subject}"


def _sender(account: SendingAccount) -> str:
    """Return the first of the account's addresses."""
    return _addresses(account)[0]


def _addresses(account: SendingAccount) -> list[str]:
    return account.required("address").replace(",", " ").split()


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _ascii_address(address: str) -> str | None:
    """Return the address with its domain in IDNA; None when the local part needs SMTPUTF8, which few servers support."""
    local, at, domain = address.strip().rpartition("@")
    if not at or not local or not local.isascii() or any(c in "\r\n <>" for c in local + domain):
        return None
    try:
        return f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return None


def _server(account: SendingAccount) -> _Server:
    url = urlsplit(account.required("smtp_url"))
    try:
        port = url.port
    except ValueError:
        raise Unconfigured("smtp_url") from None
    if url.scheme not in ("smtp", "smtps", "smtp+starttls") or not url.hostname:
        raise Unconfigured("smtp_url")
    user = unquote(url.username or "")
    password = unquote(url.password or "")
    if user and not password:
        password = account.secret("smtp_password")
    tls = url.scheme == "smtps"
    start_tls = True if url.scheme == "smtp+starttls" else (False if tls else None)
    return _Server(url.hostname, port or (465 if tls else 587 if start_tls else 25), tls, start_tls, user, password)
