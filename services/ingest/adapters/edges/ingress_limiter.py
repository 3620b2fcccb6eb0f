"""The path of every message from an edge into the log: limits, ids, publish, count. Edges differ only in the steps
before.

Limits are applied after the proof of origin, so a caller without proof can't use up another's allowance. If one
customer sends too much, only their messages are refused; other customers' messages in the same call are accepted.

Nothing of a provider is refused for a rate, because a provider that gets errors slows the whole account down: what one customer
sends too much is published at once and waits in the intake lane (`lanes/paced_intake.py`), and what the tenant receives too much is
held for some seconds first.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from chapar.ingest.v1 import records_pb2
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.http import peer_key
from services.chassis.metrics import Metrics
from services.chassis.pacing import Rate
from services.ingest.adapters.edges.publisher import MAX_RECORD_BYTES, too_large
from services.ingest.adapters.edges.stated_links import StatedLinks
from services.ingest.adapters.files.keeper import MessageFiles
from services.ingest.domain.limits import Limiter
from services.ingest.domain.normalise.message import IncomingMessage, IncomingReport
from services.ingest.domain.origin import Origin
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Account, Publisher
from services.ingest.translate.edges import inbound_record
from services.ingest.translate.reports import inbound_report


@dataclass(frozen=True, slots=True)
class IngressLimits:
    """Limits on incoming messages."""

    account: Rate
    sender: Rate
    failed_auth: Rate


@dataclass(frozen=True, slots=True)
class Taken:
    """The result for a call's messages. `refused`: the messages that were not accepted, the first with its error."""

    records: tuple[records_pb2.InboundRecord, ...]
    refused: ChaparError | None = None
    refused_count: int = 0


