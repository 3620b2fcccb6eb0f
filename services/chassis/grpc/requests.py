"""Decodes requests after the caller was admitted, and checks them against the limits of their fields.

A request that can't be decoded is refused with a fixed text, because a decoder's error may quote a customer's text.
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.field_limits import FieldLimits
from services.chassis.grpc.request_bytes import RequestBytes
from services.chassis.reasons import Reason

T = TypeVar("T")


class RequestRefused(ChaparError):  # noqa: N818 - reads as what happened
    """Raised for a decoded message that breaks its limits. A stream may answer it and continue."""

    def __init__(self, error: ChaparError, request: Any) -> None:
        super().__init__(error.kind, error.reason, error.message, violations=error.violations)
        self.request = request


class RequestReader(Generic[T]):
    """Reads the requests of one method."""

    def __init__(self, decode: Callable[[bytes], T] | None, limits: FieldLimits) -> None:
        """`decode` None: the method takes bytes as they are."""
        self._decode = decode
        self._limits = limits

    def read(self, raw: bytes) -> T:
        """Return the request. Raises INVALID REQUEST_UNREADABLE, or `RequestRefused` when it breaks its fields' limits."""
        if self._decode is None:
            return raw  # type: ignore[return-value]  # then T is bytes
        try:
            request = self._decode(raw)
        except Exception as error:
            raise ChaparError(
                ErrorKind.INVALID, Reason.REQUEST_UNREADABLE, "the request can't be read as a message of this method"
            ) from error
        if isinstance(request, Message):
            try:
                self._limits.check(request)
            except ChaparError as error:
                raise RequestRefused(error, request) from error
        return request


class Requests(Generic[T]):
    """The requests of a stream. The handler can continue to read after a refused request.

    The bytes of a message count as in progress until the handler reads the next one, or the stream ends.
    """

    def __init__(
        self,
        reader: RequestReader[T],
        raws: AsyncIterable[bytes],
        turn: Callable[[], Awaitable[None]],
        held: "HeldBytes",
    ) -> None:
        """`turn` is awaited before each message is read."""
        self._reader = reader
        self._raws = aiter(raws)
        self._turn = turn
        self._held = held

    def __aiter__(self) -> "Requests[T]":
        return self

    async def __anext__(self) -> T:
        self._held.release()
        await self._turn()
        raw = await anext(self._raws)
        self._held.take(len(raw))
        return self._reader.read(raw)


class HeldBytes:
    """The bytes that one call uses of its tenant's budget."""

    def __init__(self, budget: RequestBytes, tenant: str) -> None:
        self._budget = budget
        self._tenant = tenant
        self._size = 0

    def take(self, size: int) -> None:
        """Add bytes to the call. Raises EXHAUSTED TOO_MANY_BYTES."""
        self._budget.take(self._tenant, size)
        self._size += size

    def release(self) -> None:
        """Return the bytes of the call to the budget."""
        size, self._size = self._size, 0
        if size:
            self._budget.release(self._tenant, size)


async def with_refusals(requests: AsyncIterable[T]) -> AsyncIterator[T | RequestRefused]:
    """Yield the requests of a stream; in place of a request that breaks its limits, its refusal."""
    iterator = aiter(requests)
    while True:
        try:
            yield await anext(iterator)
        except StopAsyncIteration:
            return
        except RequestRefused as refused:
            yield refused
