"""Unary calls that change something: each becomes a command to the shard, and the command's result is the response."""

import asyncio
import time
from collections.abc import Callable

from chapar.common.v1 import types_pb2
from chapar.router.v1 import records_pb2 as pb
from services.chassis.errors import ChaparError, ErrorKind, invalid
from services.chassis.grpc.context import current_call, current_caller, current_tenant
from services.chassis.ids import derive
from services.chassis.pacing import Pace, Pacer
from services.router.adapters.outcomes import refusal
from services.router.adapters.pool_names import pool_named
from services.router.ports import Commands
from services.router.translate.commands import to_command

_DEFAULT_S = 5.0
_MOST_WAIT_S = 2.0


class Mutations:
    """Carries out the commands of unary calls; shared by the services that change something."""

    def __init__(self, commands: Commands, pace: Pace, now_s: Callable[[], float] = time.monotonic) -> None:
        """`pace` limits each tenant. A change costs the shard, which all tenants of a partition share, more than a read."""
        self._commands = commands
        self._pacer = Pacer(pace)
        self._now_s = now_s

    def begin(self, pool: str, idempotency_key: str) -> pb.RoutingCommand:
        """Return a new command of the caller. Raises INVALID without an idempotency key (in the request, or in metadata)."""
        call, caller, tenant = current_call(), current_caller(), current_tenant()
        key = idempotency_key or call.idempotency_key
        if not key or len(key) > 256:
            raise invalid("idempotency_key", "is missing or longer than 256 characters")
        pool = pool_named(pool, "pool")
        command = self._commands.new(tenant, pool, derive("rpc", tenant, pool, caller.subject, call.method, key))
        command.actor_kind = types_pb2.ACTOR_KIND_SUPERVISOR
        command.actor_id = caller.subject
        return command

    async def carry_out(self, command: pb.RoutingCommand) -> None:
        """Publish a command and wait for its result.

        Raises INVALID for a command that the shard would make a dead letter, and the shard's refusal as an error.
        """
        try:
            to_command(command)
        except ValueError as error:
            raise invalid("request", str(error)) from error
        left = current_call().time_left()
        await self._turn(command.tenant, _DEFAULT_S if left is None else left)
        left = current_call().time_left()
        outcome = await self._commands.ask(command, _DEFAULT_S if left is None else max(0.05, left - 0.05))
        if not outcome.ok:
            raise refusal(outcome.reason)

    async def _turn(self, tenant: str, left_s: float) -> None:
        turn = self._pacer.take(tenant, 1, self._now_s(), min(_MOST_WAIT_S, left_s / 2))
        if turn.refused:
            raise ChaparError(
                ErrorKind.EXHAUSTED,
                "TENANT_CHANGE_RATE",
                "this tenant asks for more changes than its quota allows: ask later, or have the quota raised",
                retry_after_s=turn.wait_s,
            )
        if turn.wait_s > 0:
            await asyncio.sleep(turn.wait_s)
