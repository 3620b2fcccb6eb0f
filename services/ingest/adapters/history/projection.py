"""Reads the topics continuously and writes the facts in their records.

A reader without a consumer group: positions are in the database, beside the rows. After any failure (broker, database,
takeover by another replica) reading begins again at the stored positions. A record that can't be read is counted and
skipped. A record that the database refuses is skipped too, after the rest of its batch has been written without it.

Each transaction costs the same for one record as for many, so records are fetched at a pace and written together
(`Pace`). A record of a conversation that someone watches is written with its fetch, and so is everything until the log
has been read to its end for the first time.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiokafka import TopicPartition
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.kafka.clients import BrokerError, KafkaAccess, Patience, close_consumer, plain_reader
from services.chassis.kafka.records import Record
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.chassis.privacy.sealing import Keys, KeysAtHand
from services.ingest.adapters.history import store
from services.ingest.adapters.history.database import Database
from services.ingest.adapters.history.mapping import TOPICS, fact
from services.ingest.adapters.history.rows import Fact
from services.ingest.adapters.history.store import Moved, Place
from services.ingest.adapters.history.story import Unreadable
from services.ingest.domain.reasons import Reason

_POLL_S: Final = 1.0
_RETRY_LEAST, _RETRY_MOST = 0.2, 10.0
_CLOSE: Final = 3.0
_PATIENCE_S: Final = 30.0
_TRIES: Final = 3
_REFUSING_SQLSTATES: Final = ("22", "23")
"""Classes of PostgreSQL's error codes: data exceptions and integrity violations, which the same data causes again."""


class ReadyKeys(Keys, Protocol):
    """The part of `AwaitedKeys` that a reader needs."""

    async def ready(self, values: Iterable[bytes | None]) -> None:
        """See `AwaitedKeys`."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How records are fetched and written. Times in seconds."""

    fetch_s: float = 0.1
    """The pause between two fetches, unless the reader is behind."""
    commit_s: float = 1.0
    """The longest time that a record waits for its transaction."""
    commit_records: int = 1_000
    """The number of records that are written before this time has passed."""

    @property
    def stale_s(self) -> float:
        """The time after which a record is in the database while it can be written: fetched, then written."""
        return self.fetch_s + self.commit_s


_PACE: Final = Pace()


