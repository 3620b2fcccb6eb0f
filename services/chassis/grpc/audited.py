"""Records the calls of a handler in the audit log: a change before it is made, a read before the data leave.

A stream of reads that ends by itself without an answer is recorded at its end. If the caller cancels it before
the first answer, it has disclosed nothing and is not recorded.

The interceptor calls this once the caller is admitted. Without a trail, or for a method without an audit rule, the handler
runs as it is.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from services.chassis.audit import AuditTrail
from services.chassis.audit_rules import AuditRule
from services.chassis.current_call import Call
from services.chassis.errors import ChaparError
from services.chassis.grpc.auth import CallerRefused


class AuditedCalls:
    """See the module."""

    def __init__(self, trail: AuditTrail | None) -> None:
        self._trail = trail

    async def unary(self, call: Call, request: Any, work: Callable[[], Awaitable[Any]]) -> Any:
        """Return the handler's response. `request` is None where the caller streams."""
        trail, rule = self._of(call)
        if trail is None or rule is None:
            return await work()
        if rule.changes:
            await trail.requested(call, rule, request)
        try:
            response = await work()
        except ChaparError as error:
            await trail.refused(call, rule, request, error)
            raise
        if not rule.changes:
            await trail.returned(call, rule, request, response)
        return response

    async def stream(self, call: Call, request: Any, answers: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        """Yield the handler's answers. Writes one record for the stream: of a change before it begins, of a read before its first answer."""
        trail, rule = self._of(call)
        async with aclosing(answers):
            if trail is None or rule is None:
                async for answer in answers:
                    yield answer
                return
            recorded = rule.changes
            if rule.changes:
                await trail.requested(call, rule, request)
            while True:
                try:
                    answer = await anext(answers)
                except StopAsyncIteration:
                    break
                except ChaparError as error:
                    await trail.refused(call, rule, request, error)
                    raise
                if not recorded:
                    await trail.returned(call, rule, request, None)
                    recorded = True
                yield answer
            if not recorded:
                await trail.returned(call, rule, request, None)

    async def turned_away(self, method: str, refused: CallerRefused) -> None:
        """Record that an authenticated caller was refused before the request was read. Never raises."""
        if self._trail is not None:
            await self._trail.turned_away(refused.caller, method, refused.reason)

    def _of(self, call: Call) -> tuple[AuditTrail | None, AuditRule | None]:
        if self._trail is None or call.caller is None:
            return None, None
        return self._trail, self._trail.rule(call.method)
