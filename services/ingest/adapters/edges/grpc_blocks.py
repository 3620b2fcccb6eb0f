"""PersonService: blocks senders, ends blocks, and lists who is blocked."""

from typing import Final

from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.chassis.clock import Clock
from services.chassis.current_call import current_caller, current_tenant
from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.adapters.edges.grpc_checks import MAX_KEY_BYTES, raise_for, required
from services.ingest.domain.blocking import DEFAULT_MS
from services.ingest.domain.normalise.message import Refusal
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Blocks, Questions
from services.policy.model.counting import LONGEST_BLOCK_MS

_SKEW_MS: Final = 60_000
"""The end may be this much later than the longest one, because the caller's clock may be ahead."""


class SenderBlocks:
    """Handles the methods about blocked senders. `blocks` is None on a replica without history."""

    def __init__(self, questions: Questions, blocks: Blocks | None, clock: Clock) -> None:
        self._questions = questions
        self._blocks = blocks
        self._clock = clock

    async def block(self, request: ingest_pb2.BlockSenderRequest) -> ingest_pb2.BlockSenderResponse:
        """Ask the lane of the identity to block it; it is blocked when this returns."""
        now_ms = self._clock()
        until_ms = request.until.ToMilliseconds() if request.HasField("until") else now_ms + DEFAULT_MS
        in_range = now_ms < until_ms <= now_ms + LONGEST_BLOCK_MS + _SKEW_MS
        raise_for(
            (
                required("idempotency_key", request.idempotency_key, MAX_KEY_BYTES),
                required("identity_id", request.identity_id),
                None
                if in_range
                else Refusal(Reason.INVALID_FIELD, "until", "must be in the future, at most 366 days from now"),
            )
        )
        await self._ask(request.idempotency_key, request.identity_id, until_ms, now_ms, request.note)
        answer = ingest_pb2.BlockSenderResponse()
        answer.until.FromMilliseconds(until_ms)
        return answer

    async def unblock(self, request: ingest_pb2.UnblockSenderRequest) -> ingest_pb2.UnblockSenderResponse:
        """Ask the lane of the identity to end the block; it has ended when this returns."""
        raise_for(
            (
                required("idempotency_key", request.idempotency_key, MAX_KEY_BYTES),
                required("identity_id", request.identity_id),
            )
        )
        await self._ask(request.idempotency_key, request.identity_id, 0, self._clock())
        return ingest_pb2.UnblockSenderResponse()

    async def list(self, request: ingest_pb2.ListBlockedRequest) -> ingest_pb2.ListBlockedResponse:
        """Return a page of the senders that are blocked now."""
        if self._blocks is None:
            raise ChaparError(
                ErrorKind.UNAVAILABLE, Reason.HISTORY_OFF, "this replica keeps no history: ask another one"
            )
        return await self._blocks.list(current_tenant(), request, self._clock())

    async def add_to(self, person: ingest_pb2.GetPersonResponse) -> ingest_pb2.GetPersonResponse:
        """Add the blocks of a person's identities to what is returned about them."""
        if self._blocks is not None:
            person.blocks.extend(await self._blocks.of_person(current_tenant(), person.person_id, self._clock()))
        return person

    async def _ask(self, request_id: str, identity_id: str, until_ms: int, now_ms: int, note: str = "") -> None:
        asked = records_pb2.SenderBlock(
            request_id=request_id,
            identity_id=identity_id,
            until_ms=until_ms,
            note=note,
            actor=current_caller().subject,
            occurred_at_ms=now_ms,
        )
        record = records_pb2.InboundRecord(tenant=current_tenant(), sender_block=asked)
        await self._questions.ask(identity_id, record)
