"""The sender lane: outbound.v1 -> deliveries.v1, conversations.v1, deadletters.v1; and attempts, performed only after the commit that records them.

State: one entry per conversation (`t/…`: route and live deliveries) and chunks of delivery ids (`s/…/n`) against repetitions.

Taking over: an ATTEMPTING entry that this very process never submitted (its commit was durable but its effect did not run)
is free to go again; one that it submitted goes on; any other is an orphan. A marker written to the lane's own input
partition at the takeover tells when everything written before it has been read; a grace later an orphan without outcome
is UNKNOWN.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final, assert_never

from google.protobuf.message import DecodeError

from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from services.chassis.kafka.clients import KafkaAccess
from services.chassis.kafka.heap import Heap
from services.chassis.kafka.lane import (
    InvalidRecord,
    LaneContext,
    LaneMetrics,
    LaneRunner,
    LaneSpec,
    LaneTuning,
    Outbox,
    Processor,
    Record,
)
from services.chassis.keys import tenant_key
from services.chassis.metrics import Metrics
from services.ingest import translate_sender as translate
from services.ingest.domain import deliveries as words
from services.ingest.domain.attempts import AttemptJob, Attempts
from services.ingest.domain.deliveries import Gate, SenderLimits, Status, Thread, ThreadDecision, place_of
from services.ingest.domain.halts import Halts
from services.ingest.domain.seen import SeenIds
from services.ingest.domain.sending import Sending
from services.ingest.lanes.timers import Timers
from services.ingest.translate_lanes import send_request

SPEC: Final = LaneSpec("ingest-sender", "outbound.v1", "ingest-sender.state.v1", "ingest-sender")
TAKEOVER_HEADER: Final = "sender-takeover"
_DEFAULT_LIMITS: Final = SenderLimits()
_DEFAULT_TUNING: Final = LaneTuning(linger=0.02)  # most records are reply routes, for which nobody waits


def sender_lane(
    kafka: KafkaAccess,
    attempts: Attempts,
    metrics: Metrics,
    *,
    clock: Callable[[], int],
    client_id: str,
    lane_metrics: LaneMetrics,
    limits: SenderLimits = _DEFAULT_LIMITS,
    tuning: LaneTuning = _DEFAULT_TUNING,
    heap: Heap | None = None,
) -> LaneRunner:
    """The lane. `attempts` must outlive it."""
    return LaneRunner(
        SPEC,
        sender_factory(attempts, metrics, limits),
        kafka,
        clock=clock,
        client_id=client_id,
        tuning=tuning,
        metrics=lane_metrics,
        heap=heap,
    )


def sender_factory(
    attempts: Attempts, metrics: Metrics, limits: SenderLimits = _DEFAULT_LIMITS
) -> Callable[[LaneContext], Processor]:
    """Makes the processor of a partition."""
    counters = SenderCounters(metrics)
    return lambda context: SenderProcessor(context, attempts, counters, limits)


class SenderCounters:
    """What the lane counts, once it is durable."""

    def __init__(self, metrics: Metrics) -> None:
        self._families = {
            "attempts": metrics.counter("chapar_sender_attempts_total"),
            "retries": metrics.counter("chapar_sender_retries_total"),
            "unknown": metrics.counter("chapar_sender_unknown_total"),
            "dead_letters": metrics.counter("chapar_sender_dead_letters_total"),
        }

    def add(self, counted: Counter[tuple[str, ...]]) -> None:
        """Names and labels to how many."""
        for (name, *labels), many in counted.items():
            self._families[name].labels(*labels).inc(many)


class SenderProcessor:
    """Decisions of one partition of outbound.v1."""

    def __init__(
        self, context: LaneContext, attempts: Attempts, counters: SenderCounters, limits: SenderLimits
    ) -> None:
        self._context = context
        self._attempts = attempts
        self._counters = counters
        self._limits = limits
        self._sending = Sending(limits)
        self._state = translate.SenderState()
        self._threads: dict[str, Thread] = {}
        self._seen: dict[str, SeenIds] = {}
        self._timers = Timers()
        self._halts = Halts(limits)
        self._in_flight: set[str] = set()
        self._blocked: deque[str] = deque()
        self._now_ms = 0
        self._counted: Counter[tuple[str, ...]] = Counter()

    # ---- the lane's calls

    def restore(self, key: bytes, value: bytes) -> None:
        """See `contract.Processor`."""
        if key.startswith(translate.THREAD_STATE):
            thread = self._state.thread(value)
            self._threads[thread.place] = thread
        elif key.startswith(translate.SEEN_STATE):
            self._seen_of(self._state.seen_owner(key)).load(self._state.chunk(value))

    def start(self, now_ms: int, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        self._now_ms = now_ms
        orphans = False
        for thread in list(self._threads.values()):
            for delivery in thread.deliveries:
                if delivery.status is not Status.ATTEMPTING:
                    continue
                if self._attempts.knows(delivery.delivery_id, delivery.number):
                    self._in_flight.add(delivery.delivery_id)
                elif delivery.owner == self._attempts.owner:
                    # Ours, and never submitted: the commit was durable, but its effect did not run.
                    thread = thread.having(replace(delivery, status=Status.WAITING, due_ms=now_ms))
                else:
                    thread = thread.having(replace(delivery, status=Status.ORPHANED, due_ms=0))
                    orphans = True
            # Only in memory: should we be replaced at once, our successor must come to its own conclusions.
            self._threads[thread.place] = thread
        for place in {*self._threads, *self._seen}:
            self._schedule(place)
        if orphans:
            outbox.send(
                "outbound.v1",
                b"sender-takeover",
                b"",
                headers=((TAKEOVER_HEADER, b"%d" % self._context.epoch),),
                partition=self._context.partition,
            )

    def begin(self, now_ms: int) -> None:
        """See `contract.Processor`."""
        self._now_ms = now_ms

    def handle(self, record: Record, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        takeover = next((value for name, value in record.headers if name == TAKEOVER_HEADER), None)
        if takeover is not None:
            self._caught_up(takeover)
            return
        outbound = _decoded(record)
        place = place_of(outbound.tenant, outbound.conversation_id)
        thread = self._threads.get(place)
        if outbound.WhichOneof("record") == "route" and not outbound.route.identity.identity_id:
            self._forget(place, outbox)
            return
        if outbound.route.only_if_missing and thread is not None and thread.route is not None:
            return
        event = _event(outbound)
        if thread is None:
            if isinstance(event, words.Finished):
                return
            thread = Thread(conversation_id=outbound.conversation_id, tenant=outbound.tenant, active_at_ms=self._now_ms)
        if isinstance(event, words.Asked):
            if event.delivery_id in self._seen.get(place, ()):
                return
            decision = self._sending.decide(thread, event, self._now_ms, self._gate(thread.tenant))
            self._apply(decision, outbox)
            if not any(
                isinstance(e, words.GivenUp) and e.delivery.delivery_id == event.delivery_id for e in decision.effects
            ):
                self._remember(place, event.delivery_id, outbox)
        else:
            if isinstance(event, words.Finished):
                self._learn(thread, event, outbox)
            self._apply(self._sending.decide(thread, event, self._now_ms, self._gate(thread.tenant)), outbox)
        self._schedule(place)
        self._unblock(outbox)

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        for place in self._timers.pop_due(now_ms):
            seen = self._seen.get(place)
            if seen is not None:
                for number in seen.evict(now_ms):
                    outbox.delete(self._state.seen_key(place, number))
                if not len(seen):
                    del self._seen[place]
            thread = self._threads.get(place)
            if thread is not None:
                if self._sending.idle(thread, now_ms):
                    del self._threads[place]
                    outbox.delete(self._state.thread_key(place))
                else:
                    self._apply(self._sending.wake(thread, now_ms, self._gate(thread.tenant)), outbox)
            self._schedule(place)
        self._unblock(outbox)

    def end(self, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        if self._counted:
            counted, self._counted = self._counted, Counter()
            outbox.after_commit(lambda: self._counters.add(counted))

    def next_wakeup(self) -> int | None:
        """See `contract.Processor`."""
        return self._timers.next()

    # ---- parts

    def _gate(self, tenant: str) -> Gate:
        return Gate(
            room=len(self._in_flight) < self._limits.max_in_flight,
            halted_until=lambda channel, account: self._halts.until(tenant, channel, account),
            owner=self._attempts.owner,
        )

    def _learn(self, thread: Thread, event: words.Finished, outbox: Outbox) -> None:
        """What an outcome says beyond its own delivery: about the account, and that the attempt may be forgotten."""
        delivery = thread.find(event.delivery_id)
        if delivery is None or delivery.number != event.attempt or thread.route is None:
            return
        outbox.after_commit(lambda: self._attempts.forget(event.delivery_id, event.attempt))
        where = thread.route.identity
        self._counted["attempts", where.channel, event.outcome.name] += 1
        match event.outcome:
            case words.Outcome.HALTED:
                self._halts.halted(thread.tenant, where.channel, where.account, self._now_ms)
            case words.Outcome.ACCEPTED | words.Outcome.REJECTED | words.Outcome.UNREACHABLE:
                self._halts.answered(thread.tenant, where.channel, where.account)
            case words.Outcome.RETRY:
                self._counted["retries", where.channel, event.reason or "RETRY"] += 1
            case words.Outcome.UNKNOWN | words.Outcome.UNSPECIFIED:
                pass
            case _:
                assert_never(event.outcome)

    def _apply(self, decision: ThreadDecision, outbox: Outbox) -> None:
        thread = decision.thread
        before = self._threads.get(thread.place)
        for effect in decision.effects:
            self._write(thread, effect, outbox)
        if thread is not before:
            outbox.put(self._state.thread_key(thread.place), self._state.encode(thread))
            self._threads[thread.place] = thread
            for delivery in before.deliveries if before is not None else ():
                self._in_flight.discard(delivery.delivery_id)
            self._in_flight.update(d.delivery_id for d in thread.deliveries if d.status is Status.ATTEMPTING)
        if decision.blocked and thread.place not in self._blocked:
            self._blocked.append(thread.place)

    def _write(self, thread: Thread, effect: words.Effect, outbox: Outbox) -> None:
        key = tenant_key(thread.tenant, thread.conversation_id)
        match effect:
            case words.DeliveryChanged():
                changed = translate.delivery_record(
                    thread, effect.delivery, effect.state, effect.reason, self._now_ms, derive
                )
                outbox.send("deliveries.v1", key, changed.SerializeToString())
                if effect.state is words.DeliveryState.UNKNOWN and thread.route is not None:
                    self._counted["unknown", thread.route.identity.channel] += 1
            case words.MessageSent():
                sent = translate.sent_message(thread, effect, self._now_ms, derive)
                outbox.send("conversations.v1", key, sent.SerializeToString())
            case words.GivenUp():
                letter = translate.dead_letter(
                    thread, effect.delivery, effect.reason, SPEC.name, self._context.partition, self._now_ms
                )
                outbox.send("deadletters.v1", key, letter.SerializeToString())
                channel = thread.route.identity.channel if thread.route is not None else ""
                self._counted["dead_letters", channel, effect.reason] += 1
                self._allow_again(thread.place, effect.delivery.delivery_id, outbox)
            case words.Attempt():
                job = AttemptJob(thread.tenant, thread.conversation_id, effect.delivery, effect.route)
                outbox.after_commit(lambda: self._attempts.submit(job))
            case _:
                assert_never(effect)

    def _unblock(self, outbox: Outbox) -> None:
        """Those that came while too much was under way, in their order."""
        while self._blocked and len(self._in_flight) < self._limits.max_in_flight:
            place = self._blocked.popleft()
            thread = self._threads.get(place)
            if thread is not None:
                self._apply(self._sending.wake(thread, self._now_ms, self._gate(thread.tenant)), outbox)
                self._schedule(place)

    def _caught_up(self, takeover: bytes) -> None:
        """Everything written before our takeover has been read: from now on the orphans' grace counts."""
        if takeover != b"%d" % self._context.epoch:
            return
        for thread in list(self._threads.values()):
            for delivery in thread.deliveries:
                if delivery.status is Status.ORPHANED and not delivery.due_ms:
                    due_ms = self._now_ms + self._limits.orphan_grace_ms
                    thread = thread.having(replace(delivery, due_ms=due_ms))
            self._threads[thread.place] = thread
            self._schedule(thread.place)

    def _forget(self, place: str, outbox: Outbox) -> None:
        """A route without identity: the customer is erased."""
        thread = self._threads.pop(place, None)
        if thread is not None:
            self._in_flight.difference_update(d.delivery_id for d in thread.deliveries)
            outbox.delete(self._state.thread_key(place))
        self._schedule(place)

    def _remember(self, place: str, delivery_id: str, outbox: Outbox) -> None:
        chunk, gone = self._seen_of(place).add(delivery_id, self._now_ms)
        outbox.put(self._state.seen_key(place, chunk.number), self._state.encode(chunk))
        for number in gone:
            outbox.delete(self._state.seen_key(place, number))

    def _allow_again(self, place: str, delivery_id: str, outbox: Outbox) -> None:
        seen = self._seen.get(place)
        chunk = seen.discard(delivery_id) if seen is not None else None
        if chunk is not None:
            outbox.put(self._state.seen_key(place, chunk.number), self._state.encode(chunk))

    def _seen_of(self, place: str) -> SeenIds:
        seen = self._seen.get(place)
        if seen is None:
            seen = SeenIds(self._limits.duplicate_window_ms, self._limits.duplicate_ids_most)
            self._seen[place] = seen
        return seen

    def _schedule(self, place: str) -> None:
        thread, seen = self._threads.get(place), self._seen.get(place)
        dues = []
        if thread is not None and place not in self._blocked:
            dues.append(self._sending.due_ms(thread))
        eviction = seen.next_eviction_ms() if seen is not None else None
        if eviction is not None:
            dues.append(eviction)
        self._timers.set(place, min(dues) if dues else None)


