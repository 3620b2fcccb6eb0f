"""Decides about sending in a conversation: `decide(conversation, event, now) -> SendingDecision(conversation, effects)`.

The rules:
- A conversation has one attempt at a time, in the order of the requests: the first delivery blocks the others until it
  is sent, failed or unknown.
- An attempt is in the changelog before it leaves the process. It is not written there before the limits of account and
  recipient allow it, so a delivery that waits for its turn has not left the process. The outcome of an attempt comes
  back as a record. A process that finds an attempt without an outcome does not know its result, and the attempt is
  never repeated: the delivery becomes UNKNOWN, and the next one is sent.
- ACCEPTED: sent. RETRY: sent again later, starting with the first part that was not accepted. REJECTED, UNREACHABLE:
  failed. HALTED: the whole account waits, and the attempt does not count.
- An outcome that arrives after the verdict UNKNOWN still counts if it gives more information.
- An operator can replay the dead letter of a failed delivery; another copy of its request has no effect. An unknown
  delivery cannot be replayed.
- Status reports and bounces are facts too, and facts can arrive in any order (`delivery_facts`). The published state is
  the verdict over all of them. A report about a delivery that is still being sent is published with its outcome.

States: WAITING -> ATTEMPTING -> (SETTLED | WAITING | UNKNOWN -> SETTLED) -> gone; ORPHANED is an ATTEMPTING of an earlier
owner whose outcome may still arrive. Only channels with reports have SETTLED deliveries.
"""

from dataclasses import replace
from typing import assert_never
from zlib import crc32

from services.ingest.domain import delivery_reports as reports
from services.ingest.domain import reply_window
from services.ingest.domain.channel_rules import ChannelRules, channel_rules
from services.ingest.domain.deliveries import (
    MAX_FAILED,
    MAX_LIVE,
    NOT_ATTEMPTED,
    Attempt,
    Delivery,
    DeliveryChanged,
    Effect,
    Event,
    Finished,
    Gate,
    GivenUp,
    InvitationFailed,
    MessageRecorded,
    Outcome,
    ReplyOutcomeChanged,
    Reported,
    ReportUnmatched,
    SenderConversation,
    SenderLimits,
    SendingDecision,
    SendingRequested,
    Status,
)
from services.ingest.domain.delivery_facts import MAX_PARTS, DeliveryFact, DeliveryState, merged
from services.ingest.domain.delivery_notices import noticed
from services.ingest.domain.messages import Route
from services.ingest.domain.reasons import Reason


