"""Write notices for desks and results of commands as records of the feed: serialized `FeedRecord`.

The bytes equal those of a message object, as in `events`.
"""

from typing import Final, assert_never

from chapar.router.v1 import records_pb2 as pb
from services.router.domain import effects as fx
from services.router.translate.attributes import AttributesCache
from services.router.translate.events import state_change
from services.router.translate.wire import flag, int32, int64, nested, tag, text

_OF: Final = pb.FeedRecord
_GATEWAY_ID: Final = tag(_OF, "gateway_id")
_SESSION_ID: Final = tag(_OF, "session_id")
_AGENT_ID: Final = tag(_OF, "agent_id")
_OCCURRED_AT: Final = tag(_OF, "occurred_at_ms")
_RESULT: Final = tag(_OF, "result")
_OFFERED: Final = tag(_OF, "offered")
_REVOKED: Final = tag(_OF, "revoked")
_ASSIGNED: Final = tag(_OF, "assigned")
_ENDED: Final = tag(_OF, "ended")
_SNAPSHOT: Final = tag(_OF, "snapshot")
_STATE_CHANGED: Final = tag(_OF, "state_changed")
_CUSTOMER_ACTED: Final = tag(_OF, "customer_acted")
_REPLY_OUTCOME: Final = tag(_OF, "reply_outcome")

_OFFER_ID: Final = tag(pb.OfferView, "offer_id")
_OFFER_INTERACTION: Final = tag(pb.OfferView, "interaction")
_OFFER_EXPIRES_AT: Final = tag(pb.OfferView, "expires_at_ms")
_OFFER_REASON: Final = tag(pb.OfferView, "reason")
_OFFER_OFFERED_AT: Final = tag(pb.OfferView, "offered_at_ms")
_HELD_INTERACTION: Final = tag(pb.AssignmentView, "interaction")
_HELD_SINCE: Final = tag(pb.AssignmentView, "assigned_at_ms")
_HELD_WRAPPING_UP: Final = tag(pb.AssignmentView, "wrapping_up")
_HELD_WRAP_UP_UNTIL: Final = tag(pb.AssignmentView, "wrap_up_until_ms")
_HELD_PARKED: Final = tag(pb.AssignmentView, "parked")
_HELD_AWAITED: Final = tag(pb.AssignmentView, "customer_awaited")
_SNAPSHOT_STATE: Final = tag(pb.AgentSnapshot, "state")
_SNAPSHOT_OFFERS: Final = tag(pb.AgentSnapshot, "offers")
_SNAPSHOT_ASSIGNMENTS: Final = tag(pb.AgentSnapshot, "assignments")
_SNAPSHOT_SESSION: Final = tag(pb.AgentSnapshot, "session_id")
_SNAPSHOT_USED: Final = tag(pb.AgentSnapshot, "used")
_SNAPSHOT_TOTAL: Final = tag(pb.AgentSnapshot, "total")
_REVOKED_OFFER: Final = tag(pb.OfferRevoked, "offer_id")
_REVOKED_REASON: Final = tag(pb.OfferRevoked, "reason")
_ENDED_INTERACTION: Final = tag(pb.AssignmentEnded, "interaction_id")
_ENDED_REASON: Final = tag(pb.AssignmentEnded, "reason")
_CUSTOMER_INTERACTION: Final = tag(pb.CustomerActed, "interaction_id")
_CUSTOMER_MESSAGE: Final = tag(pb.CustomerActed, "message_id")
_CUSTOMER_LEFT: Final = tag(pb.CustomerActed, "left")
_CUSTOMER_AUTOMATIC: Final = tag(pb.CustomerActed, "automatic")
_REPLY_INTERACTION: Final = tag(pb.ReplyOutcome, "interaction_id")
_REPLY_ID: Final = tag(pb.ReplyOutcome, "reply_id")
_REPLY_DELIVERY: Final = tag(pb.ReplyOutcome, "delivery_id")
_REPLY_STATE: Final = tag(pb.ReplyOutcome, "state")
_REPLY_FAILURE: Final = tag(pb.ReplyOutcome, "failure")
_REPLY_RETRYABLE: Final = tag(pb.ReplyOutcome, "retryable")
_COMMAND_ID: Final = tag(pb.CommandResult, "command_id")
_OK: Final = tag(pb.CommandResult, "ok")
_REASON: Final = tag(pb.CommandResult, "reason")


def feed_time(now_ms: int) -> bytes:
    """Return the field that holds a record's time. All records of a batch have the same."""
    return int64(_OCCURRED_AT, now_ms)