def _decoded(record: Record) -> records_pb2.OutboundRecord:
    if record.value is None:
        raise InvalidRecord("UNDECODABLE", "a tombstone is nothing to send")
    try:
        outbound = records_pb2.OutboundRecord.FromString(record.value)
    except DecodeError as error:
        raise InvalidRecord("UNDECODABLE", "not an OutboundRecord") from error
    if (
        not outbound.tenant
        or not outbound.conversation_id
        or record.key != tenant_key(outbound.tenant, outbound.conversation_id)
    ):
        raise InvalidRecord("INCOMPLETE", "tenant and conversation are needed, and the key is tenant/conversation")
    return outbound


def _event(outbound: records_pb2.OutboundRecord) -> words.Event:
    try:
        match outbound.WhichOneof("record"):
            case "route":
                return translate.route(outbound.route)
            case "request":
                if not outbound.request.request_id:
                    raise InvalidRecord("INCOMPLETE", "a request needs its id")
                delivery_id = derive(outbound.tenant, outbound.request.request_id)
                return words.Asked(delivery_id, send_request(outbound.request))
            case "finished":
                return translate.finished(outbound.finished)
            case _:
                raise InvalidRecord("UNKNOWN_RECORD", "written by a newer version")
    except ValueError as error:
        raise InvalidRecord("UNKNOWN_VALUE", str(error)) from error
