"""OutboundService.UploadFile: stores a file that an agent sends with a reply, if the customer's channel carries it.

The file is sealed with the key of the conversation's identity, so an erasure of the customer removes it. Its id is bound to
the interaction: it can be sent in this one only.
"""

from collections.abc import AsyncIterator

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2
from services.chassis.current_call import current_caller, current_tenant
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.ids import derive
from services.ingest.adapters.edges.grpc_checks import MAX_KEY_BYTES, optional, raise_for, required
from services.ingest.domain.files.places import FilePlace
from services.ingest.domain.files.policy import FileRefusal
from services.ingest.domain.files.sniffing import HEAD_BYTES, sniffed
from services.ingest.domain.reach import reach_of
from services.ingest.domain.reasons import Reason
from services.ingest.domain.sent_files import problem_of, upload_id
from services.ingest.ports import AgentQueues, Files, History, IdentityOf

_MAX_NAME_BYTES = 1_000


class Uploader:
    """Handles the method. `history` is None on a replica without history."""

    def __init__(self, files: Files, history: History | None, identity_of: IdentityOf, queues: AgentQueues) -> None:
        self._files = files
        self._history = history
        self._identity_of = identity_of
        self._queues = queues

    async def upload(self, requests: AsyncIterator[ingest_pb2.UploadFileRequest]) -> ingest_pb2.UploadFileResponse:
        """Store the file. Raises INVALID, NOT_FOUND for an interaction that the caller may not see, TOO_LARGE and
        FAILED_PRECONDITION for a file that the channel or we don't take, UNAVAILABLE."""
        tenant, caller = current_tenant(), current_caller()
        head = await _head(requests)
        if self._history is None:
            raise ChaparError(
                ErrorKind.UNAVAILABLE, Reason.HISTORY_OFF, "this replica keeps no history: ask another one"
            )
        reach = reach_of(tenant, caller.scopes, caller.agent_id, self._queues.of(tenant))
        found = (await self._history.interaction(reach, head.interaction_id)).interaction
        owner = await self._identity_of(tenant, found.conversation_id)
        if owner is None:
            raise ChaparError(ErrorKind.NOT_FOUND, Reason.UNKNOWN_CONVERSATION, "this conversation is not known (yet)")
        nonce = derive("upload", tenant, caller.agent_id or caller.subject, head.interaction_id, head.idempotency_key)
        place = FilePlace(tenant, owner, upload_id(head.interaction_id, owner, nonce))
        passing = _Passing(requests, found.channel)
        kept = await self._files.keep(place, head.name, await passing.begin())
        if kept.refusal is FileRefusal.TOO_LARGE:
            most = self._files.policy.max_bytes
            raise ChaparError(ErrorKind.TOO_LARGE, Reason.FILE_TOO_LARGE, f"a file has at most {most} bytes")
        if kept.refusal is not FileRefusal.NONE:
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION,
                Reason.FILE_TYPE_NOT_SENDABLE,
                f"files of type {kept.content_type} are not taken ({kept.refusal.name})",
            )
        return ingest_pb2.UploadFileResponse(
            file=types_pb2.SentFile(
                file_id=place.file_id,
                owner_id=owner,
                name=kept.name,
                content_type=kept.content_type,
                size=kept.size,
                sha256=kept.sha256,
            )
        )


class _Passing:
    """The bytes of a file that passes by on its way to a channel. Raises ChaparError when the channel can't carry it."""

    def __init__(self, requests: AsyncIterator[ingest_pb2.UploadFileRequest], channel: str) -> None:
        self._requests = requests
        self._channel = channel
        self._kind = ""

    async def begin(self) -> AsyncIterator[bytes]:
        """Read enough to know the type; return all bytes."""
        held = bytearray()
        async for request in self._requests:
            held += _chunk(request)
            if len(held) >= HEAD_BYTES:
                break
        self._kind = sniffed(bytes(held))
        self._check(len(held))
        return self._pieces(bytes(held))

    async def _pieces(self, first: bytes) -> AsyncIterator[bytes]:
        yield first
        size = len(first)
        async for request in self._requests:
            size += len(_chunk(request))
            self._check(size)
            yield request.chunk

    def _check(self, size: int) -> None:
        found = problem_of(self._channel, [(self._kind, size)])
        if found is not None:
            too_large = found.reason == Reason.FILE_TOO_LARGE_FOR_CHANNEL
            kind = ErrorKind.TOO_LARGE if too_large else ErrorKind.FAILED_PRECONDITION
            raise ChaparError(kind, found.reason, found.limit)


async def _head(requests: AsyncIterator[ingest_pb2.UploadFileRequest]) -> ingest_pb2.UploadHead:
    async for request in requests:
        if request.WhichOneof("part") != "head":
            break
        head = request.head
        raise_for(
            (
                required("idempotency_key", head.idempotency_key, MAX_KEY_BYTES),
                required("interaction_id", head.interaction_id),
                optional("name", head.name, _MAX_NAME_BYTES),
            )
        )
        return head
    raise ChaparError(ErrorKind.INVALID, Reason.INVALID_FIELD, "the first message must be the head")


def _chunk(request: ingest_pb2.UploadFileRequest) -> bytes:
    if request.WhichOneof("part") != "chunk":
        raise ChaparError(ErrorKind.INVALID, Reason.INVALID_FIELD, "after the head, each message must be a chunk")
    return request.chunk
