"""Unary calls that change something: each becomes a command to the shard, and the command's result is the response."""

from chapar.common.v1 import types_pb2
from chapar.router.v1 import records_pb2 as pb
from services.chassis.current_call import current_call, current_caller, current_tenant
from services.chassis.errors import invalid
from services.chassis.ids import derive
from services.router.adapters.outcomes import refusal
from services.router.adapters.pool_names import pool_named
from services.router.ports import Commands
from services.router.translate.commands import to_command

_DEFAULT_S = 5.0


class Mutations:
    """Carries out the commands of unary calls; shared by the services that change something."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

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
        outcome = await self._commands.ask(command, _DEFAULT_S if left is None else max(0.05, left - 0.05))
        if not outcome.ok:
            raise refusal(outcome.reason)
