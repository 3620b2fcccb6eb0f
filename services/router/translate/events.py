"""Write the engine's events as records of the log: serialized `RoutingEvent`.

The bytes equal those of a message object, serialized deterministically: otherwise the digest of a batch would depend on the program.
"""

from collections.abc import Callable
from typing import Any, Final

from chapar.router.v1 import records_pb2 as pb
from services.router.domain import effects as fx
from services.router.translate.attributes import AttributesCache
from services.router.translate.wire import flag, int32, int64, nested, tag, text

_OF: Final = pb.RoutingEvent
_EVENT_ID: Final = tag(_OF, "event_id")
_TENANT: Final = tag(_OF, "tenant")
_POOL: Final = tag(_OF, "pool")
_COMMAND_ID: Final = tag(_OF, "command_id")
_OCCURRED_AT: Final = tag(_OF, "occurred_at_ms")
_EPOCH: Final = tag(_OF, "epoch")
_REASON: Final = tag(_OF, "reason")
_INTERACTION: Final = tag(_OF, "interaction")
_CONFIGURATION_VERSION: Final = tag(_OF, "configuration_version")


def event_time(now_ms: int) -> bytes:
    """Return the field that holds an event's time. All events of a batch have the same."""
    return int64(_OCCURRED_AT, now_ms)


class EventWriter:
    """Writes the events of one pool. `begin` comes before the events of each command or timer."""

    __slots__ = ("_common", "_version", "_where", "attributes")

    def __init__(self, tenant: str, pool: str, attributes: AttributesCache) -> None:
        self.attributes = attributes
        self._where = text(_TENANT, tenant) + text(_POOL, pool)
        self._common = self._version = b""

    def begin(self, command_id: str, time: bytes, version: int) -> None:
        """Set what the next events have in common: the command (empty for timers), `event_time`, and the version of the configuration."""
        self._common = self._where + text(_COMMAND_ID, command_id) + time
        self._version = int64(_CONFIGURATION_VERSION, version)

    def interaction(self, event_id: str, event: fx.Event) -> bytes:
        """Return an event of an interaction."""
        return b"".join(
            (
                text(_EVENT_ID, event_id),
                self._common,
                int64(_EPOCH, event.epoch),
                text(_REASON, event.reason),
                _INTERACTION,
                self.attributes.sized(event.attributes),
                self._version,
                BODIES[type(event)](event),
            )
        )

    def agent_state(self, event_id: str, event: fx.AgentStateChanged) -> bytes:
        """Return an agent's change of state."""
        return b"".join(
            (
                text(_EVENT_ID, event_id),
                self._common,
                int64(_EPOCH, event.epoch),
                text(_REASON, event.reason),
                self._version,
                nested(
                    _AGENT_STATE_CHANGED,
                    state_change(event.agent_id, event.before, event.after, event.used, event.total),
                ),
            )
        )


_QUEUED: Final = tag(_OF, "queued")
_QUEUED_POSITION: Final = tag(pb.InteractionQueued, "position")
_QUEUED_ESTIMATE: Final = tag(pb.InteractionQueued, "estimated_wait_ms")
_QUEUED_AGAIN: Final = tag(pb.InteractionQueued, "again")
_QUEUED_P90: Final = tag(pb.InteractionQueued, "estimated_p90_ms")


def _queued(event: fx.Queued) -> bytes:
    return nested(
        _QUEUED,
        int32(_QUEUED_POSITION, event.position)
        + int64(_QUEUED_ESTIMATE, event.estimated_wait_ms)
        + flag(_QUEUED_AGAIN, event.again)
        + int64(_QUEUED_P90, event.estimated_p90_ms),
    )


_SCHEDULED: Final = tag(_OF, "scheduled")
_SCHEDULED_START_AT: Final = tag(pb.InteractionScheduled, "start_at_ms")


def _scheduled(event: fx.Scheduled) -> bytes:
    return nested(_SCHEDULED, int64(_SCHEDULED_START_AT, event.start_at_ms))


_OVERFLOWED: Final = tag(_OF, "overflowed")
_OVERFLOWED_FROM: Final = tag(pb.InteractionOverflowed, "from_queue")
_OVERFLOWED_RULE: Final = tag(pb.InteractionOverflowed, "rule")


def _overflowed(event: fx.Overflowed) -> bytes:
    return nested(_OVERFLOWED, text(_OVERFLOWED_FROM, event.from_queue) + text(_OVERFLOWED_RULE, event.rule))


_PARKED: Final = tag(_OF, "parked")
_PARKED_AGENT: Final = tag(pb.InteractionParked, "agent_id")
_PARKED_BY: Final = tag(pb.InteractionParked, "by")


def _parked(event: fx.Parked) -> bytes:
    return nested(_PARKED, text(_PARKED_AGENT, event.agent_id) + text(_PARKED_BY, event.by))


_RESUMED: Final = tag(_OF, "resumed")
_RESUMED_AGENT: Final = tag(pb.InteractionResumed, "agent_id")


