"""The persons' keys: every process that seals or opens follows them in personal.keys.v1.

- A key is published, and used when the brokers have acknowledged it. So it is durable before the first record that needs it. Two processes
  that make a key for one person at the same moment make two: both open, the newest seals, and both are destroyed with the person.
- A tombstone destroys a key: in memory and on disk at once, in the topic when it is compacted.
- If the key of a record is not known yet, the process waits until it has read the topic to its present end: a key that is still unknown then
  was destroyed. This compares offsets, not times. While the broker is away, no conclusion is drawn.
- A key that no master key of this process can unwrap is waited for too, as if the topic were away; readiness reports it (`say`).
- A destroyed key never comes back: if another process that wrapped it again meanwhile republishes it, each process that sees it destroys it again.
- Memory is bounded: it contains the most recently used keys; the others are in a file (`keystore`).
"""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from aiokafka import TopicPartition
from google.protobuf.message import DecodeError

from chapar.common.v1.privacy_pb2 import PersonalKey
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.clients import BrokerError, KafkaAccess, assign, close_consumer, plain_reader
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.kafka.rest import Rest
from services.chassis.kafka.shared_answer import SharedAnswer, retrieved
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.chassis.privacy import master, sealing
from services.chassis.privacy.away import KeysAway
from services.chassis.privacy.continuity import TopicReplaced, check_continuity
from services.chassis.privacy.keystore import KeyStore, StoredKey
from services.chassis.privacy.master import MasterKeys
from services.chassis.privacy.sealing import DataKey
from services.chassis.reasons import Reason

TOPIC: Final = "personal.keys.v1"
_KEY_BYTES: Final = 32
_IN_MEMORY: Final = 20_000
_BATCH, _POLL_MS = 1000, 500
_WAIT_S, _TOUCH_S, _REST_S = 5.0, 60.0, 0.2
_RETRY_LEAST, _RETRY_MOST = 0.1, 5.0
_CLOSE, _MAKE_TRIES = 3.0, 5