def write_notice(to: fx.ToDesk, time: bytes, attributes: AttributesCache) -> bytes:
    """Return a notice for a desk as a record of the feed, at `feed_time`."""
    return b"".join(
        (
            text(_GATEWAY_ID, to.gateway.gateway_id),
            text(_SESSION_ID, to.session_id),
            text(_AGENT_ID, to.agent_id),
            time,
            _notice(to.agent_id, to.notice, attributes),
        )
    )


def _notice(agent_id: str, notice: fx.Notice, attributes: AttributesCache) -> bytes:
    match notice:
        case fx.OfferNotice():
            return nested(_OFFERED, _offer(notice, attributes))
        case fx.RevokedNotice():
            return nested(_REVOKED, text(_REVOKED_OFFER, notice.offer_id) + text(_REVOKED_REASON, notice.reason))
        case fx.AssignmentNotice():
            return nested(_ASSIGNED, encode_assignment(notice, attributes))
        case fx.EndedNotice():
            return nested(_ENDED, text(_ENDED_INTERACTION, notice.interaction_id) + text(_ENDED_REASON, notice.reason))
        case fx.CustomerNotice():
            return nested(
                _CUSTOMER_ACTED,
                text(_CUSTOMER_INTERACTION, notice.interaction_id)
                + text(_CUSTOMER_MESSAGE, notice.message_id)
                + flag(_CUSTOMER_LEFT, notice.left)
                + int32(_CUSTOMER_AUTOMATIC, notice.automatic),
            )
        case fx.ReplyNotice():
            return nested(
                _REPLY_OUTCOME,
                text(_REPLY_INTERACTION, notice.interaction_id)
                + text(_REPLY_ID, notice.reply_id)
                + text(_REPLY_DELIVERY, notice.delivery_id)
                + int32(_REPLY_STATE, notice.state)
                + text(_REPLY_FAILURE, notice.failure)
                + flag(_REPLY_RETRYABLE, notice.retryable),
            )
        case fx.SnapshotNotice():
            return nested(_SNAPSHOT, encode_snapshot(notice, attributes))
        case fx.StateNotice():
            return nested(
                _STATE_CHANGED, state_change(agent_id, notice.before, notice.after, notice.used, notice.total)
            )
        case fx.SessionEndedNotice():
            # A result without a command: the session itself has ended.
            return nested(_RESULT, text(_REASON, notice.reason))
        case _:
            assert_never(notice)


def _offer(notice: fx.OfferNotice, attributes: AttributesCache) -> bytes:
    return b"".join(
        (
            text(_OFFER_ID, notice.offer_id),
            _OFFER_INTERACTION,
            attributes.sized(notice.attributes),
            int64(_OFFER_EXPIRES_AT, notice.expires_at_ms),
            text(_OFFER_REASON, notice.reason),
            int64(_OFFER_OFFERED_AT, notice.offered_at_ms),
        )
    )


def encode_assignment(notice: fx.AssignmentNotice, attributes: AttributesCache) -> bytes:
    """Return an assignment as a serialized `AssignmentView`."""
    return b"".join(
        (
            _HELD_INTERACTION,
            attributes.sized(notice.attributes),
            int64(_HELD_SINCE, notice.assigned_at_ms),
            flag(_HELD_WRAPPING_UP, notice.wrapping_up),
            int64(_HELD_WRAP_UP_UNTIL, notice.wrap_up_until_ms),
            flag(_HELD_PARKED, notice.parked),
            flag(_HELD_AWAITED, notice.customer_awaited),
        )
    )


def encode_snapshot(notice: fx.SnapshotNotice, attributes: AttributesCache) -> bytes:
    """Return the offers and assignments of an agent as a serialized `AgentSnapshot`."""
    return b"".join(
        (
            int32(_SNAPSHOT_STATE, notice.state),
            b"".join([nested(_SNAPSHOT_OFFERS, _offer(offer, attributes)) for offer in notice.offers]),
            b"".join(
                [nested(_SNAPSHOT_ASSIGNMENTS, encode_assignment(held, attributes)) for held in notice.assignments]
            ),
            text(_SNAPSHOT_SESSION, notice.session_id),
            int32(_SNAPSHOT_USED, notice.used),
            int32(_SNAPSHOT_TOTAL, notice.total),
        )
    )


def write_result(result: fx.Result, time: bytes) -> bytes:
    """Return a command's result as a record, at `feed_time`, for the gateway that waits. The caller has checked that one waits."""
    assert result.reply_to is not None
    outcome = text(_COMMAND_ID, result.command_id) + flag(_OK, result.ok) + text(_REASON, result.reason)
    return text(_GATEWAY_ID, result.reply_to.gateway_id) + time + nested(_RESULT, outcome)
