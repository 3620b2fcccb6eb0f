"""The records of the router as message objects, built field by field: what the router's own encoding must equal, byte for byte."""

from collections.abc import Callable
from typing import Any, Final, assert_never

from chapar.common.v1 import types_pb2
from chapar.router.v1 import records_pb2 as pb
from services.policy.reading.selectors import from_selector
from services.router.domain import effects as fx
from services.router.domain.model import InteractionAttributes


def from_attributes(f: InteractionAttributes) -> pb.InteractionAttributes:
    """Return the attributes of an interaction as protobuf."""
    made = pb.InteractionAttributes(
        interaction_id=f.interaction_id,
        conversation_id=f.conversation_id,
        person_id=f.person_id,
        identity_id=f.identity_id,
        channel=f.channel,
        account=f.account,
        language=f.language,
        queue=f.queue,
        priority=f.priority,
        arrived_at_ms=f.arrived_at_ms,
        rule=f.rule,
        public=f.public,
        due_at_ms=f.due_at_ms,
        start_at_ms=f.start_at_ms,
        preferred_agent=f.preferred_agent,
        preferred_team=f.preferred_team,
        automatic=types_pb2.AutomaticKind.ValueType(f.automatic),
    )
    if f.requirements:
        made.requirements.extend(from_selector(s) for s in f.requirements)
    if f.labels:
        made.labels.update(f.labels)
    return made


def _queued(record: pb.RoutingEvent, event: fx.Queued) -> None:
    record.queued.SetInParent()
    record.queued.position = event.position
    record.queued.estimated_wait_ms = event.estimated_wait_ms
    record.queued.again = event.again
    record.queued.estimated_p90_ms = event.estimated_p90_ms


def _scheduled(record: pb.RoutingEvent, event: fx.Scheduled) -> None:
    record.scheduled.SetInParent()
    record.scheduled.start_at_ms = event.start_at_ms


def _overflowed(record: pb.RoutingEvent, event: fx.Overflowed) -> None:
    record.overflowed.SetInParent()
    record.overflowed.from_queue = event.from_queue
    record.overflowed.rule = event.rule


def _parked(record: pb.RoutingEvent, event: fx.Parked) -> None:
    record.parked.agent_id = event.agent_id
    record.parked.by = event.by


def _resumed(record: pb.RoutingEvent, event: fx.Resumed) -> None:
    record.resumed.agent_id = event.agent_id


def _offered(record: pb.RoutingEvent, event: fx.Offered) -> None:
    offered = record.offered
    offered.agent_id = event.agent_id
    offered.offer_id = event.offer_id
    offered.expires_at_ms = event.expires_at_ms
    offered.eligible = event.eligible
    offered.considered = event.considered


def _offer_ended(record: pb.RoutingEvent, event: fx.OfferEnded) -> None:
    record.offer_ended.agent_id = event.agent_id
    record.offer_ended.offer_id = event.offer_id
    record.offer_ended.end = event.end.value  # type: ignore[assignment]  # the numbers are the contract's


def _assigned(record: pb.RoutingEvent, event: fx.Assigned) -> None:
    record.assigned.agent_id = event.agent_id
    record.assigned.offer_id = event.offer_id
    record.assigned.waited_ms = event.waited_ms
    record.assigned.estimated_p50_ms = event.estimated_p50_ms
    record.assigned.estimated_p90_ms = event.estimated_p90_ms
    record.assigned.over_capacity = event.over_capacity


def _replied(record: pb.RoutingEvent, event: fx.Replied) -> None:
    record.agent_replied.agent_id = event.agent_id
    record.agent_replied.reply_id = event.reply_id
    record.agent_replied.first = event.first
    record.agent_replied.awaits_outcome = event.awaits_outcome


def _reply_outcome(record: pb.RoutingEvent, event: fx.ReplyOutcome) -> None:
    outcome = record.reply_outcome
    outcome.agent_id, outcome.reply_id, outcome.delivery_id = event.agent_id, event.reply_id, event.delivery_id
    outcome.state = pb.ReplyState.ValueType(event.state)
    outcome.failure, outcome.retryable = event.failure, event.retryable


