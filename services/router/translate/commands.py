"""Convert `RoutingCommand` records to the engine's commands.

Only Chapar's own services write these records, so a malformed one is a bug or tampering: it is a `ValueError`, and the lane makes it a dead letter.
Requests from outside get the same checks before they become records (`to_command` in the adapters), so that their callers get an error.
"""

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import DecodeError

from chapar.common.v1 import types_pb2
from chapar.router.v1 import records_pb2 as pb
from services.policy.model import interning
from services.policy.reading.numbers import duration, instant
from services.policy.reading.routing import DEFAULT_POOL, to_pool, to_profile
from services.policy.reading.selectors import to_selectors
from services.router.domain import commands as cmd
from services.router.domain.model import AgentState, InteractionAttributes

_MAX_ID: Final = 200


def decode(value: bytes) -> pb.RoutingCommand:
    """Parse a record. Raises ValueError."""
    try:
        return pb.RoutingCommand.FromString(value)
    except DecodeError as error:
        raise ValueError("not a RoutingCommand") from error


def to_command(record: pb.RoutingCommand) -> cmd.Command:
    """Return the command that a record holds.

    Raises ValueError for a record without a command, with ids missing or too long, or with invalid values: times before 1970, negative
    durations, NaN or infinity, groups too deep, kinds of a newer version.
    """
    which = record.WhichOneof("command")
    if which is None:
        raise ValueError("the record holds no command")
    make, needed = _MAKERS[which]
    body = getattr(record, which)
    for name in needed:
        text = getattr(body, name)
        if not text or len(text) > _MAX_ID:
            raise ValueError(f"{which}.{name} is missing or too long")
    expected_epoch: int = record.expected_epoch
    if expected_epoch < 0:
        raise ValueError("expected_epoch is below 0")
    command = make(body, record)
    command.command_id = "" if which == _NOT_REMEMBERED else record.command_id
    command.expected_epoch = expected_epoch
    if record.HasField("reply_to"):
        reply_to = record.reply_to
        command.reply_to = cmd.ReplyTo(reply_to.gateway_id, reply_to.feed_partition)
    command.supervisor = record.actor_kind == _SUPERVISOR
    return command


_NOT_REMEMBERED: Final = "renew_leases"
"""To renew twice has the effect of once, so the command's id is not kept."""
_SUPERVISOR: Final = int(types_pb2.ACTOR_KIND_SUPERVISOR)
_AGENT: Final = int(types_pb2.ACTOR_KIND_AGENT)

_Maker = Callable[[Any, pb.RoutingCommand], cmd.Command]
"""Makes a command of its kind; the fields of all commands are set afterwards."""


def _enqueue(body: pb.Enqueue, _record: pb.RoutingCommand) -> cmd.Command:
    attributes = to_attributes(body.interaction)
    if not attributes.interaction_id or not attributes.conversation_id or len(attributes.interaction_id) > _MAX_ID:
        raise ValueError("enqueue.interaction needs interaction_id and conversation_id")
    return cmd.Enqueue(attributes)