class Sending:
    """Decides about deliveries. Holds no state."""

    def __init__(self, limits: SenderLimits) -> None:
        self._limits = limits

    def decide(self, conversation: SenderConversation, event: Event, now_ms: int, gate: Gate) -> SendingDecision:
        """Decide about one record of this conversation."""
        out: list[Effect] = []
        match event:
            case Route():
                conversation = _routed(conversation, event, now_ms)
            case SendingRequested():
                conversation = self._asked(conversation, event, now_ms, out)
            case Finished():
                conversation = self._finished(conversation, event, now_ms, gate, out)
            case Reported():
                conversation = self._reported(conversation, event, now_ms, out)
            case _:
                assert_never(event)
        decision = noticed(self._go_on(conversation, now_ms, gate, out))
        return _with_queued(decision, event) if isinstance(event, SendingRequested) else decision

    def wake(self, conversation: SenderConversation, now_ms: int, gate: Gate) -> SendingDecision:
        """Apply the passing of time: a retry is due, an orphan's grace period is over, an unknown delivery leaves memory."""
        out: list[Effect] = []
        for delivery in conversation.deliveries:
            if delivery.due_ms > now_ms:
                continue
            if delivery.status is Status.ORPHANED and delivery.due_ms:
                conversation = self._unknown(conversation, delivery, "OWNER_LOST", now_ms, out)
            elif delivery.status is Status.UNKNOWN:
                conversation = self._settled(conversation, delivery, now_ms)
        conversation = reports.expired(conversation, now_ms)
        return noticed(self._go_on(conversation, now_ms, gate, out))

    def due_ms(self, conversation: SenderConversation) -> int:
        """Return when `wake` next has something to do."""
        dues = [
            d.due_ms
            for d in conversation.deliveries
            if d.status is Status.UNKNOWN or (d.status is Status.ORPHANED and d.due_ms)
        ]
        head = conversation.head
        if head is not None and head.status is Status.WAITING:
            dues.append(head.due_ms)
        if dues:
            return min(dues)
        idle_ms = conversation.active_at_ms + self._limits.idle_conversation_ms
        # All settled deliveries leave together, so that a conversation is woken once.
        return min(idle_ms, conversation.settled[-1].due_ms) if conversation.settled else idle_ms

    def idle(self, conversation: SenderConversation, now_ms: int) -> bool:
        """Return whether the conversation may leave memory."""
        return not conversation.deliveries and now_ms >= conversation.active_at_ms + self._limits.idle_conversation_ms

    # ---- events

    def _asked(
        self, conversation: SenderConversation, asked: SendingRequested, now_ms: int, out: list[Effect]
    ) -> SenderConversation:
        delivery = Delivery(
            delivery_id=asked.delivery_id,
            request=asked.request,
            asked_at_ms=now_ms,
            due_ms=now_ms,
            number=conversation.failed.get(asked.delivery_id, 0),
            recorded=asked.delivery_id in conversation.failed,
        )
        failed = {known: number for known, number in conversation.failed.items() if known != asked.delivery_id}
        conversation = replace(conversation, active_at_ms=now_ms, failed=failed)
        if len(conversation.deliveries) >= MAX_LIVE:
            return self._failed(conversation, delivery, "TOO_MANY_WAITING", now_ms, out, retryable=True)
        if asked.request.resends and reports.has_left(conversation, asked.request.resends):
            return self._failed(conversation, delivery, Reason.ALREADY_SENT, now_ms, out)
        return replace(conversation, deliveries=(*conversation.deliveries, delivery))

    def _finished(
        self, conversation: SenderConversation, event: Finished, now_ms: int, gate: Gate, out: list[Effect]
    ) -> SenderConversation:
        delivery = conversation.find(event.delivery_id)
        if delivery is None or delivery.number != event.attempt or delivery.status is Status.WAITING:
            return conversation  # a duplicate, or an attempt that has already been decided
        late = delivery.status is Status.UNKNOWN
        delivery = replace(
            delivery,
            native_ids=(*delivery.native_ids, *event.native_ids),
            tried=delivery.tried + (0 if event.outcome is Outcome.HALTED or event.reason == NOT_ATTEMPTED else 1),
            reason=event.reason,
            unreachable=event.outcome is Outcome.UNREACHABLE,
        )
        if event.migrated_to and conversation.route is not None:
            conversation = _migrated(conversation, conversation.route, event.migrated_to)
        match event.outcome:
            case Outcome.ACCEPTED:
                return self._sent(conversation, delivery, now_ms, out)
            case Outcome.REJECTED if not late and (
                other := reply_window.reworded(delivery, conversation.route, event.reason, gate)
            ):
                out.append(DeliveryChanged(other, DeliveryState.QUEUED, event.reason))
                return conversation.having(other)
            case Outcome.REJECTED | Outcome.UNREACHABLE:
                return self._failed(conversation, delivery, event.reason or event.outcome.name, now_ms, out)
            case Outcome.UNKNOWN | Outcome.UNSPECIFIED:
                return (
                    conversation
                    if late
                    else self._unknown(conversation, delivery, event.reason or "UNKNOWN", now_ms, out)
                )
            case Outcome.RETRY if late:
                # It did not arrive, but later messages have been sent since. The order matters more; an operator may
                # replay it.
                return self._failed(conversation, delivery, event.reason or "RETRY", now_ms, out, retryable=True)
            case Outcome.RETRY if (known := delivery.verdict) is not None and known.state.left:
                # The provider's answer was an error, and its report says that it has the message.
                return self._sent(conversation, delivery, now_ms, out)
            case Outcome.RETRY:
                return self._again(conversation, delivery, event, now_ms, out)
            case Outcome.HALTED:
                if late:
                    return self._failed(conversation, delivery, event.reason or "HALTED", now_ms, out, retryable=True)
                until = now_ms if conversation.route is None else max(now_ms, _halted(gate, conversation.route))
                waiting = replace(
                    delivery, status=Status.WAITING, due_ms=until, halted_ms=delivery.halted_ms + until - now_ms
                )
                out.append(DeliveryChanged(waiting, DeliveryState.QUEUED, event.reason or "HALTED"))
                return conversation.having(waiting)
            case _:
                assert_never(event.outcome)

    def _again(
        self, conversation: SenderConversation, delivery: Delivery, event: Finished, now_ms: int, out: list[Effect]
    ) -> SenderConversation:
        rules = _rules_of(conversation)
        reason = event.reason or "RETRY"
        if delivery.tried >= rules.max_attempts:
            given_up = f"TOO_MANY_ATTEMPTS_{reason}"[:60]
            return self._failed(conversation, delivery, given_up, now_ms, out, retryable=True)
        due = now_ms + max(event.retry_after_ms, backoff_ms(rules, delivery.delivery_id, delivery.tried))
        if due - delivery.asked_at_ms - delivery.halted_ms > rules.max_age_ms:
            return self._failed(conversation, delivery, f"TOO_OLD_{reason}"[:60], now_ms, out, retryable=True)
        waiting = replace(delivery, status=Status.WAITING, due_ms=due)
        out.append(DeliveryChanged(waiting, DeliveryState.QUEUED, reason))
        return conversation.having(waiting)

    # ---- which delivery is next

    def _go_on(self, conversation: SenderConversation, now_ms: int, gate: Gate, out: list[Effect]) -> SendingDecision:
        while (head := conversation.head) is not None and head.status is Status.WAITING and head.due_ms <= now_ms:
            route = conversation.route
            ready = reply_window.ready(head, conversation, gate, now_ms)
            if isinstance(ready, str) or route is None:
                problem = ready if isinstance(ready, str) else Reason.NO_ROUTE
                conversation = self._failed(conversation, head, problem, now_ms, out)
                continue
            head = ready
            if _rules_of(conversation).immediate:
                conversation = self._sent(conversation, replace(head, tried=1, number=1), now_ms, out)
                continue
            halted_until = _halted(gate, route)
            if halted_until > now_ms:
                conversation = conversation.having(
                    replace(head, due_ms=halted_until, halted_ms=head.halted_ms + halted_until - now_ms)
                )
                break
            if not gate.room(route):
                return SendingDecision(conversation, tuple(out), blocked=True)
            turn = gate.turn(head, route)
            if turn > now_ms:
                # The delivery is still WAITING in the changelog too: a delivery that has not left can be sent by any
                # later owner.
                conversation = conversation.having(replace(head, due_ms=turn))
                break
            attempting = replace(head, status=Status.ATTEMPTING, number=head.number + 1, owner=gate.owner, due_ms=0)
            out.append(DeliveryChanged(attempting, DeliveryState.ATTEMPTING, ""))
            out.append(Attempt(attempting, route))
            conversation = conversation.having(attempting)
        return SendingDecision(conversation, tuple(out))

    # ---- facts

    def _reported(
        self, conversation: SenderConversation, report: Reported, now_ms: int, out: list[Effect]
    ) -> SenderConversation:
        delivery = reports.named(conversation, report)
        if delivery is None:
            waits = reports.held(conversation, report)
            if waits is None:
                out.append(ReportUnmatched(report))
            return waits or conversation
        live = conversation.find(delivery.delivery_id)
        if live is not None and live.status is not Status.UNKNOWN:
            return conversation.having(delivery)
        before = live or next(each for each in conversation.settled if each.delivery_id == delivery.delivery_id)
        if delivery == before:
            return conversation  # a repeated report
        self._publish(delivery, before, out)
        if live is None:
            return reports.settled(conversation, delivery, before.due_ms)
        found = delivery.verdict
        if found is not None and found.state is DeliveryState.UNKNOWN:
            return conversation.having(delivery)  # about another part
        return self._settled(conversation, delivery, now_ms)

    def _sent(
        self, conversation: SenderConversation, delivery: Delivery, now_ms: int, out: list[Effect]
    ) -> SenderConversation:
        reason = delivery.reason if delivery.tried > 1 else ""
        if delivery.request.template is not None and delivery.request.template.by_rule:
            reason = Reason.SENT_AS_TEMPLATE
        fact = DeliveryFact(0, DeliveryState.SENT, now_ms, reason=reason)
        return self._concluded(conversation, delivery, fact, now_ms, out)

    def _failed(
        self,
        conversation: SenderConversation,
        delivery: Delivery,
        reason: str,
        now_ms: int,
        out: list[Effect],
        *,
        retryable: bool = False,
    ) -> SenderConversation:
        fact = DeliveryFact(_part_of(delivery), DeliveryState.FAILED, now_ms, reason=reason, retryable=retryable)
        return self._concluded(conversation, delivery, fact, now_ms, out)

    def _unknown(
        self, conversation: SenderConversation, delivery: Delivery, reason: str, now_ms: int, out: list[Effect]
    ) -> SenderConversation:
        fact = DeliveryFact(_part_of(delivery), DeliveryState.UNKNOWN, now_ms, reason=reason)
        return self._concluded(conversation, replace(delivery, reason=reason), fact, now_ms, out)

    def _concluded(
        self, conversation: SenderConversation, delivery: Delivery, fact: DeliveryFact, now_ms: int, out: list[Effect]
    ) -> SenderConversation:
        """Add the fact that ends the sender's own work, publish the verdict, and keep the delivery for later facts."""
        before = delivery
        delivery, strangers = reports.released(replace(delivery, facts=merged(delivery.facts, fact)))
        out.extend(ReportUnmatched(each) for each in strangers)
        found = delivery.verdict
        assert found is not None
        self._publish(delivery, before if before.status is Status.UNKNOWN else None, out)
        if fact.state is found.state is DeliveryState.FAILED:  # no report says that it has arrived
            out.append(GivenUp(delivery, fact.reason))
            conversation = _given_up(conversation, delivery)
        hidden = found.state is DeliveryState.FAILED and _rules_of(conversation).immediate
        if conversation.route is not None and not delivery.recorded and not hidden:
            # Also of a message that did not arrive: the agent must see it. Not where the customer reads the conversation.
            out.append(MessageRecorded(delivery, conversation.route, found.state))
            delivery = replace(delivery, recorded=True)
        if found.state is DeliveryState.UNKNOWN:
            waiting = replace(delivery, status=Status.UNKNOWN, due_ms=now_ms + self._limits.late_outcome_ms)
            return conversation.having(waiting)
        return self._settled(conversation, delivery, now_ms)

    def _publish(self, delivery: Delivery, before: Delivery | None, out: list[Effect]) -> None:
        """Publish the verdict if it is another one than before. None: nothing final was published before."""
        found, known = delivery.verdict, before.verdict if before is not None else None
        assert found is not None
        if known is None or (found.state, found.reason) != (known.state, known.reason):
            out.append(DeliveryChanged(delivery, found.state, found.reason, found))
            changes = known is None or known.state.left != found.state.left or not found.state.left
            if changes and delivery.request.pool and delivery.request.interaction_id:
                out.append(ReplyOutcomeChanged(delivery, found))
            if found.state is DeliveryState.FAILED and delivery.request.invitation_id and delivery.request.person_id:
                out.append(InvitationFailed(delivery, found.reason))

    def _settled(self, conversation: SenderConversation, delivery: Delivery, now_ms: int) -> SenderConversation:
        if not _rules_of(conversation).reports:
            return conversation.without(delivery.delivery_id)
        return reports.settled(conversation, delivery, now_ms + self._limits.reports_kept_ms)


