"""Reads of the history, in which tenants take turns: a flood of searches waits behind itself.

Watches are not counted here: they wait for most of their life, and their slots are shared where streams are let in.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from chapar.ingest.v1 import ingest_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.adapters.edges.turns import TooManyWaiting, Turns
from services.ingest.domain.reach import Reach
from services.ingest.ports import History

_AT_A_TIME = 8
_MOST_WAITING = 64
_RETRY_AFTER_S = 1.0
T = TypeVar("T")


class FairReads:
    """`ports.History`, a bounded number of reads at a time."""

    def __init__(self, history: History, at_a_time: int = _AT_A_TIME, most_waiting: int = _MOST_WAITING) -> None:
        self._history = history
        self._turns = Turns(at_a_time, most_waiting)

    async def conversation(
        self, reach: Reach, request: ingest_pb2.GetConversationRequest
    ) -> ingest_pb2.GetConversationResponse:
        """As the port says. Raises EXHAUSTED TENANT_READS too, as all of these do."""
        return await self._in_turn(reach, lambda: self._history.conversation(reach, request))

    def watch(self, reach: Reach, conversation_id: str, after_sequence: int) -> AsyncIterator[ingest_pb2.MessageView]:
        """As the port says."""
        return self._history.watch(reach, conversation_id, after_sequence)

    async def search(
        self, reach: Reach, request: ingest_pb2.SearchConversationsRequest
    ) -> ingest_pb2.SearchConversationsResponse:
        """As the port says."""
        return await self._in_turn(reach, lambda: self._history.search(reach, request))

    async def interaction(self, reach: Reach, interaction_id: str) -> ingest_pb2.GetInteractionResponse:
        """As the port says."""
        return await self._in_turn(reach, lambda: self._history.interaction(reach, interaction_id))

    async def interactions(
        self, reach: Reach, request: ingest_pb2.ListInteractionsRequest
    ) -> ingest_pb2.ListInteractionsResponse:
        """As the port says."""
        return await self._in_turn(reach, lambda: self._history.interactions(reach, request))

    async def _in_turn(self, reach: Reach, read: Callable[[], Awaitable[T]]) -> T:
        try:
            async with self._turns.turn(reach.tenant):
                return await read()
        except TooManyWaiting as error:
            raise ChaparError(
                ErrorKind.EXHAUSTED,
                "TENANT_READS",
                "this tenant has too many reads waiting: read less at once, or later",
                retry_after_s=_RETRY_AFTER_S,
            ) from error
