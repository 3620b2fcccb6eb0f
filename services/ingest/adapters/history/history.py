"""The history of this replica: the database, the projection and its readers, as one thing to start.

The projection runs in a thread with a loop of its own (`OwnLoop`), on connections of its own. The readers run in the loop
that calls them.

async with History(...) as history:
    await enter(service.background(history.run(), "history"))
    …history.reader…
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Self

from services.chassis.clock import Clock
from services.chassis.health import Component
from services.chassis.kafka.clients import KafkaAccess
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.chassis.privacy.lanes import AwaitedKeys
from services.ingest.adapters.history import store
from services.ingest.adapters.history.audit_reader import AuditReader
from services.ingest.adapters.history.block_reader import BlockReader
from services.ingest.adapters.history.database import Database
from services.ingest.adapters.history.fair_reads import FairReads
from services.ingest.adapters.history.own_loop import KeysElsewhere, OwnLoop
from services.ingest.adapters.history.projection import Pace, Projection
from services.ingest.adapters.history.reader import HistoryReader
from services.ingest.adapters.history.retention import Retention

_PACE: Final = Pace()
READY_AFTER_S: Final = 20.0
"""How long readiness waits for history. No routing decision depends on history, so when it takes longer to catch up, or
its database is unreachable, the replica's edges and lanes become ready without it."""


class HistoryReads:
    """The readers of one database.

    A reader that waits for new rows is woken by `changed`, if the projection runs in this process; otherwise it polls.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = asyncio.Event()
        reads = FairReads(database)
        self.reader = HistoryReader(reads, self._until_changed)
        self.audit = AuditReader(reads)
        self.blocks = BlockReader(reads)

    async def __aenter__(self) -> Self:
        await self._database.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._database.__aexit__(*error)

    def changed(self) -> None:
        """Wake the readers: rows were written."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _until_changed(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return


class History:
    """History of one replica; see the module's docstring.

    `ready` becomes ready once: when everything that the log held has been written, or after READY_AFTER_S.
    """

    def __init__(
        self,
        kafka: KafkaAccess,
        database: Database,
        metrics: Metrics,
        ready: Component,
        *,
        client_id: str,
        keys: AwaitedKeys,
        erased: Callable[[Sequence[store.Emptied]], Coroutine[Any, Any, None]] | None = None,
        pace: Pace = _PACE,
        ready_after_s: float = READY_AFTER_S,
    ) -> None:
        """Create it in the loop in which it is read."""
        self._reads = HistoryReads(database)
        self.reader, self.audit, self.blocks = self._reads.reader, self._reads.audit, self._reads.blocks
        self._database = database
        self._metrics = metrics
        self._ready = ready
        self._ready_after_s = ready_after_s
        self._log = get_logger(__name__)
        self.caught_up = asyncio.Event()
        self._loop = loop = OwnLoop()
        self._writing = Database(database.url)

        async def report(emptied: Sequence[store.Emptied]) -> None:
            if erased is not None:
                await loop.awaited(erased(emptied))

        self._projection = Projection(
            kafka,
            self._writing,
            metrics,
            client_id=client_id,
            caught_up=lambda: loop.call(self._on_caught_up),
            written=lambda: loop.call(self._reads.changed),
            keys=KeysElsewhere(keys, loop),
            erased=report,
            watched=self.reader.watches,
            pace=pace,
        )

    async def __aenter__(self) -> Self:
        await self._reads.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._reads.__aexit__(*error)

    async def run(self) -> None:
        """Fold until cancelled, while no other replica folds into the same database."""
        self._log.info("history", database=self._database.shown)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wait_no_longer(), name="history readiness")
            group.create_task(self._loop.run(self._fold, "history projection"), name="history projection")

    def retention(self, days: int, audit_days: int, clock: Clock) -> Retention:
        """Return the task that deletes conversations older than `days` and audit records older than `audit_days`.

        Run it beside `run`, after the first facts have been folded.
        """
        return Retention(self._database, days, audit_days, clock, self._metrics)

    async def rebuild(self) -> None:
        """Delete all rows; the folding replica begins again at once. Data that the log no longer keeps is lost."""
        await self._loop.ask(self._clear())

    async def _fold(self) -> None:
        async with self._writing:
            await self._projection.run()

    async def _clear(self) -> None:
        async with self._projection.settled, self._writing.engine.connect() as connection:
            await store.clear(connection)
            self._loop.call(self.caught_up.clear)

    def _on_caught_up(self) -> None:
        self.caught_up.set()
        self._ready.set(True)

    async def _wait_no_longer(self) -> None:
        try:
            async with asyncio.timeout(self._ready_after_s):
                await self.caught_up.wait()
        except TimeoutError:
            # A standby replica, while another one folds, reaches this line too.
            self._ready.set(True)
