"""The intake lane: inbound.v1 -> conversations.v1, outbound.v1, routing.commands.v1, feedback.commands.v1, in one transaction a batch.

State: one entry per identity (`c/…`) and its chunks of message ids (`s/…/n`). Repetitions end here: whatever an edge wrote twice, because a provider
retried or a broker's answer was lost, becomes one message. A record is refused (dead letter) before anything of it is written.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final, assert_never

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
from services.chassis.questions import answer_question
from services.ingest import translate_lanes as translate
from services.ingest.domain import effects
from services.ingest.domain.conversations import Customer
from services.ingest.domain.decisions import MAX_HOPS, Decision, IntakeLimits, Refused
from services.ingest.domain.intake import Intake
from services.ingest.domain.messages import Message
from services.ingest.domain.policy import Policies, TenantPolicy
from services.ingest.domain.seen import SeenIds
from services.ingest.lanes.inbound_records import decoded, event_of, forwarded, identity_of_repetition, key_of
from services.ingest.lanes.timers import Timers

SPEC: Final = LaneSpec("ingest-intake", "inbound.v1", "ingest-intake.state.v1", "ingest-intake")
_RETRY_UNCONFIGURED_MS: Final = 5_000
_DEFAULT_LIMITS: Final = IntakeLimits()
_DEFAULT_TUNING: Final = LaneTuning()


def intake_lane(
    kafka: KafkaAccess,
    policies: Policies,
    metrics: Metrics,
    *,
    clock: Callable[[], int],
    client_id: str,
    lane_metrics: LaneMetrics,
    limits: IntakeLimits = _DEFAULT_LIMITS,
    tuning: LaneTuning = _DEFAULT_TUNING,
    heap: Heap | None = None,
) -> LaneRunner:
    """The lane, to be run once at least one tenant's configuration is known: records of unknown tenants become dead letters."""
    counters = IntakeCounters(metrics)
    return LaneRunner(
        SPEC,
        lambda context: IntakeProcessor(context.partition, policies, counters, limits),
        kafka,
        clock=clock,
        client_id=client_id,
        tuning=tuning,
        metrics=lane_metrics,
        on_lost=counters.lost,
        heap=heap,
    )


def intake_factory(
    policies: Policies, metrics: Metrics, limits: IntakeLimits = _DEFAULT_LIMITS
) -> Callable[[LaneContext], Processor]:
    """Makes the processor of a partition."""
    counters = IntakeCounters(metrics)
    return lambda context: IntakeProcessor(context.partition, policies, counters, limits)


class IntakeCounters:
    """What the lane counts, once it is durable."""

    def __init__(self, metrics: Metrics) -> None:
        self._families = {
            "messages": metrics.counter("chapar_intake_messages_total"),
            "duplicates": metrics.counter("chapar_intake_duplicates_total"),
            "opened": metrics.counter("chapar_intake_interactions_opened_total"),
            "unroutable": metrics.counter("chapar_intake_unroutable_total"),
        }
        self._gauge = metrics.gauge("chapar_intake_open_interactions").labels()
        self._open: dict[int, int] = {}

    def add(self, counted: Counter[tuple[str, ...]]) -> None:
        """Names and labels to how many."""
        for (name, *labels), many in counted.items():
            self._families[name].labels(*labels).inc(many)

    def restored(self, partition: int, open_: int) -> None:
        """A partition is ours, with so many open interactions."""
        self._open[partition] = open_
        self._gauge.set(sum(self._open.values()))

    def open_changed(self, partition: int, by: int) -> None:
        """So many more (or fewer) are open."""
        self.restored(partition, self._open.get(partition, 0) + by)

    def lost(self, partition: int) -> None:
        """A partition is no longer ours."""
        self._open.pop(partition, None)
        self._gauge.set(sum(self._open.values()))