def _customer_left(record: pb.RoutingEvent, _event: fx.CustomerLeft) -> None:
    record.customer_left.SetInParent()


def _customer_silent(record: pb.RoutingEvent, event: fx.CustomerSilent) -> None:
    record.customer_silent.SetInParent()
    record.customer_silent.closes_at_ms = event.closes_at_ms


def _customer_messaged(record: pb.RoutingEvent, event: fx.CustomerMessaged) -> None:
    record.customer_message_recorded.SetInParent()
    record.customer_message_recorded.message_id = event.message_id
    record.customer_message_recorded.automatic = types_pb2.AutomaticKind.ValueType(event.automatic)


def _transferred(record: pb.RoutingEvent, event: fx.Transferred) -> None:
    record.transferred.from_agent_id = event.from_agent_id
    record.transferred.queue = event.queue
    record.transferred.to_agent_id = event.to_agent_id


def _completed(record: pb.RoutingEvent, event: fx.Completed) -> None:
    record.completed.agent_id = event.agent_id
    record.completed.disposition = event.disposition
    record.completed.assigned_at_ms = event.assigned_at_ms
    record.completed.wrap_up_until_ms = event.wrap_up_until_ms


def _wrap_up_ended(record: pb.RoutingEvent, event: fx.WrapUpEnded) -> None:
    record.wrap_up_ended.agent_id = event.agent_id


def _abandoned(record: pb.RoutingEvent, event: fx.Abandoned) -> None:
    record.abandoned.SetInParent()
    record.abandoned.waited_ms = event.waited_ms


def _cancelled(record: pb.RoutingEvent, _event: fx.Cancelled) -> None:
    record.cancelled.SetInParent()


def _changed(record: pb.RoutingEvent, event: fx.Changed) -> None:
    record.changed.SetInParent()
    record.changed.priority = event.attributes.priority
    record.changed.queue = event.attributes.queue


_FILL: Final[dict[type[fx.Event], Callable[[pb.RoutingEvent, Any], None]]] = {
    fx.Scheduled: _scheduled,
    fx.Queued: _queued,
    fx.Overflowed: _overflowed,
    fx.Parked: _parked,
    fx.Resumed: _resumed,
    fx.Offered: _offered,
    fx.OfferEnded: _offer_ended,
    fx.Assigned: _assigned,
    fx.Replied: _replied,
    fx.ReplyOutcome: _reply_outcome,
    fx.CustomerMessaged: _customer_messaged,
    fx.CustomerLeft: _customer_left,
    fx.CustomerSilent: _customer_silent,
    fx.Transferred: _transferred,
    fx.Completed: _completed,
    fx.WrapUpEnded: _wrap_up_ended,
    fx.Abandoned: _abandoned,
    fx.Cancelled: _cancelled,
    fx.Changed: _changed,
}


def from_event(
    effect: fx.InteractionEvent | fx.AgentStateChanged,
    event_id: str,
    tenant: str,
    pool: str,
    cause: str,
    now_ms: int,
    version: int,
) -> pb.RoutingEvent:
    """Return an event as a record of the log."""
    event = pb.RoutingEvent(
        event_id=event_id,
        tenant=tenant,
        pool=pool,
        command_id=cause,
        occurred_at_ms=now_ms,
        epoch=effect.epoch,
        reason=effect.reason,
        configuration_version=version,
    )
    if isinstance(effect, fx.AgentStateChanged):
        event.agent_state_changed.CopyFrom(from_agent_state(effect))
    else:
        event.interaction.CopyFrom(from_attributes(effect.attributes))
        _FILL[type(effect)](event, effect)
    return event


def from_agent_state(event: fx.AgentStateChanged) -> pb.AgentStateChanged:
    """Return an agent's change of state as a record."""
    return pb.AgentStateChanged(
        agent_id=event.agent_id,
        before=event.before.value,  # type: ignore[arg-type]  # the numbers are the contract's
        after=event.after.value,  # type: ignore[arg-type]  # likewise
        used=event.used,
        total=event.total,
    )


