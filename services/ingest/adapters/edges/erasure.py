"""Erases a person: the lanes forget, the keys are destroyed, and a report says what each store did and which data
remains until when.

The order matters. The lanes come first, while they can still read their state (an open interaction must be ended at
the router). Then the keys are destroyed, which makes everything else unreadable at once. A lane that is late still
forgets. Every step may be repeated.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from chapar.common.v1.privacy_pb2 import ErasureOutcome
from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.ids import derive
from services.chassis.kafka.clients import KafkaAccess
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import BrokerUnavailable
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.kafka.tail import tail
from services.chassis.logs import get_logger
from services.chassis.privacy.leftovers import LEFT
from services.chassis.topics import TOPICS
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Files, Publisher, Traces
from services.ingest.translate.headers import OUTCOMES

_LANES_S: Final = 10.0
_STORES_S: Final = 10.0
_REMEMBERED: Final = 1_000
_SINCE_MS: Final = 3_600_000


class KeyDestroyer(Protocol):
    """Destroys keys; implemented by `keyring.Keyring`."""

    async def destroy(self, tenant: str, owners: Iterable[str]) -> int:
        """Destroy every key of these owners; return their number. Raises BrokerUnavailable."""

    def knows(self, tenant: str, owner: str) -> bool:
        """Return whether the owner has a key."""


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that belongs to a person."""

    identities: tuple[str, ...]
    conversations: tuple[str, ...]
    persons: tuple[str, ...]


