"""Performs attempts and publishes each outcome to outbound.v1 until the log has it.

- `turn` applies the rates of account and recipient before an attempt is recorded: a submitted attempt leaves at once.
  Only the further parts of a long text wait here, for their recipient.
- Accounts are independent of each other: if the provider of one hangs, no other account waits.
- An outcome is published repeatedly until it is durable or the process ends. If the process ends first, the next owner
  treats the attempt as UNKNOWN.
- On `stop`, attempts that have not begun are given back (NOT_ATTEMPTED), and attempts in flight get a grace period to
  end.
- Any exception of a client after it may have sent something is UNKNOWN.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from services.chassis.clock import Clock
from services.chassis.errors import ChaparError
from services.chassis.ids import random_id
from services.chassis.kafka.producer import BrokerUnavailable
from services.chassis.kafka.records import Headers
from services.chassis.keys import tenant_key
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.chassis.pacing import Rate
from services.chassis.privacy.sealing import Keys, bare, seal
from services.ingest.adapters.out.account import SendingAccount, Unconfigured
from services.ingest.adapters.out.attached import AttachedFiles, NotSendable
from services.ingest.adapters.out.client import ChannelClient, Part
from services.ingest.domain.attempts import AttemptJob
from services.ingest.domain.channel_rules import ChannelRules, account_rate, channel_rules
from services.ingest.domain.deliveries import NOT_ATTEMPTED, Finished, Outcome
from services.ingest.domain.limits import Limiter, Moments
from services.ingest.domain.messages import Route
from services.ingest.domain.reasons import Reason
from services.ingest.domain.retry_classes import PartResult
from services.ingest.domain.sent_files import planned
from services.ingest.ports import Secrets
from services.ingest.translate import headers
from services.ingest.translate.sender import finished_record
from services.policy.model.intake import Policies

OUTBOUND: Final = "outbound.v1"
_REPUBLISH_S: Final = 0.5
_KEPT_MS: Final = 86_400_000

Publish = Callable[[bytes, bytes, Headers], Awaitable[object]]
"""Writes (key, value, headers) to outbound.v1; returns when durable, raises BrokerUnavailable when it may not be durable."""


@dataclass(slots=True)
class _Line:
    """The queue of one account."""

    jobs: "asyncio.Queue[AttemptJob]" = field(default_factory=asyncio.Queue)


class AttemptWorker:
    """Implements `lanes.attempts.Attempts`. `run` it in a task that outlives the lane; then call `stop` and await the
    task."""

    def __init__(
        self,
        clients: Mapping[str, ChannelClient],
        policies: Policies,
        secrets: Secrets,
        publish: Publish,
        metrics: Metrics,
        keys: Keys,
        *,
        clock: Clock,
        attached: AttachedFiles,
        concurrency: int = 128,
        grace_s: float = 8.0,
        owner: str | None = None,
    ) -> None:
        """`concurrency`: attempts of one account at the same time. `grace_s`: how long attempts in flight may take
        after `stop`."""
        self.owner = owner if owner is not None else random_id()
        self._clients = clients
        self._policies = policies
        self._secrets = secrets
        self._publish = publish
        self._keys = keys
        self._clock = clock
        self._attached = attached
        self._concurrency = concurrency
        self._grace_s = grace_s
        self._known: dict[tuple[str, int], int] = {}
        self._published: set[tuple[str, int]] = set()
        self._lines: dict[tuple[str, str, str], _Line] = {}
        self._moments: dict[tuple[float, float], Moments] = {}
        self._recipients: dict[tuple[str, bool], Limiter] = {}
        self._new_lines: asyncio.Queue[_Line] = asyncio.Queue()
        self._stopping = asyncio.Event()
        self._log = get_logger(__name__)
        self._seconds = metrics.histogram("chapar_sender_seconds")
        self._waiting = metrics.combined("chapar_sender_waiting")

    # ---- calls by the lane

    def turn(self, tenant: str, route: Route) -> int:
        """See `Attempts`. Returns the later of the account's and the recipient's next time."""
        where, now_ms = route.identity, self._clock()
        rules = channel_rules(where.channel) or ChannelRules()
        account, client = self._account_of(tenant, route), self._clients.get(where.channel)
        limits = account_rate(rules, account.policy) if account is not None else (rules.per_second, rules.burst)
        at_ms = self._moments_by(limits).reserve(f"{tenant}/{where.channel}/{where.account}", now_ms)
        if client is None:
            return at_ms
        address, group = client.recipient(route)
        per_second = rules.group_per_second if group and rules.group_per_second else rules.chat_per_second
        recipients = self._moments_by((per_second, rules.chat_burst))
        return max(at_ms, recipients.reserve(f"{tenant}/{where.channel}/{where.account}/{address}", now_ms))

    def _moments_by(self, limits: tuple[float, float]) -> Moments:
        """Return the times shared by all with the same rate. After a configuration change, an account uses those of its
        new rate."""
        moments = self._moments.get(limits)
        if moments is None:
            moments = self._moments[limits] = Moments(Rate(*limits))
        return moments

    def submit(self, job: AttemptJob) -> None:
        """See `Attempts`."""
        now_ms = self._clock()
        self._known[job.delivery.delivery_id, job.delivery.number] = now_ms
        self._prune(now_ms)
        where = job.route.identity
        self._waiting.add(job.tenant, where.channel, by=1)
        key = (job.tenant, where.channel, where.account)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line()
            self._new_lines.put_nowait(line)
        line.jobs.put_nowait(job)

    def knows(self, delivery_id: str, number: int) -> bool:
        """See `Attempts`."""
        return (delivery_id, number) in self._known

    def published(self, delivery_id: str, number: int) -> bool:
        """See `Attempts`."""
        return (delivery_id, number) in self._published

    def forget(self, delivery_id: str, number: int) -> None:
        """See `Attempts`."""
        self._known.pop((delivery_id, number), None)
        self._published.discard((delivery_id, number))

    # ---- running

    def stop(self) -> None:
        """Start no more attempts; `run` returns when those in flight have ended, or their grace period is over."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until `stop`, or until cancelled, which first stops in the same way."""
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self._serve())
            try:
                await asyncio.wait({serving})
            except asyncio.CancelledError:
                self.stop()
                await asyncio.wait({serving}, timeout=self._grace_s + 2.0)
                raise

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(self._stopping.wait())
            while not self._stopping.is_set():
                coming = tasks.create_task(self._new_lines.get())
                if await _first(coming, stopping):
                    tasks.create_task(self._line(coming.result()))

    async def _line(self, line: _Line) -> None:
        """Perform one account's attempts in order of submission, at most `concurrency` at the same time."""
        places = asyncio.Semaphore(self._concurrency)
        under_way: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(self._stopping.wait())
            while True:
                # Get a slot first: a job that was removed from the queue must not wait for anything that can hang.
                room = tasks.create_task(places.acquire())
                if not await _first(room, stopping):
                    break
                coming = tasks.create_task(line.jobs.get())
                if not await _first(coming, stopping):
                    break
                job = coming.result()
                task = tasks.create_task(self._attempt(job))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                task.add_done_callback(lambda _: places.release())
            while not line.jobs.empty():
                await self._report(line.jobs.get_nowait(), _not_attempted(), [])
            if under_way:
                _, late = await asyncio.wait(under_way, timeout=self._grace_s)
                for task in late:
                    task.cancel()

    async def _turn(self, pace: Limiter, key: str) -> bool:
        """Wait; return True when it is the key's turn, False when the worker stops."""
        while (wait_s := pace.take(key, self._clock())) > 0:
            try:
                async with asyncio.timeout(wait_s):
                    await self._stopping.wait()
            except TimeoutError:
                continue
            return False
        return True

    async def _attempt(self, job: AttemptJob) -> None:
        accepted: list[str] = []
        try:
            result = await self._parts(job, accepted)
        except Unconfigured as error:
            result = PartResult(outcome=Outcome.HALTED, reason=error.reason[:60])
        except ChaparError as error:
            result = PartResult(outcome=Outcome.HALTED, reason=error.reason)
        except Exception as error:  # noqa: BLE001 - after any exception something may have been sent: report UNKNOWN
            self._log.error("a client failed", channel=job.route.identity.channel, error=type(error).__name__)
            result = PartResult(outcome=Outcome.UNKNOWN, reason=Reason.CLIENT_FAILED)
        await self._report(job, result, accepted)

    async def _parts(self, job: AttemptJob, accepted: list[str]) -> PartResult:
        """Send the parts that are not yet accepted, in order; the first that is not accepted ends the attempt."""
        where = job.route.identity
        client, account, rules = self._clients.get(where.channel), self._account(job), self._rules(job)
        if client is None:
            return PartResult(outcome=Outcome.REJECTED, reason=Reason.CHANNEL_CANNOT_SEND)
        if account is None:
            return PartResult(outcome=Outcome.HALTED, reason=Reason.ACCOUNT_NOT_CONFIGURED)
        request = job.delivery.request
        parts = planned(request.text, request.attachments, rules, where.channel)
        address, group = client.recipient(job.route)
        pace, to = self._recipient_pace(where.channel, rules, group), f"{job.tenant}/{where.account}/{address}"
        result = PartResult(outcome=Outcome.ACCEPTED)
        first = len(job.delivery.native_ids)
        for index in range(first, len(parts)):
            if index == first:
                pace.take(to, self._clock())  # it has had its turn; the next part counts from this time
            elif not await self._turn(pace, to):
                return _not_attempted()
            if self._keys.current(job.tenant, where.identity_id) is None:
                return _not_attempted()  # the customer was erased while it waited for its turn
            part = Part(
                conversation_id=job.conversation_id,
                delivery_id=job.delivery.delivery_id,
                request_id=request.request_id,
                interaction_id=request.interaction_id,
                text=parts[index].text,
                purpose=request.purpose,
                author_id=request.author_id,
                route=job.route,
                index=index,
                count=len(parts),
                template=request.template,
                now_ms=self._clock(),
                to=request.to,
                cc=request.cc,
            )
            try:
                async with self._attached.of(job.tenant, parts[index].files) as files:
                    began = self._clock()
                    result = await client.send(replace(part, files=files), account)
            except NotSendable as error:
                return error.result
            self._seconds.labels(job.tenant, where.channel).observe(max(0, self._clock() - began) / 1000)
            if result.outcome is not Outcome.ACCEPTED:
                return result
            accepted.append(result.native_id)
        return result

    async def _report(self, job: AttemptJob, result: PartResult, accepted: list[str]) -> None:
        """Publish until the log has it: a lost outcome makes the message UNKNOWN for ever."""
        self._waiting.add(job.tenant, job.route.identity.channel, by=-1)
        event = Finished(
            delivery_id=job.delivery.delivery_id,
            attempt=job.delivery.number,
            outcome=result.outcome,
            reason=result.reason,
            native_ids=tuple(accepted),
            retry_after_ms=result.retry_after_ms,
            migrated_to=result.migrated_to,
        )
        finished = finished_record(job.tenant, job.conversation_id, event, self._clock())
        key = tenant_key(job.tenant, job.conversation_id)
        own = self._keys.current(job.tenant, job.route.identity.identity_id)
        # For a customer who was erased meanwhile, only the end of the attempt is written.
        record = seal(finished, own, OUTBOUND, key) if own is not None else bare(finished)
        while True:
            try:
                await self._publish(key, record, headers.of_outbound(finished))
            except BrokerUnavailable:
                await asyncio.sleep(_REPUBLISH_S)
            else:
                break
        attempt = job.delivery.delivery_id, job.delivery.number
        if attempt in self._known:  # the lane may have handled the outcome already
            self._published.add(attempt)

    # ---- internal

    def _account(self, job: AttemptJob) -> SendingAccount | None:
        return self._account_of(job.tenant, job.route)

    def _account_of(self, tenant: str, route: Route) -> SendingAccount | None:
        policy = self._policies().get(tenant)
        where = route.identity
        found = policy.accounts.get((where.channel, where.account)) if policy is not None else None
        return SendingAccount(tenant, found, self._secrets) if found is not None else None

    def _rules(self, job: AttemptJob) -> ChannelRules:
        return channel_rules(job.route.identity.channel) or ChannelRules()

    def _recipient_pace(self, channel: str, rules: ChannelRules, group: bool) -> Limiter:
        pace = self._recipients.get((channel, group))
        if pace is None:
            per_second = rules.group_per_second if group and rules.group_per_second else rules.chat_per_second
            pace = self._recipients[channel, group] = Limiter(Rate(per_second, rules.chat_burst))
        return pace

    def _prune(self, now_ms: int) -> None:
        """Drop attempts whose outcome was handled by another process: for them `forget` is never called here."""
        while self._known:
            oldest = next(iter(self._known))
            if self._known[oldest] + _KEPT_MS > now_ms:
                return
            del self._known[oldest]
            self._published.discard(oldest)


async def _first(wanted: "asyncio.Task[Any]", stopping: "asyncio.Task[Any]") -> bool:
    """Wait for either; return True when the wanted one has ended. Otherwise it is cancelled."""
    await asyncio.wait({wanted, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if wanted.done():
        return True
    wanted.cancel()
    return False


def _not_attempted() -> PartResult:
    return PartResult(outcome=Outcome.RETRY, reason=NOT_ATTEMPTED)