def from_offer(notice: fx.OfferNotice) -> pb.OfferView:
    """Return an offer as a desk sees it."""
    return pb.OfferView(
        offer_id=notice.offer_id,
        interaction=from_attributes(notice.attributes),
        expires_at_ms=notice.expires_at_ms,
        reason=notice.reason,
        offered_at_ms=notice.offered_at_ms,
    )


def from_assignment(notice: fx.AssignmentNotice) -> pb.AssignmentView:
    """Return an assignment as a desk sees it."""
    return pb.AssignmentView(
        interaction=from_attributes(notice.attributes),
        assigned_at_ms=notice.assigned_at_ms,
        wrapping_up=notice.wrapping_up,
        wrap_up_until_ms=notice.wrap_up_until_ms,
        parked=notice.parked,
        customer_awaited=notice.customer_awaited,
    )


def from_snapshot(notice: fx.SnapshotNotice) -> pb.AgentSnapshot:
    """Return the offers and assignments of an agent."""
    return pb.AgentSnapshot(
        state=notice.state.value,  # type: ignore[arg-type]  # the numbers are the contract's
        offers=[from_offer(offer) for offer in notice.offers],
        assignments=[from_assignment(held) for held in notice.assignments],
        session_id=notice.session_id,
        used=notice.used,
        total=notice.total,
    )


def from_desk(to: fx.ToDesk, now_ms: int) -> pb.FeedRecord:
    """Return a notice for a desk as a record of the feed."""
    record = pb.FeedRecord(
        gateway_id=to.gateway.gateway_id, session_id=to.session_id, agent_id=to.agent_id, occurred_at_ms=now_ms
    )
    notice = to.notice
    match notice:
        case fx.OfferNotice():
            record.offered.CopyFrom(from_offer(notice))
        case fx.RevokedNotice():
            record.revoked.offer_id = notice.offer_id
            record.revoked.reason = notice.reason
        case fx.AssignmentNotice():
            record.assigned.CopyFrom(from_assignment(notice))
        case fx.EndedNotice():
            record.ended.interaction_id = notice.interaction_id
            record.ended.reason = notice.reason
        case fx.CustomerNotice():
            record.customer_acted.interaction_id = notice.interaction_id
            record.customer_acted.message_id = notice.message_id
            record.customer_acted.left = notice.left
            record.customer_acted.automatic = types_pb2.AutomaticKind.ValueType(notice.automatic)
        case fx.ReplyNotice():
            outcome = record.reply_outcome
            outcome.interaction_id, outcome.reply_id = notice.interaction_id, notice.reply_id
            outcome.delivery_id, outcome.state = notice.delivery_id, pb.ReplyState.ValueType(notice.state)
            outcome.failure, outcome.retryable = notice.failure, notice.retryable
        case fx.SnapshotNotice():
            record.snapshot.CopyFrom(from_snapshot(notice))
        case fx.StateNotice():
            changed = record.state_changed
            changed.agent_id = to.agent_id
            changed.before = notice.before.value  # type: ignore[assignment]  # the numbers are the contract's
            changed.after = notice.after.value  # type: ignore[assignment]  # likewise
            changed.used = notice.used
            changed.total = notice.total
        case fx.SessionEndedNotice():
            # A result without a command: the session itself has ended.
            record.result.ok = False
            record.result.reason = notice.reason
        case _:
            assert_never(notice)
    return record


def from_result(result: fx.Result, now_ms: int) -> pb.FeedRecord:
    """Return a command's result as a record, for the gateway that waits. The caller has checked that one waits."""
    assert result.reply_to is not None
    outcome = pb.CommandResult(command_id=result.command_id, ok=result.ok, reason=result.reason)
    return pb.FeedRecord(gateway_id=result.reply_to.gateway_id, occurred_at_ms=now_ms, result=outcome)
