"""E-mail by SMTP. The answer is 250 only when the mail is in the log and its files are stored, and 451 while they
can't be; so a sending server keeps mail that we could not accept.

Recipients are the addresses of configured e-mail accounts (550 for others; a plus-tag is ignored). The size is
counted while the mail arrives (552). A mail is parsed in a worker process with a limit of CPU time; if parsing takes
more, the mail is accepted as its raw bytes. Origin: SMTP proves nothing and AUTH is not offered. Whether the author
is proven is decided over the raw bytes by the account's `authentication` (`mail_authentication`); unproven mail is
accepted and marked. STARTTLS is offered when there is a certificate.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from aiosmtpd.smtp import SMTP, Envelope, Session

from services.chassis.byte_budget import ByteBudget, ByteShares
from services.chassis.connections import ConnectionLimits, Connections, dropped_counter
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.http import TrustedProxies, address_of, bind
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.ingest.adapters.edges.ingress_limiter import IngressLimiter
from services.ingest.adapters.edges.mail_authentication import MailAuthentication
from services.ingest.adapters.edges.mail_workers import MailWorkers, Unread, WorkerLimits, mail_workers
from services.ingest.adapters.edges.smtp_session import House, SmtpSession
from services.ingest.domain.normalise.mail.headers import canonical
from services.ingest.domain.normalise.mail.mail import resolved, unread_mail
from services.ingest.domain.normalise.mail.origin import Mailbox, with_origin
from services.ingest.domain.normalise.message import IncomingMessage
from services.ingest.domain.normalise.originals import keeps_original, original_of
from services.ingest.domain.reasons import Reason
from services.ingest.domain.reply_token import ReplyToken, token_of
from services.ingest.ports import Account, Accounts, Secrets
from services.ingest.translate.edges import identity_id_of

CHANNEL = "email"
_SWEEP_S = 0.2
_RECIPIENTS = 50
_STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class SmtpLimits:
    """Limits of one mail, of all sessions together, and of each session. `relays`: our own mail servers in front,
    exempt from limits per address."""

    max_bytes: int
    cpu_s: float
    connections: ConnectionLimits
    budget: ByteShares
    relays: TrustedProxies


class MailHandler:
    """Handles aiosmtpd's hooks."""

    def __init__(
        self,
        accounts: Accounts,
        secrets: Secrets,
        ingress_limiter: IngressLimiter,
        workers: MailWorkers,
        authentication: MailAuthentication,
    ) -> None:
        self._authentication = authentication
        self._accounts = accounts
        self._secrets = secrets
        self._ingress_limiter = ingress_limiter
        self._workers = workers
        self._log = get_logger(__name__)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept only the addresses of our own accounts."""
        if self._account(address) is None:
            self._refuse(550, Reason.UNKNOWN_RECIPIENT)
            return "550 5.1.1 there is no such mailbox here"
        if len(envelope.rcpt_tos) >= _RECIPIENTS:
            return "452 4.5.3 too many recipients, send the rest in another transaction"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Accept one mail, once for each of its recipients' accounts."""
        raw = bytes(envelope.original_content or b"")
        sender = envelope.mail_from or ""
        peer = str(session.peer[0]) if session.peer else ""
        taken: dict[tuple[str, str], tuple[Account, str]] = {}
        for recipient in envelope.rcpt_tos:
            account = self._account(recipient)
            if account is not None:
                taken.setdefault((account.tenant, account.account), (account, recipient))
        try:
            for account, recipient in taken.values():
                known = await self._authentication.check(account, raw, peer)
                message = with_origin(
                    await self._parsed(account, raw, sender, recipient), known, self._mailbox(account)
                )
                result = await self._ingress_limiter.take(account, (message,))
                if result.refused is not None:
                    raise result.refused
        except ChaparError as error:
            return self._failed(error)
        self._ingress_limiter.answered(CHANNEL, 250, "")
        return "250 2.0.0 OK, the message is durable"

    async def handle_exception(self, error: Exception) -> str:
        """Answer so that the sending server keeps its mail, whatever failed."""
        self._log.error("smtp session failed", error=type(error).__name__, exc_info=error)
        self._refuse(451, Reason.INTERNAL)
        return "451 4.3.0 internal error, send it again later"

    async def _parsed(self, account: Account, raw: bytes, sender: str, recipient: str) -> IncomingMessage:
        secret = self._secrets.get(account, "reply_token") if "reply_token" in account.secrets else None

        def token(message_id: str) -> ReplyToken | None:
            return token_of(message_id, secret) if secret is not None else None

        own = account.settings.get("message_id_domain", "")
        # Whatever the parser makes of the mail, its bytes can be downloaded, unless the account keeps none.
        original = original_of(CHANNEL, raw) if keeps_original(CHANNEL, account.settings) else None
        message = await self._workers.read(account.tenant, raw, sender, recipient, own, account.default_language)
        if isinstance(message, Unread):
            self._ingress_limiter.refuse(CHANNEL, message.reason)
            unread = await asyncio.to_thread(unread_mail, raw, sender, recipient)
            return replace(unread, original=original)
        return replace(resolved(message, token), original=original)

    def _mailbox(self, account: Account) -> Mailbox:
        return Mailbox(
            lambda address: identity_id_of(account, address), lambda address: self._account(address) is not None
        )

    def _account(self, address: str) -> Account | None:
        local, _, domain = canonical(address).rpartition("@")
        return self._accounts.by_address(f"{local}@{domain}") or self._accounts.by_address(
            f"{local.partition('+')[0]}@{domain}"
        )

    def _failed(self, error: ChaparError) -> str:
        if error.kind is ErrorKind.TOO_LARGE:
            self._refuse(552, error.reason)
            return "552 5.3.4 the text of the message is too large"
        self._refuse(451, error.reason)
        return "451 4.3.2 the message cannot be accepted right now, send it again later"

    def _refuse(self, code: int, reason: str) -> None:
        self._ingress_limiter.answered(CHANNEL, code, reason)
        self._ingress_limiter.refuse(CHANNEL, reason)


