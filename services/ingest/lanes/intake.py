"""The intake lane: inbound.v1 -> conversations.v1, outbound.v1, routing.commands.v1, feedback.commands.v1, in one
transaction per batch.

State: one entry per identity (`c/…`), its chunks of message ids (`s/…/n`), blocked senders (`b/…`), and the places up to which notices of the
relay were handled (`o/…`). In memory, identities without open work are packed (`resting`). Duplicates end here: a message
that an edge wrote twice, because a provider retried or a broker's answer was lost, is handled once; so is a notice that the
relay wrote twice (`chassis.kafka.relayed`). A record is refused (dead letter) before anything of it is written.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from chapar.ingest.v1 import records_pb2
from services.chassis.ids import derive
from services.chassis.kafka.lane import (
    InvalidRecord,
    LaneContext,
    LaneSpec,
    Outbox,
    Processor,
    Record,
)
from services.chassis.kafka.relayed import RelayedPlaces
from services.chassis.metrics import Metrics
from services.chassis.pacing import NO_LIMIT, Rate
from services.chassis.privacy.lanes import EntryKeys
from services.chassis.privacy.sealing import DataKey, Keys, is_erased
from services.chassis.questions import answer_question
from services.ingest.domain import effects
from services.ingest.domain.conversations import Customer
from services.ingest.domain.decisions import MAX_HOPS, IntakeDecision, IntakeLimits, Refused
from services.ingest.domain.intake import Event, Intake
from services.ingest.domain.messages import Erasure, Message
from services.ingest.domain.reasons import Reason
from services.ingest.domain.seen import SeenIds
from services.ingest.domain.shared_preferences import SharedPreferences
from services.ingest.domain.stated_reports import StatedReport
from services.ingest.lanes.blocked_senders import BlockedSenders
from services.ingest.lanes.inbound_records import decoded, forwarded, identity_of_repetition, key_of
from services.ingest.lanes.intake_counters import IntakeCounters
from services.ingest.lanes.intake_outputs import IntakeOutputs, there
from services.ingest.lanes.paced_intake import paced
from services.ingest.lanes.resting import RESTORED_TOGETHER, RestingStates, State
from services.ingest.lanes.timers import Timers, earliest
from services.ingest.translate import samples
from services.ingest.translate.intake_state import BLOCK_STATE, CUSTOMER_STATE, SEEN_STATE, IntakeState
from services.ingest.translate.keys import is_about_unknown
from services.policy.model.intake import Policies, TenantPolicy

SPEC: Final = LaneSpec("ingest-intake", "inbound.v1", "ingest-intake.state.v1", "ingest-intake")
_RETRY_UNCONFIGURED_MS: Final = 5_000
DEFAULT_LIMITS: Final = IntakeLimits()


def intake_factory(
    policies: Policies,
    metrics: Metrics,
    keys: Keys,
    limits: IntakeLimits = DEFAULT_LIMITS,
    pace: Rate = NO_LIMIT,
    counters: IntakeCounters | None = None,
) -> Callable[[LaneContext], Processor]:
    """Return a factory that creates the processor of a partition. `pace`: of each customer's messages."""
    counted = counters or IntakeCounters(metrics)

    def processor(context: LaneContext) -> Processor:
        return IntakeProcessor(context.partition, policies, counted, limits, keys)

    return paced(processor, pace, keys, metrics)