def _resumed(event: fx.Resumed) -> bytes:
    return nested(_RESUMED, text(_RESUMED_AGENT, event.agent_id))


_OFFERED: Final = tag(_OF, "offered")
_OFFERED_AGENT: Final = tag(pb.InteractionOffered, "agent_id")
_OFFERED_OFFER: Final = tag(pb.InteractionOffered, "offer_id")
_OFFERED_EXPIRES_AT: Final = tag(pb.InteractionOffered, "expires_at_ms")
_OFFERED_ELIGIBLE: Final = tag(pb.InteractionOffered, "eligible")
_OFFERED_CONSIDERED: Final = tag(pb.InteractionOffered, "considered")


def _offered(event: fx.Offered) -> bytes:
    return nested(
        _OFFERED,
        text(_OFFERED_AGENT, event.agent_id)
        + text(_OFFERED_OFFER, event.offer_id)
        + int64(_OFFERED_EXPIRES_AT, event.expires_at_ms)
        + int32(_OFFERED_ELIGIBLE, event.eligible)
        + int32(_OFFERED_CONSIDERED, event.considered),
    )


_OFFER_ENDED: Final = tag(_OF, "offer_ended")
_ENDED_AGENT: Final = tag(pb.OfferEnded, "agent_id")
_ENDED_OFFER: Final = tag(pb.OfferEnded, "offer_id")
_ENDED_END: Final = tag(pb.OfferEnded, "end")


def _offer_ended(event: fx.OfferEnded) -> bytes:
    return nested(
        _OFFER_ENDED,
        text(_ENDED_AGENT, event.agent_id) + text(_ENDED_OFFER, event.offer_id) + int32(_ENDED_END, event.end),
    )


_ASSIGNED: Final = tag(_OF, "assigned")
_ASSIGNED_AGENT: Final = tag(pb.InteractionAssigned, "agent_id")
_ASSIGNED_OFFER: Final = tag(pb.InteractionAssigned, "offer_id")
_ASSIGNED_WAITED: Final = tag(pb.InteractionAssigned, "waited_ms")
_ASSIGNED_P50: Final = tag(pb.InteractionAssigned, "estimated_p50_ms")
_ASSIGNED_P90: Final = tag(pb.InteractionAssigned, "estimated_p90_ms")
_ASSIGNED_OVER: Final = tag(pb.InteractionAssigned, "over_capacity")


def _assigned(event: fx.Assigned) -> bytes:
    return nested(
        _ASSIGNED,
        text(_ASSIGNED_AGENT, event.agent_id)
        + text(_ASSIGNED_OFFER, event.offer_id)
        + int64(_ASSIGNED_WAITED, event.waited_ms)
        + int64(_ASSIGNED_P50, event.estimated_p50_ms)
        + int64(_ASSIGNED_P90, event.estimated_p90_ms)
        + flag(_ASSIGNED_OVER, event.over_capacity),
    )


_REPLIED: Final = tag(_OF, "agent_replied")
_REPLIED_AGENT: Final = tag(pb.AgentReplied, "agent_id")
_REPLIED_REPLY: Final = tag(pb.AgentReplied, "reply_id")
_REPLIED_FIRST: Final = tag(pb.AgentReplied, "first")
_REPLIED_AWAITS: Final = tag(pb.AgentReplied, "awaits_outcome")


def _replied(event: fx.Replied) -> bytes:
    return nested(
        _REPLIED,
        text(_REPLIED_AGENT, event.agent_id)
        + text(_REPLIED_REPLY, event.reply_id)
        + flag(_REPLIED_FIRST, event.first)
        + flag(_REPLIED_AWAITS, event.awaits_outcome),
    )


_OUTCOME: Final = tag(_OF, "reply_outcome")
_OUTCOME_AGENT: Final = tag(pb.ReplyOutcomeRecorded, "agent_id")
_OUTCOME_REPLY: Final = tag(pb.ReplyOutcomeRecorded, "reply_id")
_OUTCOME_DELIVERY: Final = tag(pb.ReplyOutcomeRecorded, "delivery_id")
_OUTCOME_STATE: Final = tag(pb.ReplyOutcomeRecorded, "state")
_OUTCOME_FAILURE: Final = tag(pb.ReplyOutcomeRecorded, "failure")
_OUTCOME_RETRYABLE: Final = tag(pb.ReplyOutcomeRecorded, "retryable")


def _reply_outcome(event: fx.ReplyOutcome) -> bytes:
    return nested(
        _OUTCOME,
        text(_OUTCOME_AGENT, event.agent_id)
        + text(_OUTCOME_REPLY, event.reply_id)
        + text(_OUTCOME_DELIVERY, event.delivery_id)
        + int32(_OUTCOME_STATE, event.state)
        + text(_OUTCOME_FAILURE, event.failure)
        + flag(_OUTCOME_RETRYABLE, event.retryable),
    )


_CUSTOMER_MESSAGED: Final = tag(_OF, "customer_message_recorded")
_CUSTOMER_MESSAGE: Final = tag(pb.CustomerMessageRecorded, "message_id")
_CUSTOMER_AUTOMATIC: Final = tag(pb.CustomerMessageRecorded, "automatic")