class IntakeProcessor:
    """Decisions of one partition of inbound.v1."""

    def __init__(self, partition: int, policies: Policies, counters: IntakeCounters, limits: IntakeLimits) -> None:
        self._partition = partition
        self._policies = policies
        self._counters = counters
        self._limits = limits
        self._intake = Intake(derive, limits)
        self._state = translate.IntakeState()
        self._customers: dict[str, Customer] = {}
        self._seen: dict[str, SeenIds] = {}
        self._timers = Timers()
        self._now_ms = 0
        self._policy: dict[str, TenantPolicy] = {}
        self._counted: Counter[tuple[str, ...]] = Counter()
        self._opened = 0

    # ---- the lane's calls

    def restore(self, key: bytes, value: bytes) -> None:
        """See `contract.Processor`."""
        if key.startswith(translate.CUSTOMER_STATE):
            customer = self._state.customer(value)
            owner = self._state.customer_owner(key)
            self._customers[owner] = customer
            self._schedule(owner)
        elif key.startswith(translate.SEEN_STATE):
            owner = self._state.seen_owner(key)
            self._seen_of(owner).load(self._state.chunk(value))
            self._schedule(owner)

    def start(self, now_ms: int, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        threads = (customer.conversation for customer in self._customers.values())
        open_ = sum(1 for thread in threads if thread is not None and thread.interaction is not None)
        outbox.after_commit(lambda: self._counters.restored(self._partition, open_))

    def begin(self, now_ms: int) -> None:
        """See `contract.Processor`."""
        self._now_ms = now_ms
        self._policy = dict(self._policies())

    def handle(self, record: Record, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        inbound = decoded(record)
        if not inbound.question_id:
            self._handle(record, inbound, outbox)
            return
        # Somebody waits for this: a refusal is an answer, and nothing is left behind for an operator to look at.
        try:
            done = self._handle(record, inbound, outbox)
        except InvalidRecord as refused:
            self._verdict(inbound, refused.reason, refused.detail, outbox)
        else:
            if done:
                self._verdict(inbound, "", "", outbox)

    def _handle(self, record: Record, inbound: records_pb2.InboundRecord, outbox: Outbox) -> bool:
        """Whether it ends here; otherwise another identity's lane has the last word."""
        policy = self._policy.get(inbound.tenant)
        if policy is None:
            raise InvalidRecord("UNKNOWN_TENANT", f"no configuration for tenant {inbound.tenant!r}")
        key, identity_id = key_of(record, inbound.tenant)
        event = event_of(inbound)
        known = self._customers.get(key)
        if isinstance(event, Message) and event.identity.tenant != inbound.tenant:
            raise InvalidRecord("TENANT_MISMATCH", "the identity belongs to another tenant")
        once = identity_of_repetition(event)
        channel = event.identity.channel if isinstance(event, Message) else ""
        if once and self._repeated(key, once, inbound.hops):
            if isinstance(event, Message):
                self._counted["duplicates", channel] += 1
            passed_on = known is not None and bool(known.home) and once not in self._seen_of(key)
            if passed_on and inbound.question_id:
                # Who asks again has not heard the verdict, which is the home's.
                self._write(effects.Forwarded(known.home if known is not None else ""), inbound.tenant, outbox, inbound)
            return not passed_on
        if inbound.hops > MAX_HOPS:
            if known is None or not isinstance(event, Message):
                raise InvalidRecord("TOO_MANY_HOPS", "identities are linked in a circle")
            known = replace(known, home="")  # no message is lost in a circle: the circle ends here
        decision = self._intake.decide(identity_id, known, event, self._now_ms, policy)
        if isinstance(decision, Refused):
            raise InvalidRecord(decision.reason, decision.detail)
        if isinstance(event, Message) and decision.note != "FORWARDED":
            self._counted["messages", channel] += 1
        self._apply(key, decision, inbound.tenant, outbox, inbound)
        if once:
            self._remember(key, forwarded(once) if decision.note == "FORWARDED" else once, outbox)
        self._schedule(key)
        return decision.note not in ("FORWARDED", "LINK_CONFIRMED")

    def _verdict(self, inbound: records_pb2.InboundRecord, refused: str, detail: str, outbox: Outbox) -> None:
        answer_question(outbox, "ingest.verdicts.v1", inbound.tenant, inbound.question_id, refused, detail)

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        for key in self._timers.pop_due(now_ms):
            seen = self._seen.get(key)
            if seen is not None:
                for number in seen.evict(now_ms):
                    outbox.delete(self._state.seen_key(key, number))
                if not len(seen):
                    del self._seen[key]
            customer = self._customers.get(key)
            if customer is not None:
                self._expire(key, customer, now_ms, outbox)
            self._schedule(key)

    def end(self, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        if self._counted or self._opened:
            counted, opened = self._counted, self._opened
            self._counted, self._opened = Counter(), 0
            outbox.after_commit(lambda: self._counters.add(counted))
            outbox.after_commit(lambda: self._counters.open_changed(self._partition, opened))

    def next_wakeup(self) -> int | None:
        """See `contract.Processor`."""
        return self._timers.next()

    # ---- parts

    def _expire(self, key: str, customer: Customer, now_ms: int, outbox: Outbox) -> None:
        policy = self._policy.get(customer.identity.tenant)
        if policy is None:
            # The tenant was taken out of the configuration: what it left waits until it is back, and is looked at now and then.
            self._timers.set(key, now_ms + _RETRY_UNCONFIGURED_MS)
            return
        decision = self._intake.expire(customer, now_ms, policy)
        if isinstance(decision, Refused):
            self._timers.set(key, now_ms + _RETRY_UNCONFIGURED_MS)
            return
        self._apply(key, decision, customer.identity.tenant, outbox, None)

    def _apply(
        self,
        key: str,
        decision: Decision,
        tenant: str,
        outbox: Outbox,
        inbound: records_pb2.InboundRecord | None,
    ) -> None:
        """Write first, remember last: what the outbox refuses has changed nothing here."""
        for effect in decision.effects:
            self._write(effect, tenant, outbox, inbound)
        before = self._customers.get(key)
        if decision.customer is None:
            if before is not None:
                outbox.delete(self._state.customer_key(key))
                del self._customers[key]
            if decision.note == "ERASED":
                self._forget_ids(key, outbox)
        elif decision.customer is not before:
            outbox.put(self._state.customer_key(key), self._state.encode(decision.customer))
            self._customers[key] = decision.customer

    def _write(
        self, effect: effects.Effect, tenant: str, outbox: Outbox, inbound: records_pb2.InboundRecord | None
    ) -> None:
        match effect:
            case (
                effects.ConversationStarted()
                | effects.MessageRecorded()
                | effects.InteractionStarted()
                | effects.InteractionEnded()
                | effects.ConversationForgotten()
            ):
                record = translate.conversation_record(effect, tenant, self._now_ms, derive)
                outbox.send("conversations.v1", tenant_key(tenant, effect.conversation_id), record.SerializeToString())
                self._count_interaction(effect)
                if isinstance(effect, effects.ConversationForgotten):
                    forgotten = records_pb2.OutboundRecord(
                        tenant=tenant, conversation_id=effect.conversation_id, route=records_pb2.ReplyRoute()
                    )
                    outbox.send(
                        "outbound.v1", tenant_key(tenant, effect.conversation_id), forgotten.SerializeToString()
                    )
            case effects.RouteKnown():
                known = records_pb2.OutboundRecord(
                    tenant=tenant,
                    conversation_id=effect.conversation_id,
                    route=translate.route_record(effect.route, only_if_missing=effect.only_if_missing),
                )
                outbox.send("outbound.v1", tenant_key(tenant, effect.conversation_id), known.SerializeToString())
            case effects.SendAsked():
                asked = records_pb2.OutboundRecord(
                    tenant=tenant,
                    conversation_id=effect.conversation_id,
                    request=translate.request_record(effect.request, tenant),
                )
                outbox.send("outbound.v1", tenant_key(tenant, effect.conversation_id), asked.SerializeToString())
            case effects.Enqueue() | effects.TellMessaged() | effects.TellLeft():
                command = translate.routing_command(effect, tenant, self._now_ms, derive)
                key = translate.routing_key(tenant, effect.pool)
                outbox.send("routing.commands.v1", key, command.SerializeToString())
            case effects.AnswerGiven():
                answer = translate.answer_command(effect, tenant, self._now_ms, derive)
                outbox.send("feedback.commands.v1", tenant_key(tenant, effect.person_id), answer.SerializeToString())
            case effects.Forwarded():
                assert inbound is not None
                further = records_pb2.InboundRecord()
                further.CopyFrom(inbound)
                further.hops += 1
                if effect.checked and further.HasField("outbound"):
                    further.outbound.checked = True
                elif effect.checked:
                    further.follow_up.checked = True
                outbox.send("inbound.v1", tenant_key(tenant, effect.identity_id), further.SerializeToString())
            case effects.LinkConfirmed():
                assert inbound is not None
                confirmed = records_pb2.InboundRecord()
                confirmed.CopyFrom(inbound)
                confirmed.link.home_identity_id, confirmed.link.confirmed = effect.home_identity_id, True
                outbox.send("inbound.v1", tenant_key(tenant, effect.identity_id), confirmed.SerializeToString())
            case _:
                assert_never(effect)

    def _count_interaction(self, effect: effects.Effect) -> None:
        if isinstance(effect, effects.InteractionStarted):
            self._opened += 1
            self._counted["opened", effect.channel, effect.queue] += 1
            if not effect.rule:
                self._counted["unroutable", effect.channel, effect.reason] += 1
            for _ in effect.failed_rules:
                self._counted["unroutable", effect.channel, "RULE_FAILED"] += 1
        elif isinstance(effect, effects.InteractionEnded):
            self._opened -= 1

    def _repeated(self, key: str, once: str, hops: int) -> bool:
        """Whether it was taken here before, or forwarded from here when it came from an edge.

        One that comes back to where it was forwarded is no repetition but a circle of links: it goes on until its hops are used up.
        """
        seen = self._seen.get(key)
        return seen is not None and (once in seen or (hops == 0 and forwarded(once) in seen))

    def _remember(self, key: str, once: str, outbox: Outbox) -> None:
        chunk, gone = self._seen_of(key).add(once, self._now_ms)
        outbox.put(self._state.seen_key(key, chunk.number), self._state.encode(chunk))
        for number in gone:
            outbox.delete(self._state.seen_key(key, number))

    def _forget_ids(self, key: str, outbox: Outbox) -> None:
        """Ids of messages hold nothing personal, but they are about a person who asked to be forgotten."""
        seen = self._seen.pop(key, None)
        for number in seen.numbers() if seen is not None else ():
            outbox.delete(self._state.seen_key(key, number))

    def _seen_of(self, key: str) -> SeenIds:
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = SeenIds(self._limits.duplicate_window_ms, self._limits.duplicate_ids_most)
        return seen

    def _schedule(self, key: str) -> None:
        customer, seen = self._customers.get(key), self._seen.get(key)
        dues = [self._intake.due_ms(customer)] if customer is not None else []
        eviction = seen.next_eviction_ms() if seen is not None else None
        if eviction is not None:
            dues.append(eviction)
        self._timers.set(key, min(dues) if dues else None)
