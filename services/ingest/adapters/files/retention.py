"""Deletes old files, one shard of the store after another. It runs in every replica, and may be stopped at any point: a
file is chosen by its own time, and a shard is marked when it was swept completely.
"""

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Final

from services.chassis.clock import Clock
from services.chassis.errors import ChaparError
from services.chassis.logs import get_logger
from services.ingest.adapters.files.at_once import each_at_once
from services.ingest.domain.files.places import Folder, thumbnail_key
from services.ingest.domain.files.sweeps import AGAIN_MS, EVERY_S, MARKS, due, mark_of
from services.ingest.ports import FileStore

_DAY_MS: Final = 86_400_000
_BEGIN_S: Final = 90.0
"""Delay after a start, so that more urgent work is done first."""
_END_MS: Final = 1 << 50
"""After every time at which a file was written."""
_BATCH: Final = 500
_AT_ONCE: Final = 8


class FileRetention:
    """Deletes what is older than the days of its folder; 0 means never. `domain.files.sweeps` says when."""

    def __init__(self, store: FileStore, days: Mapping[Folder, int], clock: Clock, random: Random) -> None:
        """`random`: chooses among the shards that are due, so that replicas seldom choose the same one."""
        self._store = store
        self._days = days
        self._clock = clock
        self._random = random
        self._log = get_logger(__name__)

    async def run(self) -> None:
        """Sweep a while after the start and then every five minutes, until cancelled."""
        await asyncio.sleep(_BEGIN_S)
        while True:
            try:
                await self.once()
            except ChaparError as error:
                self._log.warning("old files can't be deleted now", reason=error.reason)
            await asyncio.sleep(EVERY_S)

    async def once(self) -> int:
        """Sweep one shard, if one is due; return the number of files that were deleted. Raises UNAVAILABLE."""
        now = self._clock()
        marks = [key async for key in self._store.older(MARKS, _END_MS)]
        shards = due(marks, [key async for key in self._store.older(MARKS, now - AGAIN_MS)])
        if not shards:
            return 0
        shard = self._random.choice(shards)
        deleted = sum(
            [
                await self._expire(f"{folder}/{shard}/", now - days * _DAY_MS)
                for folder, days in self._days.items()
                if days
            ]
        )
        await self._store.put(mark_of(shard), b"")
        return deleted

    async def _expire(self, prefix: str, before_ms: int) -> int:
        count = 0
        batch: list[str] = []
        async for key in self._store.older(prefix, before_ms):
            batch.append(key)
            if len(batch) == _BATCH:
                count += await self._deleted(batch)
                batch.clear()
        return count + await self._deleted(batch)

    async def _deleted(self, keys: list[str]) -> int:
        return len(await each_at_once(self._delete, keys, _AT_ONCE))

    async def _delete(self, key: str) -> None:
        """Delete a file and its thumbnail, which may be much younger. The thumbnail goes first: if this process ends in
        between, the file is found again. It goes once more afterwards, because it may just have been made."""
        thumbnail = thumbnail_key(key)
        for each in (thumbnail, key, thumbnail) if thumbnail else (key,):
            await self._store.delete(each)
