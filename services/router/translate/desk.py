"""Convert a desk's requests to routing commands, and records of the feed to responses for a desk."""

from typing import Final

from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2 as api
from services.router.domain.reasons import Reason

_MAX_TEXT: Final = 20_000

KINDS: Final = frozenset(
    {"credits", "state", "accept", "decline", "reply", "complete", "transfer", "end_wrap", "sign_out", "pick", "recall"}
)


def to_routing(
    request: api.SessionRequest, agent_id: str, session_id: str, reply_id: str, command: pb.RoutingCommand
) -> None:
    """Fill in the command that a request asks for. The request must be one of KINDS."""
    match request.WhichOneof("request"):
        case "credits":
            command.grant_credits.CopyFrom(
                pb.GrantCredits(agent_id=agent_id, session_id=session_id, credits=request.credits.credits)
            )
        case "state":
            command.set_agent_state.CopyFrom(
                pb.SetAgentState(agent_id=agent_id, state=request.state.state, reason=request.state.reason)
            )
        case "accept":
            command.accept_offer.CopyFrom(pb.AcceptOffer(agent_id=agent_id, offer_id=request.accept.offer_id))
        case "decline":
            d = request.decline
            command.decline_offer.CopyFrom(
                pb.DeclineOffer(
                    agent_id=agent_id, offer_id=d.offer_id, reason=d.reason, retry_after_ms=d.retry_after_ms
                )
            )
        case "reply":
            command.record_reply.CopyFrom(
                pb.RecordReply(
                    agent_id=agent_id,
                    interaction_id=request.reply.interaction_id,
                    reply_id=reply_id,
                    awaits_outcome=True,
                )
            )
        case "complete":
            c = request.complete
            command.complete_interaction.CopyFrom(
                pb.CompleteInteraction(agent_id=agent_id, interaction_id=c.interaction_id, disposition=c.disposition)
            )
        case "transfer":
            t = request.transfer
            command.transfer_interaction.CopyFrom(
                pb.TransferInteraction(
                    agent_id=agent_id,
                    interaction_id=t.interaction_id,
                    queue=t.queue,
                    to_agent_id=t.to_agent_id,
                    note=t.note,
                    requirements=t.requirements,
                    replace_requirements=t.replace_requirements,
                    labels=t.labels,
                    warm=t.warm,
                )
            )
        case "pick":
            command.assign_interaction.CopyFrom(
                pb.AssignInteraction(agent_id=agent_id, interaction_id=request.pick.interaction_id)
            )
        case "recall":
            command.recall_transfer.CopyFrom(
                pb.RecallTransfer(agent_id=agent_id, interaction_id=request.recall.interaction_id)
            )
        case "end_wrap":
            command.end_wrap_up.CopyFrom(
                pb.EndWrapUp(agent_id=agent_id, interaction_id=request.end_wrap.interaction_id)
            )
        case "sign_out":
            command.close_session.CopyFrom(pb.CloseSession(agent_id=agent_id, session_id=session_id, signed_out=True))
        case other:
            raise AssertionError(f"{other} is not a request that becomes a command")


def reply_refusal(reply: api.Reply) -> str:
    """Return why a reply can't be sent, as a code; empty when it can. A template's words are those of the configuration."""
    if reply.HasField("template"):
        alone = not reply.text and not reply.files
        return Reason.TEXT_AND_TEMPLATE if not alone else "" if reply.template.name else Reason.TEXT_EMPTY
    return text_refusal(reply.text, files=bool(reply.files))


def text_refusal(text: str, *, files: bool = False) -> str:
    """Return why a reply's text can't be sent, as a code; empty when it can. With `files` it may be empty."""
    if not text.strip() and not files:
        return Reason.TEXT_EMPTY
    if len(text) > _MAX_TEXT:
        return Reason.TEXT_TOO_LONG
    return Reason.TEXT_HAS_NUL if "\x00" in text else ""


def to_response(record: pb.FeedRecord) -> api.SessionResponse | None:
    """Return the response to a desk for a record; None for records that the gateway handles itself (results, snapshots)."""
    response = api.SessionResponse()
    match record.WhichOneof("record"):
        case "offered":
            response.offered.CopyFrom(record.offered)
        case "revoked":
            response.revoked.CopyFrom(record.revoked)
        case "assigned":
            response.assigned.CopyFrom(record.assigned)
        case "ended":
            response.ended.CopyFrom(record.ended)
        case "state_changed":
            response.state_changed.CopyFrom(record.state_changed)
        case "customer_acted":
            response.customer_acted.CopyFrom(record.customer_acted)
        case "reply_outcome":
            response.reply_outcome.CopyFrom(record.reply_outcome)
        case _:
            return None
    return response