def _update(body: pb.UpdateInteraction, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.UpdateInteraction(body.interaction_id, _pairs(body.labels))


def _messaged(body: pb.CustomerMessaged, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.CustomerMessaged(body.interaction_id, body.message_id, body.automatic)


def _left(body: pb.CustomerLeft, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.CustomerLeft(body.interaction_id)


def _cancel(body: pb.CancelInteraction, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.CancelInteraction(body.interaction_id, body.reason)


def _sign_in(body: pb.SignIn, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.SignIn(body.agent_id, body.session_id, body.resumes_session_id, body.credits, state(body.state))


def _set_state(body: pb.SetAgentState, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.SetAgentState(body.agent_id, state(body.state), body.reason)


def _renew(body: pb.RenewLeases, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.RenewLeases(tuple(body.session_ids))


def _close(body: pb.CloseSession, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.CloseSession(body.agent_id, body.session_id, body.signed_out)


def _grant(body: pb.GrantCredits, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.GrantCredits(body.agent_id, body.session_id, body.credits)


def _accept(body: pb.AcceptOffer, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.AcceptOffer(body.agent_id, body.offer_id)


def _decline(body: pb.DeclineOffer, _record: pb.RoutingCommand) -> cmd.Command:
    after = duration(body.retry_after_ms, "decline_offer.retry_after_ms")
    return cmd.DeclineOffer(body.agent_id, body.offer_id, body.reason, after)


def _reply(body: pb.RecordReply, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.RecordReply(body.agent_id, body.interaction_id, body.reply_id, body.awaits_outcome)


def _reply_outcome(body: pb.RecordReplyOutcome, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.RecordReplyOutcome(
        body.interaction_id,
        body.agent_id,
        body.reply_id,
        body.delivery_id,
        body.state,
        body.failure,
        body.retryable,
    )


def _complete(body: pb.CompleteInteraction, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.CompleteInteraction(body.agent_id, body.interaction_id, body.disposition)


def _end_wrap_up(body: pb.EndWrapUp, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.EndWrapUp(body.agent_id, body.interaction_id)


def _transfer(body: pb.TransferInteraction, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.TransferInteraction(
        agent_id=body.agent_id,
        interaction_id=body.interaction_id,
        queue=body.queue,
        to_agent_id=body.to_agent_id,
        requirements=to_selectors(body.requirements) if body.replace_requirements else None,
        labels=_pairs(body.labels),
        warm=body.warm,
    )


def _recall(body: pb.RecallTransfer, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.RecallTransfer(body.agent_id, body.interaction_id)


def _assign(body: pb.AssignInteraction, record: pb.RoutingCommand) -> cmd.Command:
    if body.force and record.actor_kind != _SUPERVISOR:
        raise ValueError("assign_interaction.force is for supervisors")
    # Only the agent is the actor when they pick; a field that any caller could set would not prove it.
    picked = record.actor_kind == _AGENT
    return cmd.AssignInteraction(body.interaction_id, body.agent_id, body.force, picked)


def _callback(body: pb.RequestCallback, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.RequestCallback(body.interaction_id, instant(body.at_ms, "request_callback.at_ms"))


def _upsert(body: pb.UpsertAgent, _record: pb.RoutingCommand) -> cmd.Command:
    return cmd.UpsertAgent(to_profile(body.agent))


def _reroute(body: pb.Reroute, _record: pb.RoutingCommand) -> cmd.Command:
    requirements = to_selectors(body.requirements) if body.replace_requirements else None
    added = to_selectors(body.add_requirements)
    return cmd.Reroute(body.interaction_id, body.queue, requirements, added, body.waiting_only)


def _reprioritise(body: pb.Reprioritise, _record: pb.RoutingCommand) -> cmd.Command:
    due = instant(body.due_at_ms, "reprioritise.due_at_ms")
    return cmd.Reprioritise(body.interaction_id, body.add, body.reason, due)


def _activate(body: pb.ActivateConfiguration, record: pb.RoutingCommand) -> cmd.Command:
    return cmd.ActivateConfiguration(to_pool(body.configuration, record.pool or DEFAULT_POOL))


def _receive(body: pb.ReceiveInteraction, _record: pb.RoutingCommand) -> cmd.Command:
    attributes = to_attributes(body.interaction)
    if not attributes.interaction_id or not attributes.conversation_id or len(attributes.interaction_id) > _MAX_ID:
        raise ValueError("receive_interaction.interaction needs interaction_id and conversation_id")
    if body.epoch < 0 or body.configuration_version < 0:
        raise ValueError("receive_interaction.epoch or configuration_version is below 0")
    return cmd.ReceiveInteraction(
        attributes,
        body.reason,
        body.configuration_version,
        body.epoch,
        instant(body.enqueued_at_ms, "receive_interaction.enqueued_at_ms"),
        instant(body.waiting_since_ms, "receive_interaction.waiting_since_ms"),
        duration(body.waited_ms, "receive_interaction.waited_ms"),
        body.replied,
        body.callback,
        instant(body.not_before_ms, "receive_interaction.not_before_ms"),
        tuple(body.overflowed),
        body.answered_in,
    )


_I, _A = "interaction_id", "agent_id"
_MAKERS: Final[dict[str, tuple[_Maker, tuple[str, ...]]]] = {
    "enqueue": (_enqueue, ()),
    "update_interaction": (_update, (_I,)),
    "customer_messaged": (_messaged, (_I, "message_id")),
    "customer_left": (_left, (_I,)),
    "cancel_interaction": (_cancel, (_I,)),
    "sign_in": (_sign_in, (_A, "session_id")),
    "close_session": (_close, (_A, "session_id")),
    "renew_leases": (_renew, ()),
    "grant_credits": (_grant, (_A, "session_id")),
    "set_agent_state": (_set_state, (_A,)),
    "accept_offer": (_accept, (_A, "offer_id")),
    "decline_offer": (_decline, (_A, "offer_id")),
    "record_reply": (_reply, (_A, _I)),
    "record_reply_outcome": (_reply_outcome, (_I, _A)),
    "complete_interaction": (_complete, (_A, _I)),
    "transfer_interaction": (_transfer, (_I,)),
    "recall_transfer": (_recall, (_A, _I)),
    "assign_interaction": (_assign, (_I, _A)),
    "request_callback": (_callback, (_I,)),
    "end_wrap_up": (_end_wrap_up, (_A, _I)),
    "upsert_agent": (_upsert, ()),
    "reroute": (_reroute, (_I,)),
    "reprioritise": (_reprioritise, (_I,)),
    "activate_configuration": (_activate, ()),
    "receive_interaction": (_receive, ()),
}


def state(value: int) -> AgentState:
    """Return an agent's state. Raises ValueError for an unknown one."""
    try:
        return AgentState(value)
    except ValueError as error:
        raise ValueError(f"agent state {value} is not known") from error


def _pairs(labels: Any) -> tuple[tuple[str, str], ...]:
    return interning.whole(tuple(sorted((interning.name(name), value) for name, value in labels.items())))


def to_attributes(f: pb.InteractionAttributes) -> InteractionAttributes:
    """Return the interaction's attributes."""
    return InteractionAttributes(
        f.interaction_id,
        f.conversation_id,
        f.person_id,
        f.identity_id,
        interning.name(f.channel),
        interning.name(f.account),
        interning.name(f.language),
        interning.name(f.queue),
        f.priority,
        interning.whole(to_selectors(f.requirements)) if f.requirements else (),
        _pairs(f.labels) if f.labels else (),
        instant(f.arrived_at_ms, "interaction.arrived_at_ms"),
        interning.name(f.rule),
        f.public,
        instant(f.due_at_ms, "interaction.due_at_ms"),
        instant(f.start_at_ms, "interaction.start_at_ms"),
        f.preferred_agent,
        f.preferred_team,
        f.automatic,
    )
