"""Limits the rate of each tenant's calls: a tenant that floods a replica waits, so that the event loop has time for others.

A call that waits holds its slot and has not been read; a stream's next message is not read before its turn, so flow
control slows the sender down. Calls that change something also have a rate of their own, if the service sets one. A call
beyond it is refused before it is read and before the audit log records it, because a refusal that writes two records costs as
much as the change.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc_settings import GrpcLimits
from services.chassis.pacing import NO_LIMIT, Pacer, Rate
from services.chassis.reasons import Reason

_TOO_MANY_CALLS: Final = "this tenant sends more calls than a replica serves for one tenant: send fewer, or later"


class TenantPace:
    """The rates of one server's tenants."""

    def __init__(
        self, limits: GrpcLimits, changes: Rate = NO_LIMIT, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        """`changes`: the rate of unary calls that change something; messages of a stream do not count in it."""
        self._calls = Pacer(Rate(limits.tenant_calls_per_s, limits.tenant_burst))
        self._messages = Pacer(Rate(limits.tenant_messages_per_s, limits.tenant_messages_burst))
        self._changes = Pacer(changes)
        self._most_wait_s = limits.tenant_wait_s
        self._now_s = now_s

    async def call(self, tenant: str, *, changes: bool = False) -> None:
        """Wait for the turn of a call. Raises EXHAUSTED TENANT_{CALL, CHANGE}_RATE when that would take too long."""
        wait_s = 0.0
        if changes:
            text = "this tenant asks for more changes than its quota: ask later, or have the quota raised"
            wait_s = self._turn(self._changes, tenant, Reason.TENANT_CHANGE_RATE, text)
        wait_s = max(wait_s, self._turn(self._calls, tenant, Reason.TENANT_CALL_RATE, _TOO_MANY_CALLS))
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    async def session(self, tenant: str) -> None:
        """Wait for the turn of a bidirectional stream. Raises EXHAUSTED TENANT_CALL_RATE."""
        wait_s = self._turn(self._messages, tenant, Reason.TENANT_CALL_RATE, _TOO_MANY_CALLS)
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    async def message(self, tenant: str) -> None:
        """Wait for the turn of a stream's next message, without a time limit."""
        while True:
            turn = self._messages.take(tenant, 1, self._now_s(), self._most_wait_s)
            if turn.wait_s > 0:
                await asyncio.sleep(min(turn.wait_s, self._most_wait_s))
            if not turn.refused:
                return

    def _turn(self, pacer: Pacer, tenant: str, reason: str, message: str) -> float:
        """Return the seconds to wait for a turn. Raises EXHAUSTED with the reason when that is too long."""
        turn = pacer.take(tenant, 1, self._now_s(), self._most_wait_s)
        if turn.refused:
            raise ChaparError(ErrorKind.EXHAUSTED, reason, message, retry_after_s=turn.wait_s)
        return turn.wait_s