@asynccontextmanager
async def smtp_server(
    accounts: Accounts,
    secrets: Secrets,
    ingress_limiter: IngressLimiter,
    limits: SmtpLimits,
    metrics: Metrics,
    authentication: MailAuthentication,
    *,
    host: str,
    port: int,
    hostname: str,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    """Serve until the block ends; yields the address. Raises UNAVAILABLE PORT_IN_USE."""
    # It logs addresses and bodies at INFO and DEBUG; errors come to `handle_exception`.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    loop = asyncio.get_running_loop()
    house = House(
        Connections(limits.connections, loop.time, dropped_counter(metrics, "smtp")),
        ByteBudget(limits.budget),
        limits.relays,
        limits.max_bytes,
        metrics.gauge("chapar_edge_connections").labels(CHANNEL).set,
        lambda code, reason: _refused(ingress_limiter, code, reason),
    )
    sessions: set[SmtpSession] = set()
    async with mail_workers(WorkerLimits(limits.cpu_s)) as workers:
        handler = MailHandler(accounts, secrets, ingress_limiter, workers, authentication)

        def session() -> SmtpSession:
            made = SmtpSession(
                handler,
                house,
                sessions.discard,
                hostname=hostname,
                ident="Chapar",
                enable_SMTPUTF8=True,
                tls_context=tls,
                auth_exclude_mechanism=("LOGIN", "PLAIN"),
                loop=loop,
            )
            sessions.add(made)
            return made

        listener = bind(host, port)
        try:
            server = await loop.create_server(session, sock=listener)
            sweeper = loop.create_task(_sweep(house.connections), name="smtp deadlines")
            try:
                yield address_of(listener)
            finally:
                server.close()
                await _settle(sessions)
                sweeper.cancel()
                await asyncio.wait([sweeper])
        finally:
            listener.close()


async def _sweep(connections: Connections) -> None:
    while True:
        await asyncio.sleep(_SWEEP_S)
        connections.sweep()


def _refused(ingress_limiter: IngressLimiter, code: int, reason: str) -> None:
    ingress_limiter.answered(CHANNEL, code, reason)
    ingress_limiter.refuse(CHANNEL, reason)


async def _settle(sessions: "set[SmtpSession]") -> None:
    """Wait until mails that are being accepted have their answer, then close the connections."""
    busy = [each._handler_coroutine for each in sessions if each.transport is not None and each._handler_coroutine]
    for each in tuple(sessions):
        if each.transport is not None and not (each.envelope is not None and each.envelope.content):
            each.transport.close()
    if busy:
        await asyncio.wait(busy, timeout=_STOP_S)
    for each in tuple(sessions):
        each.hang_up()
