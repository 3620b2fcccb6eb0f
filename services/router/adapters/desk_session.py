"""One desk's session at this gateway: the responses to be written to it, and whether it is still alive."""

import asyncio
from collections import deque
from collections.abc import Callable

from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2 as api
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, ErrorKind
from services.router.domain.reasons import Reason

_MANY = 2000
"""A desk with fewer unread responses is never too slow."""
_LATE_MS = 5000
"""A desk with more unread responses is too slow when the oldest is older than this, milliseconds."""
_MOST = 20_000
"""The bound of the memory of one session. The feed delivers everything that one batch of the shard did to an agent in one
go, before the desk can read any of it."""
_ATTRIBUTES_KEPT = 500


class DeskSession:
    """See the module. All methods are called in the gateway's event loop."""

    def __init__(self, session_id: str, tenant: str, pool: str, agent_id: str, clock: Clock) -> None:
        self.session_id = session_id
        self.tenant = tenant
        self.pool = pool
        self.agent_id = agent_id
        self.alive_at = clock()
        self.snapshot: pb.AgentSnapshot | None = None
        self.on_snapshot: Callable[[], None] = lambda: None
        self.welcomed = False
        self.ended_by_shard = False
        self.asking = False
        """Whether a request is being carried out, so that the desk still waits for its result."""
        self.failure: ChaparError | None = None
        self._last_word: ChaparError | None = None
        self._attributes: dict[str, pb.InteractionAttributes] = {}
        self._clock = clock
        self._outgoing: deque[tuple[int, api.SessionResponse]] = deque()
        self._more = asyncio.Event()
        self._over = False

    def send(self, response: api.SessionResponse) -> None:
        """Queue a response for the desk. A desk that reads too slowly loses its session: it would act on outdated information.

        Too slowly means: many unread responses, and the oldest is old. A burst alone says nothing about the desk.
        """
        if self._over:
            return
        now = self._clock()
        unread = len(self._outgoing)
        if unread >= _MOST or (unread >= _MANY and now - self._outgoing[0][0] >= _LATE_MS):
            self.finish(ChaparError(ErrorKind.EXHAUSTED, Reason.SLOW_DESK, "the desk reads its responses too slowly"))
            return
        self._outgoing.append((now, response))
        self._more.set()

    def result(self, request_id: str, ok: bool, reason: str = "", message: str = "") -> None:
        """Queue the result of a request."""
        self.send(
            api.SessionResponse(result=api.RequestResult(request_id=request_id, ok=ok, reason=reason, message=message))
        )

    def finish(self, failure: ChaparError | None = None) -> None:
        """End the session: responses that are queued are still sent, and no more are accepted."""
        if not self._over:
            self._over = True
            self.failure = failure
            self._more.set()

    def finish_when_answered(self, failure: ChaparError | None) -> None:
        """End the session as `finish` does, but not before the result of the current request has been queued."""
        if self.asking:
            self._last_word = failure
        else:
            self.finish(failure)

    def answered(self) -> None:
        """Record that the current request has its result."""
        self.asking = False
        if self.ended_by_shard:
            self.finish(self._last_word)

    async def next(self) -> api.SessionResponse | None:
        """Return the next response to write; None when the session is over."""
        while not self._outgoing:
            if self._over:
                return None
            self._more.clear()
            await self._more.wait()
        return self._outgoing.popleft()[1]

    def learn(self, attributes: pb.InteractionAttributes) -> None:
        """Remember an interaction that the agent holds: replies go to its conversation."""
        self._attributes.pop(attributes.interaction_id, None)
        while len(self._attributes) >= _ATTRIBUTES_KEPT:
            del self._attributes[next(iter(self._attributes))]
        self._attributes[attributes.interaction_id] = attributes

    def attributes(self, interaction_id: str) -> pb.InteractionAttributes | None:
        """Return an interaction that the agent holds or held in this session; None when it is not known."""
        return self._attributes.get(interaction_id)