def _part_of(delivery: Delivery) -> int:
    """Return the number of the part that the attempt did not bring through: the first one that was not accepted."""
    return min(len(delivery.native_ids) + 1, MAX_PARTS)


def _given_up(conversation: SenderConversation, delivery: Delivery) -> SenderConversation:
    failed = {**conversation.failed, delivery.delivery_id: delivery.number}
    for oldest in list(failed)[:-MAX_FAILED]:
        del failed[oldest]
    return replace(conversation, failed=failed)


def _with_queued(decision: SendingDecision, asked: SendingRequested) -> SendingDecision:
    """Add the state QUEUED of a new delivery that could not leave at once."""
    delivery = decision.conversation.find(asked.delivery_id)
    if delivery is None or delivery.status is not Status.WAITING:
        return decision
    return replace(decision, effects=(DeliveryChanged(delivery, DeliveryState.QUEUED, ""), *decision.effects))


def backoff_ms(rules: ChannelRules, delivery_id: str, tried: int) -> int:
    """Return the exponential backoff with jitter over its upper half, in ms.

    The jitter is derived from the ids, so the same attempt always waits for the same time.
    """
    ceiling = min(rules.last_retry_ms, rules.first_retry_ms * 2 ** min(max(tried - 1, 0), 20))
    share = crc32(f"{delivery_id}.{tried}".encode()) / 0xFFFFFFFF
    return int(ceiling / 2 + share * ceiling / 2)


def _rules_of(conversation: SenderConversation) -> ChannelRules:
    rules = channel_rules(conversation.route.identity.channel) if conversation.route is not None else None
    return rules if rules is not None else ChannelRules()


def _halted(gate: Gate, route: Route) -> int:
    return gate.halted_until(route.identity.channel, route.identity.account)


def _routed(conversation: SenderConversation, route: Route, now_ms: int) -> SenderConversation:
    known = conversation.route
    if conversation.migrated_from and known is not None and route.context.get("chat_id") == conversation.migrated_from:
        route = replace(route, context={**route.context, "chat_id": known.context.get("chat_id", "")})
    return replace(conversation, route=route, active_at_ms=now_ms)


def _migrated(conversation: SenderConversation, route: Route, address: str) -> SenderConversation:
    moved = replace(route, context={**route.context, "chat_id": address})
    return replace(conversation, route=moved, migrated_from=route.context.get("chat_id", ""))
