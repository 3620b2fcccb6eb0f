"""Implements `ports.FileStore` in memory, with the time of a clock."""

from collections.abc import AsyncIterator, Callable

from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.domain.reasons import Reason
from services.ingest.ports import StoredBytes


class MemoryFiles:
    """Bytes and the times at which they were written. `before`: called with the name and the key before each operation."""

    def __init__(self, clock: Clock, before: Callable[[str, str], None] = lambda operation, key: None) -> None:
        self._clock = clock
        self._before = before
        self.stored: dict[str, tuple[bytes, int]] = {}

    async def put(self, key: str, content: bytes | AsyncIterator[bytes]) -> None:
        self._before("put", key)
        whole = content if isinstance(content, bytes) else b"".join([piece async for piece in content])
        self.stored[key] = whole, self._clock()

    async def get(self, key: str) -> StoredBytes:
        self._before("get", key)
        if key not in self.stored:
            raise ChaparError(ErrorKind.NOT_FOUND, Reason.FILE_GONE, "the file no longer exists")
        content = self.stored[key][0]
        return StoredBytes(len(content), _one(content))

    async def delete(self, key: str) -> None:
        self._before("delete", key)
        self.stored.pop(key, None)

    async def delete_under(self, prefix: str) -> int:
        self._before("list", prefix)
        found = [key for key in self.stored if key.startswith(prefix)]
        for key in found:
            await self.delete(key)
        return len(found)

    async def older(self, prefix: str, before_ms: int) -> AsyncIterator[str]:
        self._before("list", prefix)
        for key in [key for key, (_, at_ms) in self.stored.items() if at_ms < before_ms and key.startswith(prefix)]:
            yield key


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content