class IngressLimiter:
    """Accepts messages. One instance for all edges of the process."""

    def __init__(
        self,
        publisher: Publisher,
        limits: IngressLimits,
        clock: Clock,
        metrics: Metrics,
        files: MessageFiles | None = None,
        *,
        providers: Publisher | None = None,
        at_once: Publisher | None = None,
    ) -> None:
        """`files`: keeps the messages' files; without it they are only described. `providers`: for calls of providers, never
        refuses for a rate; `at_once`: without any rate. Both are `publisher` by default."""
        self._publisher = publisher
        self._files = files
        self._providers = providers or publisher
        self._at_once = at_once or publisher
        self._links = StatedLinks(self._providers)
        self._beyond = metrics.counter("chapar_edge_beyond_rate_total")
        self._clock = clock
        self._accounts = Limiter(limits.account)
        self._senders = Limiter(limits.sender)
        self._failures = Limiter(limits.failed_auth)
        self._requests = metrics.counter("chapar_edge_requests_total")
        self._refused = metrics.counter("chapar_edge_refused_total")
        self._kept_raw = metrics.counter("chapar_edge_kept_raw_total")
        self._published = metrics.counter("chapar_edge_published_total")
        self._seconds = metrics.histogram("chapar_edge_publish_seconds")
        self._reports = metrics.counter("chapar_edge_reports_total")

    def now_ms(self) -> int:
        """Return the edges' time, ms."""
        return self._clock()

    def failed_proof(self, account: Account, peer: str, reason: str) -> ChaparError | None:
        """Count a call whose proof did not hold. Returns an error, to be used as the answer, when this peer has failed
        at this account too often.

        Only callers without proof are ever limited here, and only at the account where they failed: calls with a
        valid proof never come here.
        """
        self.refuse(account.channel, reason)
        wait = self._failures.take(f"{_place(account)}/{peer_key(peer)}", self._clock())
        if wait <= 0:
            return None
        return ChaparError(
            ErrorKind.EXHAUSTED,
            Reason.TOO_MANY_FAILED_PROOFS,
            "too many calls without a valid proof",
            retry_after_s=max(1.0, min(30.0, wait)),
        )

    def refuse(self, channel: str, reason: str, count: int = 1) -> None:
        """Count refused or ignored messages."""
        self._refused.labels(channel, reason).inc(count)

    def answered(self, channel: str, code: int, reason: str) -> None:
        """Count an answer."""
        self._requests.labels(channel, str(code), reason).inc()

    async def take(
        self,
        account: Account,
        messages: Sequence[IncomingMessage],
        origin: Origin | None = None,
        *,
        from_provider: bool = False,
    ) -> Taken:
        """Make the messages and their files durable, except those that are too large or over a limit. Raises UNAVAILABLE
        when the broker or the file store is unreachable. `origin`: of all messages of a call whose proof covers them all;
        otherwise their own. `from_provider`: no limit applies here."""
        now = self._clock()
        begun = time.monotonic()
        place = _place(account)
        wait = self._accounts.take(place, now, len(messages))
        if wait > 0 and from_provider:
            self._beyond.labels(account.tenant, account.channel, Reason.ACCOUNT_RATE).inc(len(messages))
        elif wait > 0:
            self.refuse(account.channel, Reason.ACCOUNT_RATE, len(messages))
            raise _too_many(Reason.ACCOUNT_RATE, "this account takes no more messages right now", wait)
        records: list[records_pb2.InboundRecord] = []
        beyond: list[records_pb2.InboundRecord] = []
        taken: list[IncomingMessage] = []
        refused: ChaparError | None = None
        for message in messages:
            wait = self._senders.take(f"{place}/{message.native_id}", now)
            if wait > 0 and not from_provider:
                self.refuse(account.channel, Reason.SENDER_RATE)
                refused = refused or _too_many(
                    Reason.SENDER_RATE, "this customer sends too many messages right now", wait
                )
                continue
            if self._files is not None:
                message = await self._files.kept(account, message)
            record = inbound_record(account, message, now, origin)
            if record.ByteSize() > MAX_RECORD_BYTES and message.content:
                record.message.ClearField("raw")  # the text counts more
            if record.ByteSize() > MAX_RECORD_BYTES:
                self.refuse(account.channel, Reason.MESSAGE_TOO_LARGE)
                refused = refused or too_large()
                continue
            if wait > 0:
                self._beyond.labels(account.tenant, account.channel, Reason.SENDER_RATE).inc()
                beyond.append(record)
            else:
                records.append(record)
            taken.append(message)
        if records or beyond:
            publishing = self._publish(self._providers if from_provider else self._publisher, records, beyond)
            try:
                if self._files is not None and any(message.original is not None for message in taken):
                    await asyncio.gather(publishing, self._files.keep_originals(account, taken))
                else:
                    await publishing
                records += beyond
                await self._links.make(account, taken, now, origin)
            except ChaparError as error:
                if error.kind is ErrorKind.EXHAUSTED:  # the tenant's quota
                    self.refuse(account.channel, error.reason, len(records))
                raise
            self._published.labels(account.tenant, account.channel).inc(len(records))
            raw = sum(bool(message.raw) for message in taken)
            if raw:
                self._kept_raw.labels(account.tenant, account.channel).inc(raw)
            self._seconds.labels(account.tenant, account.channel).observe(time.monotonic() - begun)
        return Taken(tuple(records), refused, len(messages) - len(records))

    async def _publish(
        self, way: Publisher, records: Sequence[records_pb2.InboundRecord], beyond: Sequence[records_pb2.InboundRecord]
    ) -> None:
        await way.publish([(record.message.identity.identity_id, record) for record in records])
        if beyond:
            await self._at_once.publish([(each.message.identity.identity_id, each) for each in beyond])

    async def report(self, account: Account, reports: Sequence[IncomingReport]) -> None:
        """Make a provider's reports about our messages durable. Raises UNAVAILABLE when the broker is unreachable.

        The limits on customers do not apply: the number of reports depends on what we send.
        """
        if not reports:
            return
        records = [inbound_report(account, report, self._clock()) for report in reports]
        await self._providers.publish([(record.report.identity_id, record) for record in records])
        for report in reports:
            self._reports.labels(account.tenant, account.channel, report.state.name).inc()


def _place(account: Account) -> str:
    return f"{account.tenant}/{account.channel}/{account.account}"


def _too_many(reason: str, message: str, wait_s: float) -> ChaparError:
    return ChaparError(ErrorKind.EXHAUSTED, reason, message, retry_after_s=max(1.0, wait_s))
