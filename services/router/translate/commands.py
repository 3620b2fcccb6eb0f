"""`RoutingCommand` to the engine's commands.

Whoever wrote the record was one of us, so what is malformed is a bug or tampering: `ValueError`, which the lane makes a dead letter.
"""

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any, Final

from google.protobuf.message import DecodeError

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from services.router.domain import commands as cmd
from services.router.domain.model import (
    GRACE_MS,
    LEASE_MS,
    OFFER_MS,
    SERVICE_LEVEL_MS,
    AgentProfile,
    AgentState,
    CapacityProfile,
    ChannelCapacity,
    Choice,
    Facts,
    Operator,
    PoolConfig,
    QueueConfig,
    Selector,
)

DEFAULT_POOL: Final = "default"
_MAX_ID: Final = 200
_LONGEST_MS: Final = 366 * 86_400_000


def decode(value: bytes) -> pb.RoutingCommand:
    """The record. Raises ValueError."""
    try:
        return pb.RoutingCommand.FromString(value)
    except DecodeError as error:
        raise ValueError("not a RoutingCommand") from error


def to_command(record: pb.RoutingCommand) -> cmd.Command:
    """The command that a record holds. Raises ValueError for one without a command, or with ids missing or too long."""
    which = record.WhichOneof("command")
    if which is None:
        raise ValueError("the record holds no command")
    make, needed = _MAKERS[which]
    body = getattr(record, which)
    for name in needed:
        text = getattr(body, name)
        if not text or len(text) > _MAX_ID:
            raise ValueError(f"{which}.{name} is missing or too long")
    reply_to = None
    if record.HasField("reply_to"):
        reply_to = cmd.ReplyTo(record.reply_to.gateway_id, record.reply_to.feed_partition)
    return make(body, record, reply_to)


_Maker = Callable[[Any, pb.RoutingCommand, cmd.ReplyTo | None], cmd.Command]


def _plain(command: type[cmd.Command], *fields: str) -> _Maker:
    """A maker that copies fields in order."""

    def make(body: Any, record: pb.RoutingCommand, reply_to: cmd.ReplyTo | None) -> cmd.Command:
        return command(
            *[getattr(body, name) for name in fields],
            command_id=record.command_id,
            reply_to=reply_to,
            supervisor=record.actor_kind == types_pb2.ACTOR_KIND_SUPERVISOR,
        )

    return make


def _enqueue(body: pb.Enqueue, record: pb.RoutingCommand, reply_to: cmd.ReplyTo | None) -> cmd.Command:
    facts = to_facts(body.interaction)
    if not facts.interaction_id or not facts.conversation_id or len(facts.interaction_id) > _MAX_ID:
        raise ValueError("enqueue.interaction needs interaction_id and conversation_id")
    return cmd.Enqueue(facts, command_id=record.command_id, reply_to=reply_to)


def _update(body: pb.UpdateInteraction, record: pb.RoutingCommand, reply_to: cmd.ReplyTo | None) -> cmd.Command:
    return cmd.UpdateInteraction(
        body.interaction_id, _pairs(body.labels), command_id=record.command_id, reply_to=reply_to
    )


def _sign_in(body: pb.SignIn, record: pb.RoutingCommand, reply_to: cmd.ReplyTo | None) -> cmd.Command:
    return cmd.SignIn(
        body.agent_id,
        body.session_id,
        body.resumes_session_id,
        body.credits,
        state(body.state),
        command_id=record.command_id,
        reply_to=reply_to,
    )


def _set_state(body: pb.SetAgentState, record: pb.RoutingCommand, reply_to: cmd.ReplyTo | None) -> cmd.Command:
    return cmd.SetAgentState(
        body.agent_id,
        state(body.state),
        body.reason,
        command_id=record.command_id,
        reply_to=reply_to,
        supervisor=record.actor_kind == types_pb2.ACTOR_KIND_SUPERVISOR,
    )


def _renew(body: pb.RenewLeases, record: pb.RoutingCommand, reply_to: cmd.ReplyTo | None) -> cmd.Command:
    # Never remembered: renewing twice is renewing.
    return cmd.RenewLeases(tuple(body.session_ids), reply_to=reply_to)


def _upsert(body: pb.UpsertAgent, record: pb.RoutingCommand, reply_to: cmd.ReplyTo | None) -> cmd.Command:
    return cmd.UpsertAgent(to_profile(body.agent), command_id=record.command_id, reply_to=reply_to)


def _reroute(body: pb.Reroute, record: pb.RoutingCommand, reply_to: cmd.ReplyTo | None) -> cmd.Command:
    needs = to_selectors(body.requirements) if body.replace_requirements else None
    return cmd.Reroute(body.interaction_id, body.queue, needs, command_id=record.command_id, reply_to=reply_to)


def _activate(body: pb.ActivateConfiguration, record: pb.RoutingCommand, reply_to: cmd.ReplyTo | None) -> cmd.Command:
    config = to_pool(body.configuration, record.pool or DEFAULT_POOL)
    return cmd.ActivateConfiguration(config, command_id=record.command_id, reply_to=reply_to)