def _customer_messaged(event: fx.CustomerMessaged) -> bytes:
    return nested(
        _CUSTOMER_MESSAGED, text(_CUSTOMER_MESSAGE, event.message_id) + int32(_CUSTOMER_AUTOMATIC, event.automatic)
    )


_CUSTOMER_LEFT: Final = tag(_OF, "customer_left")


def _customer_left(_event: fx.CustomerLeft) -> bytes:
    return nested(_CUSTOMER_LEFT, b"")


_CUSTOMER_SILENT: Final = tag(_OF, "customer_silent")
_SILENT_CLOSES_AT: Final = tag(pb.CustomerSilent, "closes_at_ms")


def _customer_silent(event: fx.CustomerSilent) -> bytes:
    return nested(_CUSTOMER_SILENT, int64(_SILENT_CLOSES_AT, event.closes_at_ms))


_TRANSFERRED: Final = tag(_OF, "transferred")
_TRANSFERRED_FROM: Final = tag(pb.InteractionTransferred, "from_agent_id")
_TRANSFERRED_QUEUE: Final = tag(pb.InteractionTransferred, "queue")
_TRANSFERRED_TO: Final = tag(pb.InteractionTransferred, "to_agent_id")


def _transferred(event: fx.Transferred) -> bytes:
    return nested(
        _TRANSFERRED,
        text(_TRANSFERRED_FROM, event.from_agent_id)
        + text(_TRANSFERRED_QUEUE, event.queue)
        + text(_TRANSFERRED_TO, event.to_agent_id),
    )


_COMPLETED: Final = tag(_OF, "completed")
_COMPLETED_AGENT: Final = tag(pb.InteractionCompleted, "agent_id")
_COMPLETED_DISPOSITION: Final = tag(pb.InteractionCompleted, "disposition")
_COMPLETED_ASSIGNED_AT: Final = tag(pb.InteractionCompleted, "assigned_at_ms")
_COMPLETED_WRAP_UP: Final = tag(pb.InteractionCompleted, "wrap_up_until_ms")


def _completed(event: fx.Completed) -> bytes:
    return nested(
        _COMPLETED,
        text(_COMPLETED_AGENT, event.agent_id)
        + text(_COMPLETED_DISPOSITION, event.disposition)
        + int64(_COMPLETED_ASSIGNED_AT, event.assigned_at_ms)
        + int64(_COMPLETED_WRAP_UP, event.wrap_up_until_ms),
    )


_WRAP_UP_ENDED: Final = tag(_OF, "wrap_up_ended")
_WRAP_UP_AGENT: Final = tag(pb.WrapUpEnded, "agent_id")


def _wrap_up_ended(event: fx.WrapUpEnded) -> bytes:
    return nested(_WRAP_UP_ENDED, text(_WRAP_UP_AGENT, event.agent_id))


_ABANDONED: Final = tag(_OF, "abandoned")
_ABANDONED_WAITED: Final = tag(pb.InteractionAbandoned, "waited_ms")


def _abandoned(event: fx.Abandoned) -> bytes:
    return nested(_ABANDONED, int64(_ABANDONED_WAITED, event.waited_ms))


_CANCELLED: Final = tag(_OF, "cancelled")


def _cancelled(_event: fx.Cancelled) -> bytes:
    return nested(_CANCELLED, b"")


_CHANGED: Final = tag(_OF, "changed")
_CHANGED_PRIORITY: Final = tag(pb.InteractionChanged, "priority")
_CHANGED_QUEUE: Final = tag(pb.InteractionChanged, "queue")


def _changed(event: fx.Changed) -> bytes:
    attributes = event.attributes
    return nested(_CHANGED, int32(_CHANGED_PRIORITY, attributes.priority) + text(_CHANGED_QUEUE, attributes.queue))


BODIES: Final[dict[type[fx.Event], Callable[[Any], bytes]]] = {
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
"""By kind of event: a function that writes the event's own part of a record. A test checks that every kind is listed."""

_AGENT_STATE_CHANGED: Final = tag(_OF, "agent_state_changed")
_STATE_AGENT: Final = tag(pb.AgentStateChanged, "agent_id")
_STATE_BEFORE: Final = tag(pb.AgentStateChanged, "before")
_STATE_AFTER: Final = tag(pb.AgentStateChanged, "after")
_STATE_USED: Final = tag(pb.AgentStateChanged, "used")
_STATE_TOTAL: Final = tag(pb.AgentStateChanged, "total")


def state_change(agent_id: str, before: int, after: int, used: int, total: int) -> bytes:
    """Return a serialized `AgentStateChanged`. The numbers of states are the contract's."""
    return (
        text(_STATE_AGENT, agent_id)
        + int32(_STATE_BEFORE, before)
        + int32(_STATE_AFTER, after)
        + int32(_STATE_USED, used)
        + int32(_STATE_TOTAL, total)
    )
