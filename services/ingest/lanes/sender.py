"""The sender lane: outbound.v1 -> deliveries.v1, conversations.v1, deadletters.v1; and attempts after their commit.

State: one entry per conversation (`t/…`: route and live deliveries; packed when it has no delivery, see `resting`) and chunks
of delivery ids (`s/…/n`), for duplicates.

Takeover: the rules are those of `domain/takeover.py`. When the lane reads the marker that it wrote to its own input
partition at the takeover, it has read everything written before; an orphan without an outcome then becomes UNKNOWN
after a grace period.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, assert_never

from services.chassis.ids import derive
from services.chassis.kafka.lane import InvalidRecord, LaneContext, LaneSpec, Outbox, Processor, Record
from services.chassis.keys import tenant_key
from services.chassis.metrics import Metrics
from services.chassis.privacy.lanes import EntryKeys
from services.chassis.privacy.sealing import DataKey, Keys, is_erased
from services.ingest.domain import deliveries as words
from services.ingest.domain.account_breaker import AccountBreaker
from services.ingest.domain.attempts import Attempts
from services.ingest.domain.deliveries import Gate, SenderConversation, SenderLimits, SendingDecision, Status
from services.ingest.domain.delivery_facts import DeliveryState
from services.ingest.domain.flights import Flights, account_of
from services.ingest.domain.messages import Route
from services.ingest.domain.reasons import Reason
from services.ingest.domain.sending import Sending
from services.ingest.domain.takeover import orphans, taken_over, with_grace
from services.ingest.lanes import outbound_records
from services.ingest.lanes.outbound_records import Received, event_of, received
from services.ingest.lanes.resting import RESTORED_TOGETHER, RestingStates, State
from services.ingest.lanes.seen_deliveries import SeenDeliveries
from services.ingest.lanes.sender_counters import SenderCounters
from services.ingest.lanes.sender_outputs import SenderOutputs
from services.ingest.lanes.timers import Timers, earliest
from services.ingest.translate import headers, samples
from services.ingest.translate import sender as translate
from services.ingest.translate.erasure import outcome_record
from services.ingest.translate.headers import DELIVERIES, OUTCOMES
from services.policy.model.intake import NO_POLICIES, Policies, TenantPolicy, account_in

SPEC: Final = LaneSpec("ingest-sender", "outbound.v1", "ingest-sender.state.v1", "ingest-sender")
ERASED: Final = "ERASED"
"""Reason of deliveries that an erasure has cancelled."""
_RETRY_ERASED_MS: Final = 5_000
DEFAULT_LIMITS: Final = SenderLimits()


def sender_factory(
    attempts: Attempts,
    metrics: Metrics,
    keys: Keys,
    limits: SenderLimits = DEFAULT_LIMITS,
    policies: Policies = NO_POLICIES,
) -> Callable[[LaneContext], Processor]:
    """Return a factory that creates the processor of a partition."""
    counters = SenderCounters(metrics)
    return lambda context: SenderProcessor(context, attempts, counters, limits, keys, policies)


Step = Callable[[Received, Outbox], None]
"""What the lane does with one record of a conversation."""


def _ignore(_found: Received, _outbox: Outbox) -> None:
    """Step of a record that changes nothing."""


class SenderProcessor:
    """Handles one partition of outbound.v1."""

    def __init__(
        self,
        context: LaneContext,
        attempts: Attempts,
        counters: SenderCounters,
        limits: SenderLimits,
        keys: Keys,
        policies: Policies,
    ) -> None:
        self._keys = keys
        self._policies = policies
        self._running: Mapping[str, TenantPolicy] = {}
        self._entry_keys = EntryKeys(keys, SPEC.changelog_topic)
        self._context = context
        self._attempts = attempts
        self._counters = counters
        self._limits = limits
        self._sending = Sending(limits)
        self._state = translate.SenderState()
        self._conversations: dict[str, SenderConversation] = {}
        self._seen = SeenDeliveries(limits, self._state)
        self._resting = RestingStates(lambda account: samples.conversations(account, self._state.encode))
        self._awake: dict[str, None] = {}  # the places of this batch
        self._timers = Timers()
        self._account_breaker = AccountBreaker(limits)
        self._flights = Flights(limits)
        self._now_ms = 0
        self._counted: Counter[tuple[str, ...]] = Counter()
        self._outputs = SenderOutputs(context.partition, attempts, self._counted)

    # ---- calls by the lane runner

    def restore(self, key: bytes, value: bytes) -> None:
        """See `contract.Processor`."""
        if key.startswith(translate.THREAD_STATE):
            opened = self._entry_keys.opened(key, value)
            if opened is None:
                return
            conversation = self._state.conversation(opened)
            self._awaken(conversation.place)
            self._conversations[conversation.place] = conversation
        elif key.startswith(translate.SEEN_STATE):
            self._awaken(self._state.seen_owner(key))
            self._seen.restore(key, value)
        if len(self._awake) >= RESTORED_TOGETHER:
            self._settle()

    def start(self, now_ms: int, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        self._now_ms = now_ms
        for entry in self._entry_keys.erased:
            outbox.delete(entry)
        self._settle()
        for conversation in list(self._conversations.values()):
            # Changed in memory only: if another process takes over at once, it must decide for itself.
            attempts = self._attempts
            conversation = taken_over(conversation, attempts.owner, attempts.knows, attempts.published, now_ms)
            self._conversations[conversation.place] = conversation
            self._flights.changed(None, conversation)
            self._awake[conversation.place] = None
        self._settle()
        if any(orphans(conversation) for conversation in self._conversations.values()):
            outbound_records.mark_takeover(outbox, self._context.partition, self._context.epoch)

    def begin(self, now_ms: int) -> None:
        """See `contract.Processor`."""
        self._now_ms, self._running = now_ms, self._policies()

    def handle(self, record: Record, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        takeover = outbound_records.takeover_of(record)
        if takeover is not None:
            self._caught_up(takeover)
            return
        found = received(record, self._keys)
        self._awaken(found.place)
        self._step_for(found)(found, outbox)
        self._unblock(outbox)

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        for place in (*self._timers.pop_due(now_ms), *self._resting.pop_due(now_ms)):
            self._awaken(place)
            self._seen.evict(place, now_ms, outbox)
            conversation = self._conversations.get(place)
            if conversation is not None:
                if self._sending.idle(conversation, now_ms):
                    del self._conversations[place]
                    outbox.delete(self._state.conversation_key(place))
                    self._entry_keys.forget(self._state.conversation_key(place))
                elif self._key_of(conversation, None) is None:
                    # The person is being erased; the record that makes this lane forget them will arrive.
                    self._timers.set(place, now_ms + _RETRY_ERASED_MS)
                    del self._awake[place]
                else:
                    self._apply(self._sending.wake(conversation, now_ms, self._gate(conversation.tenant)), outbox, None)
        self._unblock(outbox)

    def end(self, outbox: Outbox) -> None:
        """See `contract.Processor`."""
        self._settle()
        if self._counted:
            counted = self._counted.copy()
            self._counted.clear()
            outbox.after_commit(lambda: self._counters.add(counted))

    def next_wakeup(self) -> int | None:
        """See `contract.Processor`."""
        return earliest(self._timers.next(), self._resting.next())

    # ---- the steps of a record: each is a `Step`

    def _step_for(self, found: Received) -> Step:
        """Return the step for a record. Raises InvalidRecord for a record that no step understands."""
        outbound, known = found.outbound, self._conversations.get(found.place)
        if outbound.WhichOneof("record") == "route" and not outbound.route.identity.identity_id:
            return self._forget
        if outbound.route.only_if_missing and known is not None and known.route is not None:
            return _ignore
        if is_erased(outbound):
            return self._pass_over
        event = event_of(outbound)
        match event:
            case Route():
                return partial(self._reroute, event)
            case words.SendingRequested():
                return partial(self._ask, event)
            case words.Finished():
                return partial(self._finish, event)
            case words.Reported():
                return partial(self._report, event)
            case _:
                assert_never(event)

    def _reroute(self, event: Route, found: Received, outbox: Outbox) -> None:
        """Remember how the conversation is answered."""
        self._decide(self._thread_of(found), event, found.used, outbox)

    def _ask(self, event: words.SendingRequested, found: Received, outbox: Outbox) -> None:
        """Send something; a repeated request has no effect, unless an operator replays the dead letter of a failed delivery."""
        seen, known = self._seen.has(found.place, event.delivery_id), self._conversations.get(found.place)
        failed = known is not None and event.delivery_id in known.failed
        if seen and not (found.replayed and failed):
            return
        conversation, named = self._thread_of(found), found.outbound.request.identity_id
        own = found.used or (self._keys.current(conversation.tenant, named) if named else None)
        self._decide(conversation, event, own, outbox)
        if not seen:
            self._seen.add(found.place, event.delivery_id, self._now_ms, outbox)

    def _finish(self, event: words.Finished, found: Received, outbox: Outbox) -> None:
        """Apply the outcome of an attempt, unless the conversation was forgotten meanwhile."""
        conversation = self._conversations.get(found.place)
        if conversation is None:
            return
        self._learn(conversation, event, outbox)
        if self._key_of(conversation, found.used) is None:
            self._counted["erased", "sender"] += 1  # the record to forget its person will arrive
            return
        self._decide(conversation, event, found.used, outbox)

    def _report(self, event: words.Reported, found: Received, outbox: Outbox) -> None:
        """Apply a fact that a provider or a bounce states about a delivery of the conversation."""
        conversation = self._conversations.get(found.place)
        if conversation is None:
            self._counted["reports_unmatched", found.outbound.tenant, found.outbound.report.channel] += 1
        elif self._key_of(conversation, found.used) is None:
            self._counted["erased", "sender"] += 1  # the record to forget its person will arrive
        else:
            self._decide(conversation, event, found.used, outbox)

    def _forget(self, found: Received, outbox: Outbox) -> None:
        """Handle a route without identity: the customer is erased. Waiting deliveries are never sent."""
        outbound, place = found.outbound, found.place
        tenant, conversation_id, request_id = outbound.tenant, outbound.conversation_id, outbound.route.erased_by
        conversation = self._conversations.pop(place, None)
        entry = self._state.conversation_key(place)
        cancelled = 0
        if conversation is not None:
            for delivery in conversation.deliveries:
                left = delivery.status in (Status.ATTEMPTING, Status.ORPHANED, Status.UNKNOWN)
                state = DeliveryState.UNKNOWN if left else DeliveryState.FAILED
                cancelled += not left
                cancelled_one = words.DeliveryChanged(delivery, state, ERASED)
                self._outputs.write_erased(conversation, cancelled_one, outbox, self._now_ms)
            self._flights.changed(conversation, None)
            outbox.delete(entry)
        self._entry_keys.forget(entry)
        if request_id:
            counts = {"conversations": int(conversation is not None), "deliveries_cancelled": cancelled}
            done = outcome_record(request_id, tenant, "sender", conversation_id, counts, self._now_ms)
            outbox.send(OUTCOMES, request_id.encode(), done.SerializeToString(), headers.of_outcome(done))

    def _pass_over(self, found: Received, outbox: Outbox) -> None:
        """Skip a record whose person was erased before it arrived: the delivery that it asks for is not sent."""
        outbound = found.outbound
        self._counted["erased", "sender"] += 1
        if outbound.WhichOneof("record") == "request":
            said = translate.never_sent(outbound, ERASED, self._now_ms, derive)
            key = tenant_key(outbound.tenant, outbound.conversation_id)
            outbox.send(DELIVERIES, key, said.SerializeToString(), headers.of_delivery(said))

    # ---- internal

    def _thread_of(self, found: Received) -> SenderConversation:
        """Return the conversation as the sender keeps it; a new one when there is none."""
        known = self._conversations.get(found.place)
        tenant, conversation_id = found.outbound.tenant, found.outbound.conversation_id
        return known or SenderConversation(conversation_id=conversation_id, tenant=tenant, active_at_ms=self._now_ms)

    def _decide(
        self, conversation: SenderConversation, event: words.Event, used: DataKey | None, outbox: Outbox
    ) -> SendingDecision:
        decision = self._sending.decide(conversation, event, self._now_ms, self._gate(conversation.tenant))
        self._apply(decision, outbox, used)
        return decision

    def _gate(self, tenant: str) -> Gate:
        return Gate(
            room=lambda route: self._flights.room((tenant, route.identity.channel, route.identity.account)),
            halted_until=lambda channel, account: self._account_breaker.until(tenant, channel, account),
            turn=lambda delivery, route: self._flights.turn(
                delivery, self._now_ms, lambda: self._attempts.turn(tenant, route)
            ),
            owner=self._attempts.owner,
            account=partial(account_in, self._running.get(tenant)),
        )

    def _learn(self, conversation: SenderConversation, event: words.Finished, outbox: Outbox) -> None:
        """Apply what an outcome says beyond its own delivery: about the account, and that the attempt may be forgotten."""
        delivery = conversation.find(event.delivery_id)
        if delivery is None or delivery.number != event.attempt or conversation.route is None:
            return
        outbox.after_commit(lambda: self._attempts.forget(event.delivery_id, event.attempt))
        where = conversation.route.identity
        self._counted["attempts", conversation.tenant, where.channel, event.outcome.name] += 1
        match event.outcome:
            case words.Outcome.HALTED:
                self._account_breaker.halted(conversation.tenant, where.channel, where.account, self._now_ms)
            case words.Outcome.ACCEPTED | words.Outcome.REJECTED | words.Outcome.UNREACHABLE:
                self._account_breaker.answered(conversation.tenant, where.channel, where.account)
            case words.Outcome.RETRY:
                self._counted["retries", conversation.tenant, where.channel, event.reason or "RETRY"] += 1
            case words.Outcome.UNKNOWN | words.Outcome.UNSPECIFIED:
                pass
            case _:
                assert_never(event.outcome)

    def _key_of(self, conversation: SenderConversation, used: DataKey | None) -> DataKey | None:
        """Return the key of a conversation's state; None when it is destroyed."""
        entry = self._state.conversation_key(conversation.place)
        return self._entry_keys.choose(entry, used, conversation.tenant, (conversation.key_owner,))

    def _apply(self, decision: SendingDecision, outbox: Outbox, used: DataKey | None) -> None:
        conversation = decision.conversation
        before = self._conversations.get(conversation.place)
        own = self._key_of(conversation, used)
        if own is None:
            raise InvalidRecord(Reason.NO_PERSONAL_KEY, "there is no key to seal this person's data with")
        for effect in decision.effects:
            self._outputs.write(conversation, effect, outbox, own, self._now_ms)
        if conversation is not before:
            entry = self._state.conversation_key(conversation.place)
            outbox.put(entry, self._entry_keys.sealed(entry, self._state.encode(conversation), own))
            self._conversations[conversation.place] = conversation
            self._flights.changed(before, conversation)
        if decision.blocked:
            self._flights.block(conversation)

    def _unblock(self, outbox: Outbox) -> None:
        """Continue the conversations that were blocked because too many attempts were in flight."""
        for place in self._flights.unblocked():
            conversation = self._conversations.get(place)
            if conversation is not None and self._key_of(conversation, None) is not None:
                decision = self._sending.wake(conversation, self._now_ms, self._gate(conversation.tenant))
                self._apply(decision, outbox, None)
            self._awaken(place)

    def _caught_up(self, takeover: bytes) -> None:
        """Called when everything written before our takeover has been read: the orphans' grace period starts now."""
        if takeover != b"%d" % self._context.epoch:
            return
        for conversation in list(self._conversations.values()):
            conversation = with_grace(conversation, self._now_ms + self._limits.orphan_grace_ms)
            self._conversations[conversation.place] = conversation
            self._awake[conversation.place] = None

    def _awaken(self, place: str) -> None:
        """Unpack the state of a conversation, if it is packed, for the rest of the batch."""
        self._awake[place] = None
        found = self._resting.take(place)
        if found is None:
            return
        if found.value is not None:
            conversation = self._conversations[place] = self._state.conversation(found.value)
            entry = self._state.conversation_key(place)
            self._entry_keys.take_back(entry, found.key, conversation.tenant, conversation.key_owner)
        self._seen.take_back(place, found.seen)

    def _settle(self) -> None:
        """Set the timers of conversations with deliveries, and pack the others that were unpacked or made."""
        for place in self._awake:
            conversation = self._conversations.get(place)
            due = self._seen.next_eviction_ms(place)
            if conversation is not None and not self._flights.blocked(place):
                due = earliest(due, self._sending.due_ms(conversation))
            if conversation is not None and conversation.deliveries:
                self._timers.set(place, due)
                continue
            self._timers.set(place, None)
            seen = self._seen.put_away(place)
            if conversation is not None:
                entry = self._state.conversation_key(place)
                kept = self._entry_keys.put_away(entry, conversation.tenant, conversation.key_owner)
                value = self._state.encode(conversation)
                self._resting.put(place, account_of(conversation), State(value, seen, kept, due))
                del self._conversations[place]
            elif seen:
                self._resting.put(place, None, State(None, seen, due_ms=due))
        self._awake.clear()