_I, _A = "interaction_id", "agent_id"
_MAKERS: Final[dict[str, tuple[_Maker, tuple[str, ...]]]] = {
    "enqueue": (_enqueue, ()),
    "update_interaction": (_update, (_I,)),
    "customer_messaged": (_plain(cmd.CustomerMessaged, _I, "message_id"), (_I, "message_id")),
    "customer_left": (_plain(cmd.CustomerLeft, _I), (_I,)),
    "cancel_interaction": (_plain(cmd.CancelInteraction, _I, "reason"), (_I,)),
    "sign_in": (_sign_in, (_A, "session_id")),
    "close_session": (_plain(cmd.CloseSession, _A, "session_id", "signed_out"), (_A, "session_id")),
    "renew_leases": (_renew, ()),
    "grant_credits": (_plain(cmd.GrantCredits, _A, "session_id", "credits"), (_A, "session_id")),
    "set_agent_state": (_set_state, (_A,)),
    "accept_offer": (_plain(cmd.AcceptOffer, _A, "offer_id"), (_A, "offer_id")),
    "decline_offer": (_plain(cmd.DeclineOffer, _A, "offer_id", "reason", "retry_after_ms"), (_A, "offer_id")),
    "record_reply": (_plain(cmd.RecordReply, _A, _I, "reply_id"), (_A, _I)),
    "complete_interaction": (_plain(cmd.CompleteInteraction, _A, _I, "disposition"), (_A, _I)),
    "transfer_interaction": (_plain(cmd.TransferInteraction, _A, _I, "queue", "to_agent_id"), (_I,)),
    "end_wrap_up": (_plain(cmd.EndWrapUp, _A, _I), (_A, _I)),
    "upsert_agent": (_upsert, ()),
    "reroute": (_reroute, (_I,)),
    "reprioritise": (_plain(cmd.Reprioritise, _I, "add", "reason"), (_I,)),
    "activate_configuration": (_activate, ()),
}


def state(value: int) -> AgentState:
    """An agent's state; a number of a newer version counts as unspecified."""
    return AgentState(value) if 0 <= value <= AgentState.NOT_RESPONDING else AgentState.UNSPECIFIED


def _pairs(labels: Any) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def to_selectors(selectors: Iterable[types_pb2.Selector]) -> tuple[Selector, ...]:
    """Requirements. An operator of a newer version is AT_LEAST, which is the stricter reading."""
    return tuple(
        Selector(
            s.attribute,
            Operator(s.operator) if Operator.EQUAL <= s.operator <= Operator.HAS else Operator.AT_LEAST,
            _finite(s.number),
            s.text,
            tuple(s.texts),
            _bounded(s.expires_after_ms),
            _finite(s.weight),
        )
        for s in selectors
    )


def to_facts(f: pb.InteractionFacts) -> Facts:
    """The interaction as the router knows it."""
    return Facts(
        f.interaction_id,
        f.conversation_id,
        f.person_id,
        f.identity_id,
        f.channel,
        f.account,
        f.language,
        f.queue,
        f.priority,
        to_selectors(f.requirements) if f.requirements else (),
        _pairs(f.labels) if f.labels else (),
        f.arrived_at_ms,
        f.rule,
        f.public,
    )


def to_profile(agent: config_pb2.AgentProfile) -> AgentProfile:
    """An agent as configured."""
    return AgentProfile(
        agent.agent_id,
        agent.display_name,
        tuple(sorted((name, _finite(level)) for name, level in agent.skills.items())),
        agent.capacity_profile,
        tuple(sorted(agent.queues)),
    )


def to_pool(config: config_pb2.TenantConfiguration, pool: str) -> PoolConfig:
    """The part of a tenant's configuration that concerns one pool."""
    own = next((p for p in config.pools if (p.name or DEFAULT_POOL) == pool), None)
    return PoolConfig(
        config.version,
        _bounded(own.session_lease_ms if own is not None else 0) or LEASE_MS,
        _bounded(own.assignment_grace_ms if own is not None else 0) or GRACE_MS,
        tuple(_queue(queue) for queue in config.queues if (queue.pool or DEFAULT_POOL) == pool),
        tuple(to_profile(agent) for agent in config.agents if (agent.pool or DEFAULT_POOL) == pool),
        tuple(
            CapacityProfile(
                p.name,
                p.total,
                tuple(ChannelCapacity(c.channel, c.weight, c.maximum, c.exclusive) for c in p.channels),
                p.default_weight,
            )
            for p in config.capacity_profiles
        ),
    )


def _queue(q: config_pb2.Queue) -> QueueConfig:
    return QueueConfig(
        q.name,
        q.priority,
        to_selectors(q.requirements),
        Choice(q.choice) if 0 < q.choice <= Choice.SKILL_SCORE else Choice.LONGEST_IDLE,
        _bounded(q.offer_timeout_ms) or OFFER_MS,
        _bounded(q.wrap_up_ms),
        _bounded(q.sticky_ms),
        _finite(q.ageing_per_minute),
        _bounded(q.service_level_ms) or SERVICE_LEVEL_MS,
    )


def _bounded(ms: int) -> int:
    """A duration that can be added to any time without leaving the contract's 64 bits; negative ones count as none."""
    return max(0, min(ms, _LONGEST_MS))


def _finite(number: float) -> float:
    """NaN and infinities, which nothing can be ordered by, count as 0."""
    return number if isfinite(number) else 0.0