class IntakeProcessor:
    """Handles one partition of inbound.v1."""

    def __init__(
        self, partition: int, policies: Policies, counters: IntakeCounters, limits: IntakeLimits, keys: Keys
    ) -> None:
        self._partition = partition
        self._keys = keys
        self._entry_keys = EntryKeys(keys, SPEC.changelog_topic)
        self._outputs = IntakeOutputs(keys)
        self._relayed = RelayedPlaces()
        self._policies = policies
        self._counters = counters
        self._limits = limits
        self._intake = Intake(derive, limits)
        self._state = IntakeState()
        self._customers: dict[str, Customer] = {}
        self._blocked = BlockedSenders(self._state, limits.blocked_most)
        self._seen: dict[str, SeenIds] = {}
        self._resting = RestingStates(lambda account: samples.customers(account, self._state.encode))
        self._awake: dict[str, None] = {}  # the keys of this batch
        self._timers = Timers()
        self._now_ms = 0
        self._policy: dict[str, TenantPolicy] = {}
        self._counted: Counter[tuple[str, ...]] = Counter()
        self._opened = 0

    # ---- calls by the lane runner

    def restore(self, key: bytes, value: bytes) -> None:
        """See `contract.Processor`."""
        if key.startswith(CUSTOMER_STATE):
            opened = self._entry_keys.opened(key, value)
            if opened is None:
                return
            customer = self._state.customer(opened)
            owner = self._state.customer_owner(key)
            self._awaken(owner)
            self._customers[owner] = customer
        elif key.startswith(SEEN_STATE):
            owner = self._state.seen_owner(key)
            self._awaken(owner)
            self._seen_of(owner).load(self._state.chunk(value))
        elif key.startswith(BLOCK_STATE):
            self._blocked.restore(key, value)
        else:
            self._relayed.restore(key, value)
        if len(self._awake) >= RESTORED_TOGETHER:
            self._settle()

    def start(self, now_ms: int, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        for entry in self._entry_keys.erased:
            outbox.delete(entry)
        self._settle()
        held = (each for customer in self._customers.values() for each in customer.in_memory)
        open_ = sum(each.interaction is not None for each in held)
        outbox.after_commit(lambda: self._counters.restored(self._partition, open_))

    def begin(self, now_ms: int) -> None:
        """See `contract.Processor`."""
        self._now_ms = now_ms
        self._policy = dict(self._policies())

    def handle(self, record: Record, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        if self._relayed.repeated(record):
            return
        inbound, used = decoded(record, self._keys)
        if not inbound.question_id:
            self._handle(record, inbound, used, outbox)
            self._relayed.handled(record)
            return
        # A caller waits for the verdict: a refusal is returned to the caller and does not become a dead letter.
        try:
            done = self._handle(record, inbound, used, outbox)
        except InvalidRecord as refused:
            self._verdict(inbound, refused.reason, refused.detail, outbox)
        else:
            if done:
                self._verdict(inbound, "", "", outbox)

    def _handle(self, record: Record, inbound: records_pb2.InboundRecord, used: DataKey | None, outbox: Outbox) -> bool:
        """Handle a record. Returns True if the verdict is made here, False if another identity's lane makes it."""
        if is_erased(inbound):
            # The person was erased after the edge wrote the record.
            self._counted["erased", "intake"] += 1
            return self._nobody(inbound)
        policy = self._policy.get(inbound.tenant)
        if policy is None:
            raise InvalidRecord(Reason.UNKNOWN_TENANT, f"no configuration for tenant {inbound.tenant!r}")
        if used is None and is_about_unknown(inbound):
            return self._nobody(inbound)
        key, identity_id = key_of(record, inbound.tenant)
        self._awaken(key)
        if inbound.HasField("sender_block"):
            return self._block(key, inbound, used, outbox)
        event = self._blocked.event_of(key, inbound, self._now_ms)
        known = self._customers.get(key)
        if isinstance(event, Message) and event.identity.tenant != inbound.tenant:
            raise InvalidRecord(Reason.TENANT_MISMATCH, "the identity belongs to another tenant")
        own = self._key_of(key, known, used, inbound.tenant)
        if own is None and not isinstance(event, Erasure | StatedReport):
            # The person is being erased; the record that makes this lane forget them will arrive.
            self._counted["erased", "intake"] += known is not None
            return self._nobody(inbound)
        once = identity_of_repetition(event)
        channel = event.identity.channel if isinstance(event, Message) else ""
        if once and self._repeated(key, once, inbound.hops):
            if isinstance(event, Message):
                self._counted["duplicates", inbound.tenant, channel] += 1
            passed_on = known is not None and bool(known.home) and once not in self._seen_of(key)
            if passed_on and inbound.question_id:
                # A repeated question means that the caller has not received the verdict, which the home makes.
                home = effects.Forwarded(known.home if known is not None else "")
                self._outputs.write(home, inbound.tenant, outbox, inbound, used or own, self._now_ms)
            return not passed_on
        if inbound.hops > MAX_HOPS:
            if known is None or not isinstance(event, Message):
                raise InvalidRecord(Reason.TOO_MANY_HOPS, "identities are linked in a cycle")
            known = replace(known, home="")  # no message is lost in a cycle: the message is handled here
        decision = self._intake.decide(identity_id, known, event, self._now_ms, policy)
        if isinstance(decision, Refused):
            raise InvalidRecord(decision.reason, decision.detail)
        self._count(event, decision, inbound.tenant, channel or inbound.report.channel)
        theirs = not isinstance(event, SharedPreferences)  # what another identity's lane passes on becomes our own
        self._apply(key, decision, inbound.tenant, outbox, inbound, (used if theirs else own) or own)
        if once:
            self._remember(key, forwarded(once) if decision.note == "FORWARDED" else once, outbox)
        return decision.note not in ("FORWARDED", "LINK_CONFIRMED")

    def _block(self, key: str, inbound: records_pb2.InboundRecord, used: DataKey | None, outbox: Outbox) -> bool:
        """Block the sender of this key, or end their block. An identity that was erased can only be unblocked."""
        asked, own = inbound.sender_block, self._key_of(key, self._customers.get(key), used, inbound.tenant)
        once = derive("sender-block", asked.request_id)
        if self._repeated(key, once, inbound.hops):
            return True
        if own is None and not self._blocked.holds(key, self._now_ms):
            return self._nobody(inbound)
        self._blocked.change(key, asked, own, outbox, self._now_ms)
        self._remember(key, once, outbox)
        return True

    def _nobody(self, inbound: records_pb2.InboundRecord) -> bool:
        """Do nothing for a person without a key. A caller who waits gets a refusal, not OK."""
        if inbound.question_id:
            reason = Reason.UNKNOWN_HOME if inbound.link.home_identity_id else Reason.UNKNOWN_IDENTITY
            raise InvalidRecord(reason, "this identity is not known, or was erased")
        return True

    def _verdict(self, inbound: records_pb2.InboundRecord, refused: str, detail: str, outbox: Outbox) -> None:
        answer_question(outbox, "ingest.verdicts.v1", inbound.tenant, inbound.question_id, refused, detail)

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        self._blocked.advance(now_ms, outbox)
        for key in (*self._timers.pop_due(now_ms), *self._resting.pop_due(now_ms)):
            self._awaken(key)
            seen = self._seen.get(key)
            if seen is not None:
                for number in seen.evict(now_ms):
                    outbox.delete(self._state.seen_key(key, number))
                if not len(seen):
                    del self._seen[key]
            customer = self._customers.get(key)
            if customer is not None and not self._expired(key, customer, now_ms, outbox):
                self._timers.set(key, now_ms + _RETRY_UNCONFIGURED_MS)
                del self._awake[key]

    def end(self, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        self._relayed.save(outbox)
        self._settle()
        if self._counted or self._opened:
            counted, opened = self._counted, self._opened
            self._counted, self._opened = Counter(), 0
            outbox.after_commit(lambda: self._counters.add(counted))
            outbox.after_commit(lambda: self._counters.open_changed(self._partition, opened))

    def next_wakeup(self) -> int | None:
        """See `contract.Processor`."""
        return earliest(self._timers.next(), self._resting.next(), self._blocked.next_end())

    # ---- internal

    def _expired(self, key: str, customer: Customer, now_ms: int, outbox: Outbox) -> bool:
        """Apply the passing of time. Returns False if that is not possible now."""
        policy = self._policy.get(customer.identity.tenant)
        if policy is None:
            # The tenant was removed from the configuration: its state waits for its return and is checked from time to
            # time.
            return False
        tenant = customer.identity.tenant
        own = self._key_of(key, customer, None, tenant)
        decision = self._intake.expire(customer, now_ms, policy) if own is not None else None
        if decision is None or isinstance(decision, Refused):
            return False
        self._apply(key, decision, tenant, outbox, None, own)
        return True

    def _apply(
        self,
        key: str,
        decision: IntakeDecision,
        tenant: str,
        outbox: Outbox,
        inbound: records_pb2.InboundRecord | None,
        used: DataKey | None,
    ) -> None:
        """Write the effects first, then update the state: if the outbox refuses, nothing has changed here. `used`: the
        key that seals the effects."""
        entry = self._state.customer_key(key)
        for effect in decision.effects:
            self._outputs.write(effect, tenant, outbox, inbound, used, self._now_ms)
            self._count_interaction(tenant, effect)
        before = self._customers.get(key)
        if decision.customer is None:
            if before is not None:
                outbox.delete(entry)
                del self._customers[key]
            self._entry_keys.forget(entry)
            if decision.note == "ERASED":
                self._forget_ids(key, outbox)
        elif decision.customer is not before:
            own = self._key_of(key, decision.customer, used, tenant)
            value = self._entry_keys.sealed(entry, self._state.encode(decision.customer), there(own))
            outbox.put(entry, value)
            self._customers[key] = decision.customer

    def _key_of(self, key: str, customer: Customer | None, used: DataKey | None, tenant: str) -> DataKey | None:
        """Return the key of the state under this identity's key; None when it is destroyed, or nothing was ever sealed."""
        identity_id = key.partition("/")[2]
        identities = [identity_id] if customer is None else [identity_id, customer.identity.identity_id]
        return self._entry_keys.choose(self._state.customer_key(key), used, tenant, identities)

    def _count(self, event: Event, decision: IntakeDecision, tenant: str, channel: str) -> None:
        if isinstance(event, Message) and decision.note != "FORWARDED":
            self._counted["messages", tenant, channel] += 1
        if decision.note == "BLOCKED":
            self._counted["blocked", tenant, channel] += 1
        if decision.note == "REPORT_UNMATCHED":
            self._counted["reports_unmatched", tenant, channel] += 1

    def _count_interaction(self, tenant: str, effect: effects.Effect) -> None:
        if isinstance(effect, effects.InteractionStarted):
            self._opened += 1
            self._counted["opened", tenant, effect.channel, effect.queue] += 1
            if not effect.rule:
                self._counted["unroutable", tenant, effect.channel, effect.reason] += 1
            for _ in effect.failed_rules:
                self._counted["unroutable", tenant, effect.channel, "RULE_FAILED"] += 1
        elif isinstance(effect, effects.InteractionEnded):
            self._opened -= 1

    def _repeated(self, key: str, once: str, hops: int) -> bool:
        """Return whether the record was handled here before, or came from an edge and was forwarded from here.

        A record that returns to the lane that forwarded it is not a duplicate but shows a cycle of links: it goes on
        until its hops are used up.
        """
        seen = self._seen.get(key)
        return seen is not None and (once in seen or (hops == 0 and forwarded(once) in seen))

    def _remember(self, key: str, once: str, outbox: Outbox) -> None:
        chunk, gone = self._seen_of(key).add(once, self._now_ms)
        outbox.put(self._state.seen_key(key, chunk.number), self._state.encode(chunk))
        for number in gone:
            outbox.delete(self._state.seen_key(key, number))

    def _forget_ids(self, key: str, outbox: Outbox) -> None:
        """Delete the ids of messages. They are not personal data, but they are about a person who asked to be forgotten."""
        seen = self._seen.pop(key, None)
        for number in seen.numbers() if seen is not None else ():
            outbox.delete(self._state.seen_key(key, number))

    def _seen_of(self, key: str) -> SeenIds:
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = SeenIds(self._limits.duplicate_window_ms, self._limits.duplicate_ids_most)
        return seen

    def _awaken(self, key: str) -> None:
        """Unpack the state under a key, if it is packed, for the rest of the batch."""
        self._awake[key] = None
        found = self._resting.take(key)
        if found is None:
            return
        self._entry_keys.take_back(self._state.customer_key(key), found.key, *key.split("/", 1))
        if found.value is not None:
            self._customers[key] = self._state.customer(found.value)
        if found.seen:
            self._seen_of(key).unpack(found.seen)

    def _settle(self) -> None:
        """Set the timers of open work, and pack the other states that were unpacked or made."""
        for key in self._awake:
            customer, seen = self._customers.get(key), self._seen.get(key)
            due = earliest(
                self._intake.due_ms(customer) if customer is not None else None,
                seen.next_eviction_ms() if seen is not None else None,
            )
            if customer is not None and customer.has_open_work:
                self._timers.set(key, due)
            elif customer is not None or seen is not None:
                self._timers.set(key, None)
                kept = self._entry_keys.put_away(self._state.customer_key(key), *key.split("/", 1))
                value = self._state.encode(customer) if customer is not None else None
                account = customer.identity.channel_account if customer is not None else None
                self._resting.put(key, account, State(value, seen.packed() if seen is not None else b"", kept, due))
                self._customers.pop(key, None)
                self._seen.pop(key, None)
        self._awake.clear()