class Outcomes:
    """The outcomes that stores reported for the erasures of the last hour, in memory."""

    def __init__(self) -> None:
        self._by_request: OrderedDict[str, dict[tuple[str, str], ErasureOutcome]] = OrderedDict()
        self._changed = asyncio.Event()

    async def run(self, kafka: KafkaAccess, client_id: str, clock: Clock, poison: Poison) -> None:
        """Follow the topic until cancelled. A record that cannot be read is counted and skipped."""
        async with aclosing(tail(kafka, OUTCOMES, from_=_SINCE_MS, client_id=client_id, clock=clock)) as records:
            async for record in records:
                poison.guard(record, self.take)

    def take(self, record: Record) -> None:
        """Handle one record. Raises InvalidRecord."""
        try:
            outcome = ErasureOutcome.FromString(record.value or b"")
        except DecodeError as error:
            raise InvalidRecord(Reason.UNDECODABLE, "not an ErasureOutcome") from error
        known = self._by_request.setdefault(outcome.request_id, {})
        # A repeated erasure finds nothing left to do: the first outcome says what happened.
        known.setdefault((outcome.store, outcome.part), outcome)
        self._by_request.move_to_end(outcome.request_id)
        if len(self._by_request) > _REMEMBERED:
            self._by_request.popitem(last=False)
        self._changed.set()
        self._changed = asyncio.Event()

    def of(self, request_id: str) -> Collection[ErasureOutcome]:
        """Return the outcomes of an erasure until now."""
        return self._by_request.get(request_id, {}).values()

    def missing(self, request_id: str, wanted: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the stores and parts that have not answered."""
        known = self._by_request.get(request_id, {})
        return [each for each in wanted if each not in known]

    async def until(self, request_id: str, wanted: Sequence[tuple[str, str]], within_s: float) -> None:
        """Wait until all of these have answered, or the time is up."""
        try:
            async with asyncio.timeout(within_s):
                while self.missing(request_id, wanted):
                    await self._changed.wait()
        except TimeoutError:
            return


class PersonEraser:
    """Carries out erasures. `history`: the name under which this replica's history answers; empty without one."""

    def __init__(
        self,
        publisher: Publisher,
        traces: Traces | None,
        keys: KeyDestroyer,
        outcomes: Outcomes,
        clock: Clock,
        *,
        history: str,
        files: Files | None = None,
        lanes_s: float = _LANES_S,
        stores_s: float = _STORES_S,
    ) -> None:
        self._log = get_logger(__name__)
        self._publisher = publisher
        self._traces = traces
        self._keys = keys
        self._outcomes = outcomes
        self._clock = clock
        self._history = history
        self._files = files
        self._lanes_s = lanes_s
        self._stores_s = stores_s

    async def erase(
        self, tenant: str, request: ingest_pb2.ErasePersonRequest, actor: str
    ) -> ingest_pb2.ErasePersonResponse:
        """Erase a person and return the report when every store has answered, or after some seconds. Raises NOT_FOUND,
        UNAVAILABLE."""
        found = await self._find(tenant, request.person_id, request.identity_ids)
        request_id = derive("erasure", tenant, request.idempotency_key)
        now = self._clock()
        await self._publisher.publish(
            [
                (
                    identity_id,
                    records_pb2.InboundRecord(
                        tenant=tenant,
                        erasure=records_pb2.IdentityErasure(
                            request_id=request_id,
                            identity_id=identity_id,
                            actor=actor,
                            occurred_at_ms=now,
                            conversation_ids=found.conversations if number == 0 else (),
                        ),
                    ),
                )
                for number, identity_id in enumerate(found.identities)
            ]
        )
        intake = [("intake", identity) for identity in found.identities]
        wanted = [
            *intake,
            *(("sender", conversation) for conversation in found.conversations),
            *(("feedback", derive("person", identity)) for identity in found.identities),
            *((self._history, conversation) for conversation in found.conversations if self._history),
        ]
        await self._outcomes.until(request_id, intake, self._lanes_s)
        try:
            destroyed = await self._keys.destroy(tenant, (*found.identities, *found.persons, *found.conversations))
        except BrokerUnavailable as error:
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.BROKER_UNAVAILABLE,
                "the keys could not be destroyed; send the request again",
                retry_after_s=5,
            ) from error
        deleted = await self._delete_files(tenant, found.identities)
        await self._outcomes.until(request_id, wanted, self._stores_s)
        report = self._report(request_id, found, destroyed, wanted, now)
        if deleted is not None:
            report.stores.append(deleted)
            report.complete = report.complete and not deleted.waiting_for
        return report

    async def _delete_files(self, tenant: str, identities: Sequence[str]) -> ingest_pb2.ErasedStore | None:
        """Delete the files of a person. They are unreadable without the keys, so a store that is away is only reported."""
        if self._files is None:
            return None
        report = ingest_pb2.ErasedStore(store="files")
        for identity_id in identities:
            try:
                report.counts["files"] += await self._files.forget(tenant, identity_id)
            except ChaparError as error:
                self._log.warning("files of an erased person can't be deleted now", reason=error.reason)
                report.waiting_for.append(identity_id)
        return report

    async def _find(self, tenant: str, person_id: str, given: Sequence[str]) -> Found:
        identities, conversations = list(given), list[str]()
        if self._traces is not None:
            known, conversations = map(list, await self._traces.traces(tenant, person_id, given))
            unknown = [each for each in given if each not in known and not self._keys.knows(tenant, each)]
            identities = list(dict.fromkeys([*given, *known]))
        elif person_id:
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.HISTORY_OFF,
                "this replica does not keep history; send the request to another one",
            )
        else:
            unknown = [each for each in given if not self._keys.knows(tenant, each)]
        if unknown or not identities:
            raise ChaparError(ErrorKind.NOT_FOUND, Reason.UNKNOWN_PERSON, "this person is not known (yet)")
        persons = dict.fromkeys([person_id] if person_id else [])
        persons.update(dict.fromkeys(derive("person", identity) for identity in identities))
        return Found(tuple(identities), tuple(conversations), tuple(persons))

    def _report(
        self, request_id: str, found: Found, destroyed: int, wanted: Sequence[tuple[str, str]], now_ms: int
    ) -> ingest_pb2.ErasePersonResponse:
        missing = self._outcomes.missing(request_id, wanted)
        report = ingest_pb2.ErasePersonResponse(
            request_id=request_id,
            identity_ids=found.identities,
            conversation_ids=found.conversations,
            keys_destroyed=destroyed,
            complete=not missing,
        )
        stores: dict[str, ingest_pb2.ErasedStore] = {}
        for store, _ in wanted:
            stores.setdefault(store, ingest_pb2.ErasedStore(store=store))
        for outcome in self._outcomes.of(request_id):
            said = stores.setdefault(outcome.store, ingest_pb2.ErasedStore(store=outcome.store))
            for what, count in outcome.counts.items():
                said.counts[what] += count
        for name, part in missing:
            stores[name].waiting_for.append(part)
        report.stores.extend(stores[name] for name in sorted(stores))
        last = now_ms
        for topic, left in LEFT:
            gone = now_ms + TOPICS[topic].erased_within_ms
            last = max(last, gone)
            report.topics.add(topic=topic, left=left).gone_by.FromMilliseconds(gone)
        report.gone_by.FromMilliseconds(last)
        return report