class Keyring:
    """Implements `sealing.Keys`. `run` follows the topic until cancelled; all methods belong to its event loop."""

    def __init__(
        self,
        kafka: KafkaAccess,
        masters: MasterKeys,
        store: KeyStore,
        producer: DurableProducer,
        *,
        client_id: str,
        clock: Clock,
        metrics: Metrics,
        say: Callable[[bool, str], None] = lambda ready, reason: None,
    ) -> None:
        """`say`: called with whether this process can read the keys that it needs, and the reason if not."""
        self._kafka = kafka
        self.masters = masters
        self.store = store
        self._producer = producer
        self._client_id = client_id
        self._clock = clock
        self._events = metrics.counter("chapar_personal_keys_total")
        self._say = say
        self._refused = metrics.gauge("chapar_personal_keys_refused").labels()
        self._known: OrderedDict[bytes, DataKey] = OrderedDict()
        self._newest: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._gone: OrderedDict[bytes, None] = OrderedDict()
        self._tombs: OrderedDict[bytes, None] = OrderedDict()
        self._returned: set[bytes] = set()
        self._locked: OrderedDict[bytes, None] = OrderedDict()
        self._making: dict[tuple[str, str], asyncio.Task[DataKey]] = {}
        self._tp = TopicPartition(kafka.topic_prefix + TOPIC, 0)
        self._asker: Any = None
        self._end = SharedAnswer(self._ask_end)
        self._next = store.went_to
        self._rest, self._moved, self._caught_up = Rest(_REST_S), asyncio.Event(), asyncio.Event()
        self._log = get_logger(__name__)

    # ---- sealing.Keys

    def find(self, key_id: bytes) -> DataKey | None:
        known = self._known.get(key_id)
        if known is not None:
            self._known.move_to_end(key_id)
            return known
        if key_id in self._gone:
            return None
        stored = self.store.find(key_id)
        if stored is None:
            self.store.check_complete()
            return None
        return self._unwrapped(stored)

    def current(self, tenant: str, owner: str) -> DataKey | None:
        key_id = self._newest.get((tenant, owner))
        if key_id is not None:
            found = self.find(key_id)
            if found is not None:
                return found
        away: KeysAway | None = None
        for stored in reversed(self.store.of(tenant, owner)):
            try:
                found = self._unwrapped(stored)
            except KeysAway as error:
                away = error
                continue
            _remember(self._newest, (tenant, owner), stored.key_id)
            return found
        if away is not None:
            raise away
        self.store.check_complete()
        return None

    def knows(self, tenant: str, owner: str) -> bool:
        """Return whether the owner has a key."""
        return self.store.newest(tenant, owner) is not None

    # ---- waiting

    async def first(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - it words the error
        """Wait until all records that the topic contained have been read. With a time-out, raises UNAVAILABLE KEYS_UNREAD."""
        try:
            async with asyncio.timeout(timeout):
                await self._caught_up.wait()
        except TimeoutError as error:
            text = f"{self._tp.topic} was not read within {timeout} s: is Kafka up, and has `chapar topics apply` run?"
            raise ChaparError(ErrorKind.UNAVAILABLE, Reason.KEYS_UNREAD, text) from error

    async def ready(self, values: Iterable[bytes | None]) -> None:
        """Wait until each of these record values or entries can be opened, or is known to be erased. Raises KeysAway."""
        asked = {key_id for key_id in sealing.key_ids(values) if key_id not in self._gone}
        if not all(key_id in self._known or self.store.find(key_id) is not None for key_id in asked):
            await self.settle()
        for key_id in asked:
            if self.find(key_id) is None:
                _remember(self._gone, key_id, None)

    async def settle(self) -> None:
        """Wait until all records that the topic contains now have been read. Raises KeysAway after some seconds."""
        try:
            async with asyncio.timeout(_WAIT_S):
                while (end := await self._end.now()) is None:
                    await self._change()
                await self._reached(end)
        except TimeoutError as error:
            raise KeysAway(f"{self._tp.topic} cannot be read to its end") from error

    async def _ask_end(self) -> int | None:
        try:
            return None if self._asker is None else (await self._asker.end_offsets([self._tp]))[self._tp]
        except BrokerError:
            return None

    # ---- making and destroying

    async def existing(self, tenant: str, owner: str) -> DataKey | None:
        """Return the owner's key; None when there is none at the topic's end. Raises BrokerUnavailable."""
        if not self.knows(tenant, owner):
            await self._settled()
        return self._current(tenant, owner)

    async def ensure(self, tenant: str, owner: str) -> DataKey:
        """Return the owner's key, made if there is none. Raises BrokerUnavailable."""
        found = self._current(tenant, owner)
        if found is not None:
            return found
        task = self._making.get((tenant, owner))
        if task is None:
            task = self._making[tenant, owner] = asyncio.create_task(self._make(tenant, owner))
            task.add_done_callback(lambda _: self._making.pop((tenant, owner), None))
            task.add_done_callback(retrieved)
        return await asyncio.shield(task)

    async def destroy(self, tenant: str, owners: Iterable[str]) -> int:
        """Destroy every key of these owners that the topic contains; return their number. Raises BrokerUnavailable. Repeating is safe."""
        destroyed = 0
        owners = sorted(set(owners))
        while True:
            await self._settled()
            found = [key for owner in owners for key in self.store.of(tenant, owner)]
            if not found:
                return destroyed
            await asyncio.gather(*(self._producer.publish(TOPIC, key.key_id, None) for key in found))
            destroyed += len(found)

    async def _settled(self) -> None:
        with _unavailable():
            await self.settle()

    def _current(self, tenant: str, owner: str) -> DataKey | None:
        with _unavailable():
            return self.current(tenant, owner)

    async def _make(self, tenant: str, owner: str) -> DataKey:
        for _ in range(_MAKE_TRIES):
            key_id, raw = os.urandom(sealing.KEY_ID_BYTES), os.urandom(_KEY_BYTES)
            wrapped = self.masters.wrap(raw, master.about(tenant, owner, key_id))
            offset = await self.publish(tenant, owner, key_id, wrapped)
            # Records that were read already are believed: the key may have been destroyed at once, because the person is being erased.
            if self._next <= offset:
                _remember(self._known, key_id, DataKey(key_id, tenant, owner, sealing.cipher(raw)))
                _remember(self._newest, (tenant, owner), key_id)
            with _unavailable():
                made = self.find(key_id)
            if made is not None:
                self._events.labels("made").inc()
                return made
        raise BrokerUnavailable("the person's keys are being destroyed")

    async def publish(self, tenant: str, owner: str, key_id: bytes, wrapped: bytes) -> int:
        """Write a wrapped key into the topic; return its offset. Raises BrokerUnavailable."""
        made = PersonalKey(tenant=tenant, owner=owner, wrapped=wrapped, created_at_ms=self._clock())
        headers = record_headers(TOPIC, key_id.hex(), tenant)
        return (await self._producer.publish(TOPIC, key_id, made.SerializeToString(), headers, partition=0))[1]

    # ---- following

    async def run(self) -> None:
        """Follow the topic until cancelled. If the broker is away, wait for it."""
        self._report()
        wait = _RETRY_LEAST
        while True:
            reader = plain_reader(self._kafka, client_id=self._client_id, on_lost_position="none")
            # On a separate connection: the broker answers the requests of one connection in order, and a fetch can take long.
            asker = plain_reader(self._kafka, client_id=f"{self._client_id}-ends")
            try:
                await reader.start()
                await asker.start()
                await self._begin(reader)
                self._asker = asker
                wait = _RETRY_LEAST
                await self._follow(reader)
            except TopicReplaced as error:
                self._refuse(error)
            except (BrokerError, OSError) as error:
                self._log.warning("personal keys not readable", error=type(error).__name__, retry_s=round(wait, 1))
            finally:
                self._asker = None
                try:
                    await close_consumer(asker, _CLOSE)
                finally:  # also when a cancellation is raised
                    await close_consumer(reader, _CLOSE)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _RETRY_MOST)

    async def _begin(self, reader: Any) -> None:
        # The public call answers from a stale cache; a topic that does not exist yet raises, and `run` tries again.
        await reader._client._wait_on_metadata(self._tp.topic)
        assign(reader, [self._tp])
        why = self.store.doubt(self._clock())
        await check_continuity(reader, self._tp, self.store)
        self._refused.set(0)
        self._next = self.store.went_to
        if why:
            self._log.warning("personal keys are read again", reason=why)
            self.store.begin_again()
            self._tombs.clear()
            self._returned.clear()
            self._next = 0
        begin = (await reader.beginning_offsets([self._tp]))[self._tp]
        reader.seek(self._tp, max(self._next, begin))

    def _refuse(self, error: TopicReplaced) -> None:
        """The keys in this process may be the last copy: they are kept, and no key is treated as destroyed."""
        self._log.error("personal keys are refused: see ChaparPersonalKeysRefused in the runbooks", reason=str(error))
        self._refused.set(1)
        self._caught_up.clear()
        self.store.suspend()
        self._report()

    async def _follow(self, reader: Any) -> None:
        goal = (await reader.end_offsets([self._tp]))[self._tp]
        touched = time.monotonic()
        while True:
            found = await reader.getmany(self._tp, timeout_ms=_POLL_MS, max_records=_BATCH)
            position = await reader.position(self._tp)
            records = found.get(self._tp, ())
            if records or position != self._next or time.monotonic() - touched > _TOUCH_S:
                self._apply(records, position)
                touched = time.monotonic()
            if position >= goal:
                if self.store.caught_up():
                    self._known.clear()
                    self._newest.clear()
                self._caught_up.set()
            self._report()
            self._moved.set()
            self._moved = asyncio.Event()
            await self._destroy_again()
            if len(records) < _BATCH and self._caught_up.is_set():
                await self._rest.take()

    async def _destroy_again(self) -> None:
        for key_id in list(self._returned):
            try:
                await self._producer.publish(TOPIC, key_id, None)
            except BrokerUnavailable:
                return  # try again at the next check
            self._returned.discard(key_id)

    def _apply(self, records: Iterable[Any], position: int) -> None:
        made: dict[bytes, StoredKey] = {}
        destroyed: set[bytes] = set()
        for record in records:
            key_id = record.key or b""
            if record.value is None:
                made.pop(key_id, None)
                destroyed.add(key_id)
                self._returned.discard(key_id)
                continue
            if key_id in destroyed or key_id in self._tombs:
                self._returned.add(key_id)  # ids are random: no process makes the same key twice
                continue
            try:
                key = PersonalKey.FromString(record.value)
            except DecodeError:
                key = PersonalKey()
            if not master.has_the_form(key.wrapped):  # lanes would wait for a master key that does not exist
                self._log.error("a personal key is not readable", offset=record.offset)
                continue
            fresh = StoredKey(key_id, key.tenant, key.owner, key.wrapped, record.offset)
            made[key_id] = self._usable(fresh, made)
        self.store.apply(made.values(), destroyed, position, self._clock())
        for key_id in destroyed:
            gone = self._known.pop(key_id, None)
            if gone is not None:
                self._newest.pop((gone.tenant, gone.owner), None)
            _remember(self._gone, key_id, None)
            _remember(self._tombs, key_id, None)
            self._locked.pop(key_id, None)
            self._events.labels("destroyed").inc()
        for each in made.values():
            self._locked.pop(each.key_id, None)
            self._gone.pop(each.key_id, None)
            self._newest.pop((each.tenant, each.owner), None)
        self._next = position

    async def _reached(self, offset: int) -> None:
        while not self.store.complete or self._next < offset:
            await self._change()

    async def _change(self) -> None:
        self._rest.end()
        await self._moved.wait()

    def _usable(self, fresh: StoredKey, made: dict[bytes, StoredKey]) -> StoredKey:
        """Return the new form of the key, or the known form if only that can be unwrapped here: it is the same key."""
        if self.masters.knows(fresh.wrapped):
            return fresh
        before = made.get(fresh.key_id) or self.store.find(fresh.key_id)
        if before is None or not self.masters.knows(before.wrapped):
            return fresh
        return replace(before, place=fresh.place)

    def _unwrapped(self, stored: StoredKey) -> DataKey:
        try:
            raw = self.masters.unwrap(stored.wrapped, master.about(stored.tenant, stored.owner, stored.key_id))
        except ChaparError as error:
            _remember(self._locked, stored.key_id, None)
            self._report()
            raise KeysAway(error.message) from error
        key = DataKey(stored.key_id, stored.tenant, stored.owner, sealing.cipher(raw))
        _remember(self._known, stored.key_id, key)
        return key

    def _report(self) -> None:
        if not self._caught_up.is_set():
            self._say(False, f"reading {self._tp.topic}")
        elif self._locked:
            self._say(False, f"{len(self._locked)} keys wait for their master key: add its file to personal.key_files")
        else:
            self._say(True, "")


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except KeysAway as error:
        raise BrokerUnavailable(str(error)) from error


def _remember(kept: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _IN_MEMORY:
        kept.popitem(last=False)
