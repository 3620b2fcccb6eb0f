"""One transactional id: initialise, append, end. One transaction at a time.

A request whose response does not come is sent again as it was: the sequence numbers of the records, and the coordinator's
memory of the last decision, make a second arrival harmless.

A broker that was restarted may have lost the markers of an id's last transaction (docs/faults.md). The marker of the next one would
end both, perhaps with the wrong outcome. So after a connection was closed, an id writes again only when readers are past its last
transaction; otherwise it fails.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Final, TypeVar

from aiokafka.errors import IncompatibleBrokerVersion

from services.chassis.kafka.transactions.cluster import UNREACHABLE, Cluster
from services.chassis.kafka.transactions.contents import Place, RecordBatch
from services.chassis.kafka.transactions.requests import (
    NOBODY,
    AddPartitions,
    Ended,
    EndTxn,
    Identity,
    Initialized,
    InitProducerId,
    OwnRequest,
    Produce,
    Produced,
)
from services.chassis.kafka.transactions.verdicts import (
    CONCURRENT_TRANSACTIONS,
    INVALID_TXN_STATE,
    NO_ERROR,
    OPERATION_NOT_ATTEMPTED,
    Verdict,
    verdict_of,
)

_SOON: Final = 0.002
_LATER: Final = 0.02
_LATEST: Final = 0.5
_SEQUENCES: Final = 1 << 31
A = TypeVar("A", Initialized, Ended)


class TransactionFailed(Exception):  # noqa: N818 - reads as what happened
    """A transaction that is not known to be durable. `fenced`: another process holds the id. `unknown`: it may be durable after all."""

    def __init__(self, what: str, *, fenced: bool = False, unknown: bool = False) -> None:
        super().__init__(what)
        self.fenced = fenced
        self.unknown = unknown


class RecordsRefused(TransactionFailed):
    """Some partitions did not take their records. The transaction must be aborted; the producer is not at fault."""

    def __init__(self, reasons: Mapping[Place, str]) -> None:
        shown = ", ".join(f"{topic}/{partition}: {why}" for (topic, partition), why in sorted(reasons.items())[:3])
        super().__init__(f"records not taken: {shown}")
        self.places = frozenset(reasons)


class Backoff:
    """Pauses between attempts: short while the last transaction ends, growing while a broker is away."""

    def __init__(self) -> None:
        self._soon, self._later = _SOON, _LATER

    async def pause(self, *, soon: bool) -> None:
        """Wait before the next attempt."""
        if soon:
            wait, self._soon = self._soon, min(2 * self._soon, _LATER)
        else:
            wait, self._later = self._later, min(2 * self._later, _LATEST)
        await asyncio.sleep(wait)


class TransactionalId:
    """The holder of one transactional id, once `initialise` has returned. All times are seconds."""

    def __init__(self, cluster: Cluster, name: str, *, timeout_ms: int, v2: bool | None = None) -> None:
        """`timeout_ms`: after this time the coordinator aborts an open transaction. `v2`: which protocol; None is the cluster's."""
        self.name = name
        self._cluster = cluster
        self._timeout_ms = timeout_ms
        self._v2 = cluster.v2 if v2 is None else v2
        self._identity = NOBODY
        self._sequences: dict[Place, int] = {}
        self._closed = cluster.connections_closed
        self._written: dict[Place, int] = {}
        """Offsets of records of the present transaction; negative where the broker did not say one."""
        self._ended: dict[Place, int] = {}
        """The same of the transactions before it, since readers were last known to be past them."""

    async def initialise(self, within: float) -> None:
        """Fence every other holder of the id, and wait until its last transaction is complete. Raises TransactionFailed."""
        self._identity = await self._initialised(NOBODY, within)
        self._sequences.clear()
        self._ended.clear()
        self._written.clear()

    async def append(self, batches: Mapping[Place, list[RecordBatch]], within: float) -> None:
        """Begin a transaction and write the batches; return when every one is acknowledged. Raises TransactionFailed."""
        until = asyncio.get_running_loop().time() + within
        await self._until_past(batches, until)
        if self._v2:
            self._sequences.clear()  # the epoch is new for each transaction
        else:
            await self._announce(batches, until)
        waiting = {place: [self._encoded(place, batch) for batch in each] for place, each in batches.items()}
        backoff = Backoff()
        while waiting:
            again, soon = await self._round(waiting, until)
            for place in [place for place in waiting if place not in again]:
                del waiting[place][0]
                if not waiting[place]:
                    del waiting[place]
            if again:
                if asyncio.get_running_loop().time() > until or self._cluster.closed:
                    raise RecordsRefused(dict.fromkeys(again, "not acknowledged in time"))
                await backoff.pause(soon=soon)
                if not soon:
                    await self._refresh(until)
                    await self._until_past(again, until)

    async def commit(self, within: float) -> None:
        """Commit. When this returns, the transaction is durable. Raises TransactionFailed."""
        await self._end(commit=True, within=within)

    async def abort(self, within: float) -> None:
        """Abort; the next transaction may begin. Raises TransactionFailed."""
        # In the older protocol an abort is invalid if no partition was added: then there is nothing to abort.
        await self._end(commit=False, within=within, harmless=NO_ERROR if self._v2 else INVALID_TXN_STATE)
        if not self._v2:  # records that never arrived leave a gap in the sequences: go on with a new epoch
            self._identity = await self._initialised(self._identity, within)
            self._sequences.clear()

    # -- internal methods

    async def _until_past(self, places: Iterable[Place], until: float) -> None:
        """If a connection was closed, wait until readers are past what this id has ended. Raises TransactionFailed when they are not in
        time, and RecordsRefused for `places` when that cannot be known in time."""
        closed = self._cluster.connections_closed
        if closed == self._closed:
            return
        backoff = Backoff()
        failure: TransactionFailed = RecordsRefused(dict.fromkeys(places, "not acknowledged in time"))
        while self._ended:
            try:
                async with asyncio.timeout_at(until):
                    ends = await self._cluster.ends(self._ended, committed=True)
                if all(0 <= offset < ends[place] for place, offset in self._ended.items()):
                    self._ended.clear()
                    break
                failure = TransactionFailed(f"{self.name}: its last transaction has no markers")
            except UNREACHABLE:
                await self._refresh(until)
            if asyncio.get_running_loop().time() > until or self._cluster.closed:
                raise failure
            await backoff.pause(soon=False)
        self._closed = closed

    def _encoded(self, place: Place, batch: RecordBatch) -> bytes:
        sequence = self._sequences.get(place, 0)
        self._sequences[place] = (sequence + batch.records) % _SEQUENCES
        return batch.encode(self._identity, sequence)

    async def _round(self, waiting: Mapping[Place, list[bytes]], until: float) -> tuple[set[Place], bool]:
        """Send the first batch of each partition. Return the partitions that must be sent again, and whether soon."""
        leaders: dict[Place, int] = {}
        for place in waiting:
            leader = await self._leader(place, until)
            if leader is not None:
                leaders[place] = leader
        again = waiting.keys() - leaders.keys()
        soon = not again
        by_leader = groupby(sorted(leaders, key=leaders.__getitem__), key=leaders.__getitem__)
        requests = [(leader, {place: waiting[place][0] for place in places}) for leader, places in by_leader]
        if len(requests) == 1:
            answers = [await self._produce(*requests[0], until)]
        else:
            answers = await asyncio.gather(*(self._produce(*request, until) for request in requests))
        refused: dict[Place, str] = {}
        for codes in answers:
            for place, (code, text, *_) in codes.items():
                match verdict_of(code):
                    case Verdict.DONE:
                        continue
                    case Verdict.RETRY:
                        again.add(place)
                        soon &= code == CONCURRENT_TRANSACTIONS
                    case Verdict.FENCED:
                        raise TransactionFailed(f"{self.name} is fenced", fenced=True)
                    case Verdict.FATAL:
                        raise TransactionFailed(f"{place[0]}/{place[1]}: error {code} {text}")
                    case Verdict.ABORT:
                        refused[place] = f"error {code} {text}".rstrip()
        if refused:
            raise RecordsRefused(refused)
        return set(again), soon

    async def _produce(self, leader: int, batches: Mapping[Place, bytes], until: float) -> dict[Place, Produced]:
        """Send to one leader; return what became of each partition's batch."""
        by_topic: dict[str, dict[int, bytes]] = {}
        for (topic, partition), batch in batches.items():
            by_topic.setdefault(topic, {})[partition] = batch
        request = Produce(self.name, by_topic, self._cluster.request_timeout_ms, v2=self._v2)
        times = self._cluster.times
        sent = times.steady_ms
        try:
            async with asyncio.timeout_at(until):
                answer = await self._cluster.ask(leader, request)
        except UNREACHABLE:
            return dict.fromkeys(batches, _NOT_ANSWERED)
        appended_at_ms = max((each.appended_at_ms for each in answer.values()), default=-1)
        if appended_at_ms > 0:
            times.appended(leader, appended_at_ms, sent, times.steady_ms)
        found = {place: answer.get(place, _NOT_ANSWERED) for place in batches}
        self._written |= {
            place: each.first_offset for place, each in found.items() if verdict_of(each.error) is Verdict.DONE
        }
        return found

    async def _leader(self, place: Place, until: float) -> int | None:
        try:
            async with asyncio.timeout_at(until):
                return await self._cluster.leader_of(place)
        except UNREACHABLE:
            return None

    async def _refresh(self, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._cluster.refresh()
        except UNREACHABLE:
            return

    async def _announce(self, batches: Mapping[Place, list[RecordBatch]], until: float) -> None:
        """Add the partitions to the transaction, as the older protocol asks."""
        left = set(batches)
        codes: dict[Place, int] = dict.fromkeys(left, _NETWORK_EXCEPTION)  # the last answers: they say who is to blame
        backoff = Backoff()
        while left:
            await self._until_past(left, until)
            places: dict[str, list[int]] = {}
            for topic, partition in sorted(left):
                places.setdefault(topic, []).append(partition)
            try:
                async with asyncio.timeout_at(until):
                    node = await self._cluster.coordinator_of(self.name)
                    request = AddPartitions(self.name, self._identity, places)
                    found: dict[Place, int] = await self._cluster.ask(node, request, coordination=True)
                    codes |= found
                    soon = True
            except UNREACHABLE:
                soon = False
            refused: dict[Place, str] = {}
            for place in list(left):
                verdict = verdict_of(codes[place])
                if verdict is Verdict.DONE:
                    left.discard(place)
                elif verdict is Verdict.RETRY:
                    soon &= codes[place] == CONCURRENT_TRANSACTIONS
                elif verdict is Verdict.ABORT:
                    refused[place] = f"error {codes[place]}"
                else:
                    raise self._failed("adding partitions", codes[place], verdict)
            to_blame = [place for place in left if codes[place] != OPERATION_NOT_ATTEMPTED]
            if any(place in refused for place in to_blame):
                raise RecordsRefused({place: refused[place] for place in to_blame if place in refused})
            if left:
                if asyncio.get_running_loop().time() > until or self._cluster.closed:
                    raise RecordsRefused(dict.fromkeys(to_blame or left, "not added to the transaction in time"))
                if not soon:
                    self._cluster.forget_coordinator(self.name)
                await backoff.pause(soon=soon)

    async def _initialised(self, holder: Identity, within: float) -> Identity:
        answer = await self._coordinate(
            "initialising", lambda: InitProducerId(self.name, self._timeout_ms, holder), within
        )
        return answer.identity

    async def _end(self, *, commit: bool, within: float, harmless: int = NO_ERROR) -> None:
        what = _COMMITTING if commit else "aborting"
        answer = await self._coordinate(
            what, lambda: EndTxn(self.name, self._identity, commit=commit, v2=self._v2), within, harmless
        )
        if answer.identity is not None:
            self._identity = answer.identity
        self._ended |= self._written
        self._written.clear()

    async def _coordinate(
        self, what: str, request: Callable[[], OwnRequest[A]], within: float, harmless: int = NO_ERROR
    ) -> A:
        """Ask the coordinator until it answers. Raises TransactionFailed; its outcome is unknown after `within` seconds.

        `harmless`: an error that is as good as none.
        """
        backoff, last = Backoff(), "none"
        try:
            async with asyncio.timeout(within):
                while True:
                    if self._cluster.closed:
                        raise TransactionFailed(f"{what} {self.name}: the connections are closed")
                    soon = False
                    try:
                        node = await self._cluster.coordinator_of(self.name)
                        answer = await self._cluster.ask(node, request(), coordination=True)
                    except IncompatibleBrokerVersion as error:
                        raise TransactionFailed(f"{what} {self.name}: {error}") from error
                    except UNREACHABLE as error:
                        last = repr(error)
                        self._cluster.forget_coordinator(self.name)
                    else:
                        verdict = verdict_of(answer.error)
                        if verdict is Verdict.DONE or answer.error == harmless:
                            return answer
                        if verdict is not Verdict.RETRY:
                            raise self._failed(what, answer.error, verdict)
                        soon = answer.error == CONCURRENT_TRANSACTIONS
                        last = f"error {answer.error}"
                        if not soon:
                            self._cluster.forget_coordinator(self.name)
                    await backoff.pause(soon=soon)
        except TimeoutError as error:
            text = f"{what} {self.name}: not answered in time, last failure: {last}"
            raise TransactionFailed(text, unknown=True) from error

    def _failed(self, what: str, code: int, verdict: Verdict) -> TransactionFailed:
        # By version 2, each abort of an open transaction raises its epoch by one. To the coordinator, its holder's commit then looks like
        # the repetition of an abort: it says that the state is wrong, and not that the holder was fenced.
        aborted = self._v2 and code == INVALID_TXN_STATE and what == _COMMITTING
        return TransactionFailed(f"{what} {self.name}: error {code}", fenced=aborted or verdict is Verdict.FENCED)


_COMMITTING: Final = "committing"
_NETWORK_EXCEPTION: Final = 13
_NOT_ANSWERED: Final = Produced(_NETWORK_EXCEPTION, "")
