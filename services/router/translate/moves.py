"""Writes the commands by which an interaction moves to another pool, and those that follow it there."""

from typing import Final

from chapar.common.v1 import types_pb2
from chapar.router.v1 import records_pb2 as pb
from services.router.domain import effects as fx
from services.router.translate.attributes import from_attributes

ACTOR: Final = "router"


def write_received(tenant: str, command_id: str, now_ms: int, effect: fx.HandedOver) -> bytes:
    """Return the record by which the other pool takes the interaction over."""
    received = effect.received
    return pb.RoutingCommand(
        command_id=command_id,
        tenant=tenant,
        pool=effect.pool,
        issued_at_ms=now_ms,
        actor_kind=types_pb2.ACTOR_KIND_SYSTEM,
        actor_id=ACTOR,
        receive_interaction=pb.ReceiveInteraction(
            interaction=from_attributes(received.attributes),
            reason=received.reason,
            configuration_version=received.version,
            epoch=received.epoch,
            enqueued_at_ms=received.enqueued_at,
            waiting_since_ms=received.waiting_since,
            waited_ms=received.waited,
            replied=received.replied,
            callback=received.callback,
            not_before_ms=received.not_before,
            overflowed=received.overflowed,
            answered_in=received.answered_in,
        ),
    ).SerializeToString(deterministic=True)


def write_following(message: pb.RoutingCommand, pool: str) -> bytes:
    """Return a command about an interaction that was moved, for its new pool. Everything but the pool stays."""
    following = pb.RoutingCommand()
    following.CopyFrom(message)
    following.pool = pool
    return following.SerializeToString(deterministic=True)