class Projection:
    """Reads the log into the database. `caught_up` is called each time everything that the log held is written."""

    def __init__(
        self,
        kafka: KafkaAccess,
        database: Database,
        metrics: Metrics,
        *,
        client_id: str,
        caught_up: Callable[[], None],
        written: Callable[[], None],
        keys: ReadyKeys,
        erased: Callable[[Sequence[store.Emptied]], Awaitable[None]] | None = None,
        watched: Callable[[Record], bool] = lambda _record: False,
        pace: Pace = _PACE,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._kafka = kafka
        self._database = database
        self._client_id = client_id
        self._caught_up = caught_up
        self._written = written
        self._keys = keys
        self._erased = erased
        self._watched = watched
        self._pace = pace
        self._batch = pace.commit_records
        self._unwritten: list[Record] = []
        self._oldest_s = 0.0
        self._complete = False
        self._measured_s = 0.0
        self._records = metrics.counter("chapar_history_records_total")
        self._emptied = metrics.counter("chapar_history_erased_rows_total")
        self._lag = metrics.gauge("chapar_history_lag_records")
        self._writable = metrics.gauge("chapar_history_writable").labels()
        self._log = get_logger(__name__)
        self._next: dict[Place, int] = {}
        self._wait = _RETRY_LEAST
        self._patience_s = patience_s
        self._careful = 0
        self._slow: dict[tuple[str, int, int], int] = {}
        self.settled = asyncio.Lock()
        """Held while `caught_up` is determined, and by a rebuild, which makes it false."""

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                async with self._database.folder() as connection:
                    while True:
                        with suppress(Moved):
                            await self._read(connection)
            except (BrokerError, SQLAlchemyError, OSError) as error:
                # The error's text may contain the data to be written.
                self._writable.set(0)
                self._log.warning("history is unavailable", error=type(error).__name__, retry_s=round(self._wait, 1))
            await asyncio.sleep(self._wait)
            self._wait = min(2 * self._wait, _RETRY_MOST)

    async def _read(self, connection: AsyncConnection) -> None:
        reader = plain_reader(self._kafka, client_id=self._client_id)
        self._unwritten.clear()
        self._complete = False
        try:
            await reader.start()
            names = await self._assign(reader, connection)
            patience = Patience(reader)
            while True:
                full = await self._fetch(reader, names)
                patience.note(self._unwritten or not self._complete)
                if self._due():
                    await self._write_all(connection)
                self._wait = _RETRY_LEAST
                await self._measure(reader, connection, names)
                if self._unwritten and not full:
                    await asyncio.sleep(self._pace.fetch_s)
        finally:
            await close_consumer(reader, _CLOSE)

    async def _fetch(self, reader: Any, names: Mapping[str, str]) -> bool:
        """Wait for records, at most until the unwritten ones are due. Return whether there are more than fit."""
        room = self._batch - len(self._unwritten)
        wait_s = max(0.0, self._oldest_s + self._pace.commit_s - time.monotonic()) if self._unwritten else _POLL_S
        batches = await reader.getmany(timeout_ms=int(1000 * min(_POLL_S, wait_s)), max_records=room)
        found = [_record(names[tp.topic], message) for tp, messages in batches.items() for message in messages]
        if found and not self._unwritten:
            self._oldest_s = time.monotonic()
        if any(self._watched(record) for record in found):
            self._oldest_s = 0.0
        self._unwritten += found
        return len(found) >= room

    def _due(self) -> bool:
        if not self._unwritten:
            return False
        late = time.monotonic() >= self._oldest_s + self._pace.commit_s
        return late or not self._complete or len(self._unwritten) >= self._batch

    async def _write_all(self, connection: AsyncConnection) -> None:
        records, self._unwritten = self._unwritten, []
        while records and self._careful:
            await self._write(connection, [records.pop(0)])
            self._careful -= 1
        if records:
            await self._write(connection, records)
        self._writable.set(1)
        self._written()

    async def _assign(self, reader: Any, connection: AsyncConnection) -> dict[str, str]:
        """Assign all partitions at the positions in the database; returns logical topic names by full ones."""
        names = {self._kafka.topic_prefix + topic: topic for topic in TOPICS}
        tps = []
        for name in names:
            # The public call answers from a stale cache.
            tps += [TopicPartition(name, each) for each in sorted(await reader._client._wait_on_metadata(name))]
        reader.assign(tps)
        begin, end = await reader.beginning_offsets(tps), await reader.end_offsets(tps)
        self._next = await store.positions(connection, [(tp.topic, tp.partition) for tp in tps])
        for tp in tps:
            at = self._next[tp.topic, tp.partition]
            if at > end[tp]:
                # The topic was created again: its content is not what was read before.
                self._log.warning("history reads the topic from its beginning", topic=tp.topic, partition=tp.partition)
                await store.reset(connection, tp.topic, tp.partition, at)
                self._next[tp.topic, tp.partition] = at = 0
            reader.seek(tp, max(at, begin[tp]))
        return names

    async def _measure(self, reader: Any, connection: AsyncConnection, names: Mapping[str, str]) -> None:
        """Report the lag, and whether everything is written: at most once in the time of a commit."""
        now_s = time.monotonic()
        if self._complete and now_s < self._measured_s + self._pace.commit_s:
            return
        self._measured_s = now_s
        unwritten = Counter(record.topic for record in self._unwritten)
        lags = {topic: unwritten[topic] for topic in names.values()}
        behind = False
        for tp in reader.assignment():
            end = reader.last_stable_offset(tp)
            if end is None:
                behind = True  # not yet fetched
                continue
            lag = max(0, end - await reader.position(tp))
            lags[names[tp.topic]] += lag
        for topic, lag in lags.items():
            self._lag.labels(topic).set(lag)
        if not behind and not any(lags.values()):
            async with self.settled:
                # When there is nothing to write, this is how a rebuild is noticed.
                await store.check(connection, self._next)
                self._complete = True
                self._writable.set(1)
                self._caught_up()

    async def _write(self, connection: AsyncConnection, records: Sequence[Record]) -> None:
        facts: list[tuple[str, Fact]] = []
        emptied: list[store.Emptied] = []
        await self._keys.ready(record.value for record in records)
        # Opening and folding a batch of long texts takes longer than the event loop may be blocked.
        at_hand = KeysAtHand(self._keys, (record.value for record in records))
        for record, found in zip(records, await asyncio.to_thread(_facts, records, at_hand), strict=True):
            if isinstance(found, Unreadable):
                self._refuse(record, found.reason)
            elif found is not None:
                facts.append((record.topic, found))
        before = {self._place(record): self._next[self._place(record)] for record in records}
        after = {self._place(record): record.offset + 1 for record in records}
        try:
            if len(records) == 1 and self._slow.get(self._at(records[0]), 0) >= _TRIES:
                raise _TooSlow
            async with self._database.within(connection, self._patience_s):
                repeated = await store.write(connection, [found for _, found in facts], before, after, emptied)
        except TimeoutError:
            # The connection is lost, with its work. From now on write one by one, until the slow record is found.
            self._careful = self._batch
            if len(records) == 1:
                self._slow[self._at(records[0])] = self._slow.get(self._at(records[0]), 0) + 1
            raise
        except (Moved, BrokerError, OSError):
            raise
        except Exception as error:
            if not _refuses(error):
                raise
            if len(records) == 1:
                self._refuse(records[0], Reason.TOO_SLOW if isinstance(error, _TooSlow) else Reason.REFUSED_BY_DATABASE)
                # if even this takes too long, the record is not the cause
                async with self._database.within(connection, self._patience_s):
                    await store.write(connection, (), before, after)
                self._next.update(after)
                self._slow.pop(self._at(records[0]), None)
                return
            middle = len(records) // 2
            await self._write(connection, records[:middle])
            await self._write(connection, records[middle:])
            return
        self._next.update(after)
        for (topic, _), again in zip(facts, repeated, strict=True):
            self._records.labels(topic, "repeated" if again else "written").inc()
        if emptied:
            await self._database.forget_deleted(connection)
            for each in emptied:
                self._emptied.labels("messages").inc(each.messages)
                self._emptied.labels("deliveries").inc(each.deliveries)
            if self._erased is not None:
                await self._erased(emptied)

    def _at(self, record: Record) -> tuple[str, int, int]:
        return (record.topic, record.partition, record.offset)

    def _place(self, record: Record) -> Place:
        return (self._kafka.topic_prefix + record.topic, record.partition)

    def _refuse(self, record: Record, reason: str) -> None:
        self._records.labels(record.topic, "refused").inc()
        self._log.error(
            "history can't read a record",
            reason=reason,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )


def _facts(records: Sequence[Record], keys: Keys) -> list[Fact | Unreadable | None]:
    found: list[Fact | Unreadable | None] = []
    for record in records:
        try:
            found.append(fact(record, keys))
        except Unreadable as refused:
            found.append(refused)
        except Exception:  # noqa: BLE001 - a record that no mapping expects must not block the others
            found.append(Unreadable(Reason.NOT_MAPPED))
    return found


class _TooSlow(Exception):  # noqa: N818 - a verdict about a record
    """Writing this record has repeatedly taken too long."""


def _refuses(error: Exception) -> bool:
    """Return whether the same data will be refused again: by the database, by its driver (numbers and texts that it
    can't hold), or by a bug here."""
    if not isinstance(error, DBAPIError):
        return not isinstance(error, SQLAlchemyError) or type(error) is StatementError
    state = getattr(error.orig, "sqlstate", None) or ""
    return state.startswith(_REFUSING_SQLSTATES) or type(error).__name__ in ("DataError", "IntegrityError")


def _record(topic: str, message: Any) -> Record:
    return Record(topic, message.partition, message.offset, message.timestamp, message.key, message.value, ())
