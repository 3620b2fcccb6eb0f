"""Deletes old files. It may run in every replica, and may be stopped at any point: a file is chosen by its own time."""

import asyncio
from collections.abc import Mapping
from typing import Final

from services.chassis.clock import Clock
from services.chassis.errors import ChaparError
from services.chassis.logs import get_logger
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.domain.files.places import Folder

_DAY_MS: Final = 86_400_000
_BEGIN_S: Final = 90.0
"""Delay after a start, so that more urgent work is done first."""


class FileRetention:
    """Deletes what is older than the days of its folder; 0 means never."""

    def __init__(self, files: SealedFiles, days: Mapping[Folder, int], clock: Clock, every_s: float = 3600.0) -> None:
        self._files = files
        self._days = days
        self._clock = clock
        self._every_s = every_s
        self._log = get_logger(__name__)

    async def run(self) -> None:
        """Run a while after the start and then every hour, until cancelled."""
        await asyncio.sleep(_BEGIN_S)
        while True:
            try:
                await self.once()
            except ChaparError as error:
                self._log.warning("old files can't be deleted now", reason=error.reason)
            await asyncio.sleep(self._every_s)

    async def once(self) -> int:
        """Delete everything that is too old now; return the number of files. Raises UNAVAILABLE."""
        now = self._clock()
        return sum(
            [await self._files.expire(folder, now - days * _DAY_MS) for folder, days in self._days.items() if days]
        )
