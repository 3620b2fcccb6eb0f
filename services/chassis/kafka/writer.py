"""The one committer of a process: all its lanes write through it, and each transaction holds whatever lanes have ready.

A transaction costs the same for one lane as for many, so a process has few of them. Transaction N+1 is filled while N
commits, by another transactional id; it commits only after N's commit has returned, because a lane may have a part in both.

An **incarnation** is a set of transactional ids that no other writer ever uses: `{service}-{uuid}-a`, `-b`, … Lanes claim their
partitions for an incarnation (`claims`). When a transaction fails in a way that leaves its outcome in doubt, or when another
process has fenced one of the ids, the whole incarnation is over: every lane takes its partition over again, for the next one.

When a broker refuses records of some partitions (too large, no right to write), only that transaction is aborted. Lanes with
records there are suspects: each writes through an id of its own (`-alone`), one part at a time, until one of its parts is
durable. So a lane whose records are refused again and again stops no other lane.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final, Self

from services.chassis.kafka.changelog_formats import NOTHING_FINALISED, Finalised
from services.chassis.kafka.claims import Claim
from services.chassis.kafka.clients import BrokerError, KafkaAccess
from services.chassis.kafka.transactions.cluster import NO_BROKER_TIMES, BrokerTimes, Cluster
from services.chassis.kafka.transactions.contents import Contents, Place, Sealed, TopicPartitions
from services.chassis.kafka.transactions.producer import RecordsRefused, TransactionalId, TransactionFailed

log = logging.getLogger(__name__)

_FENCED_REMEMBERED: Final = 1000
_ROOM_FOR_FRAMING: Final = 64 << 10
_ALONE: Final = "alone"


@dataclass(frozen=True, slots=True)
class WriterTuning:
    """Limits and times of a writer. Times are seconds unless the name says otherwise."""

    turns: int = 3
    """Transactional ids that take turns: while one commits, the next is filled, and the markers of a third are written."""
    max_batch_bytes: int = 900_000 + _ROOM_FOR_FRAMING
    """Largest record batch; must stay below the broker's max.message.bytes, and above the largest record."""
    transaction_timeout_ms: int = 60_000  # longer than a broker's restart: see deploy/kafka/README.md
    request_timeout_ms: int = 15_000
    append_timeout: float = 10.0
    """After this time the transaction is aborted, and the lanes that write partitions without an answer write alone."""
    commit_timeout: float = 40.0
    """After this time the outcome of a commit or an abort is unknown."""
    close_timeout: float = 3.0
    """Deadline for closing connections."""
    old_protocol: bool = False  # use the protocol before KIP-890 although the cluster has it
    times: BrokerTimes = field(default=NO_BROKER_TIMES, compare=False)  # learns the brokers' time
    formats: Finalised = field(default=NOTHING_FINALISED, compare=False)  # of the lanes' changelogs
    fault: Callable[[str], None] | None = field(default=None, compare=False)  # a hook for tests, as in `LaneTuning`


_DEFAULT_TUNING: Final = WriterTuning()


class Part:
    """One lane's part of a transaction."""

    def __init__(self, sealed: Sealed) -> None:
        self.sealed = sealed
        loop = asyncio.get_running_loop()
        self.sent: asyncio.Future[None] = loop.create_future()
        """Done when every record of its transaction is acknowledged, and its commit is about to begin."""
        self.durable: asyncio.Future[None] = loop.create_future()
        """Done when its transaction is durable; or with TransactionFailed."""
        self.decided = asyncio.Event()
        """Set when its transaction is committed, aborted or given up. A lane that is cancelled ends the futures, and not this."""
        self.suspect = False
        """Whether it had records in a partition that did not take them."""

    def fail(self, error: Exception) -> None:
        """End it with an error."""
        self.decided.set()
        for future in (self.sent, self.durable):
            if not future.done():
                future.set_exception(error)
                future.exception()  # retrieved: the lane may be gone


class Committer:
    """Some transactional ids that take turns."""

    def __init__(
        self,
        ids: Sequence[TransactionalId],
        cluster: Cluster,
        partitions: TopicPartitions,
        tuning: WriterTuning,
        *,
        most_parts: int | None = None,
    ) -> None:
        """`most_parts`: the largest number of parts of a transaction; None: without a limit."""
        self._ids = ids
        self._cluster = cluster
        self._partitions = partitions
        self._tuning = tuning
        self._most_parts = most_parts
        self._ready: list[Part] = []
        self._open: set[Part] = set()
        self._wake = asyncio.Event()

    def submit(self, part: Part) -> None:
        """Put a part into the next transaction."""
        self._ready.append(part)
        self._open.add(part)
        self._wake.set()

    async def settled(self, changelog: Place) -> None:
        """Wait until every part of a lane is decided."""
        for part in [part for part in self._open if part.sealed.changelog == changelog]:
            await part.decided.wait()

    def fail(self, error: Exception) -> None:
        """End every part that is not yet durable."""
        for part in self._open:
            part.fail(anew(error))
        self._open.clear()
        self._ready.clear()

    async def run(self) -> None:
        """Write for ever. Raises TransactionFailed when the ids cannot be used any more."""
        committing: asyncio.Task[None] | None = None
        turn = 0
        try:
            while True:
                committing = await self._until_ready(committing)
                if committing is not None and len(self._ids) == 1:
                    await committing
                    committing = None
                parts = self._ready[: self._most_parts]
                del self._ready[: len(parts)]
                producer = self._ids[turn]
                if not await self._fill(producer, parts):
                    continue  # with the same id: the next one may be that which commits
                turn = (turn + 1) % len(self._ids)
                if committing is not None:
                    await committing
                for part in parts:
                    if not part.sent.done():
                        part.sent.set_result(None)
                committing = asyncio.create_task(self._commit(producer, parts))
        except TransactionFailed:
            if committing is not None:  # if it succeeds, its effects must run
                await asyncio.wait({committing})
            raise
        finally:
            if committing is not None:
                committing.cancel()
                await asyncio.wait({committing})
                if not committing.cancelled():
                    committing.exception()  # retrieved

    async def _until_ready(self, committing: "asyncio.Task[None] | None") -> "asyncio.Task[None] | None":
        """Return when there are parts; raise the exception of the commit in progress. Return that commit if it still runs."""
        while not self._ready:
            self._wake.clear()
            if committing is None:
                await self._wake.wait()
                continue
            waking = asyncio.create_task(self._wake.wait())
            try:
                await asyncio.wait({waking, committing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waking.cancel()
            if committing.done():
                committing.result()
                committing = None
        return committing

    async def _fill(self, producer: TransactionalId, parts: list[Part]) -> bool:
        """Send the records of all parts. Return False when the transaction had to be aborted: then its parts have failed."""
        contents = Contents(self._partitions, self._tuning.max_batch_bytes)
        if missing := await self._unknown_topics(parts):
            suspects = {
                number
                for number, part in enumerate(parts)
                if any(send[0] in missing for send in part.sealed.outbox.sends)
            }
            self._refuse(parts, suspects, TransactionFailed(f"topics not found: {missing}"))
            return False
        try:
            for part in parts:
                contents.add(part.sealed)
            contents.close()
            self._fault("before_send")
            await producer.append(contents.batches, self._tuning.append_timeout)
        except RecordsRefused as refusal:
            suspects = {number for place in refusal.places for number in contents.writers[place]}
            await producer.abort(self._tuning.commit_timeout)
            self._refuse(parts, suspects, TransactionFailed(str(refusal)))
            return False
        self._fault("after_send")
        return True

    def _refuse(self, parts: list[Part], suspects: set[int], failure: TransactionFailed) -> None:
        """End the parts of a transaction that is not committed. `suspects`: the numbers of those that are to blame."""
        for number, part in enumerate(parts):
            part.suspect = number in suspects
            self._open.discard(part)
            part.fail(anew(failure))

    async def _unknown_topics(self, parts: list[Part]) -> dict[str, str]:
        """Look up how many partitions the topics of these parts have. Return those that cannot be found, and why."""
        missing: dict[str, str] = {}
        for topic in self._partitions.unknown(part.sealed for part in parts):
            try:
                async with asyncio.timeout(self._tuning.append_timeout):
                    count = await self._cluster.partitions_of(self._partitions.physical(topic))
            except (BrokerError, OSError, TimeoutError) as error:
                missing[topic] = repr(error)
            else:
                self._partitions.set_count(topic, count)
        return missing

    async def _commit(self, producer: TransactionalId, parts: list[Part]) -> None:
        self._fault("before_commit")
        if self._tuning.fault is None:
            await producer.commit(self._tuning.commit_timeout)
        else:
            await asyncio.gather(producer.commit(self._tuning.commit_timeout), self._inside_commit())
        self._fault("after_commit")
        for part in parts:
            self._open.discard(part)
            part.decided.set()
            if not part.durable.done():
                part.durable.set_result(None)

    async def _inside_commit(self) -> None:
        for _ in range(4):  # let the client pass the request to the socket
            await asyncio.sleep(0)
        self._fault("inside_commit")

    def _fault(self, point: str) -> None:
        if self._tuning.fault is not None:
            self._tuning.fault(point)


class Incarnation:
    """The transactional ids of a writer, initialised. `failure`: why they cannot be used any more; None while they can."""

    def __init__(self, name: str, cluster: Cluster, prefix: str, tuning: WriterTuning) -> None:
        self.name = name
        self.cluster = cluster
        self.failure: Exception | None = None
        self._tuning = tuning
        v2 = False if tuning.old_protocol else None
        self._ids = [
            TransactionalId(cluster, each, timeout_ms=tuning.transaction_timeout_ms, v2=v2)
            for each in ids_of(name, tuning.turns)
        ]
        partitions = TopicPartitions(prefix)
        self._together = Committer(self._ids[:-1], cluster, partitions, tuning)
        self._alone = Committer(self._ids[-1:], cluster, partitions, tuning, most_parts=1)
        self._listeners: set[Callable[[], None]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Initialise the ids, all of them before any is used: a claim names them all. Raises TransactionFailed."""
        await asyncio.gather(*(each.initialise(self._tuning.commit_timeout) for each in self._ids))
        self._tasks = [asyncio.create_task(self._run(each)) for each in (self._together, self._alone)]

    async def close(self) -> None:
        """Stop writing. Parts that are not durable fail."""
        self._over(TransactionFailed(f"{self.name} is closed"))
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def submit(self, sealed: Sealed, *, alone: bool = False) -> Part:
        """Write a part, with others or alone. Raises the failure, when this incarnation is over."""
        self.check()
        part = Part(sealed)
        (self._alone if alone else self._together).submit(part)
        return part

    async def settled(self, changelog: Place) -> None:
        """Wait until every part of a lane is decided, and until readers see it. Raises TransactionFailed."""
        for committer in (self._together, self._alone):
            await committer.settled(changelog)
        self.check()
        if not await self.cluster.until_visible(changelog, self._tuning.commit_timeout):
            raise TransactionFailed(f"{changelog[0]}/{changelog[1]}: what was written is not visible in time")

    def check(self) -> None:
        """Raise the failure, if there is one."""
        if self.failure is not None:
            raise anew(self.failure)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when this incarnation is over. Return the function that ends that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def claim(self, epoch: int) -> Claim:
        """Return the claim that names this incarnation."""
        return Claim(self.name, self._tuning.turns, epoch)

    async def _run(self, committer: Committer) -> None:
        try:
            await committer.run()
        except TransactionFailed as failure:
            log.warning("%s: %s; every lane of this process takes over again", self.name, str(failure))
            self._over(failure)
        except Exception as bug:  # noqa: BLE001 - passed to the lanes, which end with it
            log.critical("%s: %r", self.name, bug)
            self._over(bug)

    def _over(self, failure: Exception) -> None:
        if self.failure is None:
            self.failure = anew(failure)
        for committer in (self._together, self._alone):
            committer.fail(self.failure)
        for listener in tuple(self._listeners):
            listener()


def anew(failure: Exception) -> Exception:
    """Return a failure as one that was not raised yet: an exception keeps the frames of all who raised it, and so the lost
    states of their lanes. A bug is returned as it is, because it ends them."""
    if isinstance(failure, TransactionFailed):
        return TransactionFailed(str(failure), fenced=failure.fenced, unknown=failure.unknown)
    return failure


def ids_of(writer: str, turns: int) -> list[str]:
    """Return the transactional ids of an incarnation."""
    return [f"{writer}-{chr(ord('a') + turn)}" for turn in range(turns)] + [f"{writer}-{_ALONE}"]


class Writer:
    """What the lanes of a process share. Use as an async context manager around all of them."""

    def __init__(self, kafka: KafkaAccess, *, service: str, tuning: WriterTuning = _DEFAULT_TUNING) -> None:
        """`service`: the first part of the transactional ids, after the installation's prefix."""
        self.tuning = tuning
        self._kafka = kafka
        self._service = service
        self._current: Incarnation | None = None
        self._open = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._fencing = asyncio.Lock()
        self._fenced: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def incarnation(self) -> Incarnation:
        """Return the incarnation that can be used now; begin a new one when the last is over. Raises one of UNREACHABLE, or TransactionFailed."""
        async with self._opening:
            if self._current is not None and self._current.failure is None:
                return self._current
            await self._open.aclose()
            self._current = None
            name = f"{self._kafka.topic_prefix}{self._service}-{uuid.uuid4().hex}"
            async with AsyncExitStack() as opening:
                cluster = await opening.enter_async_context(
                    Cluster(
                        self._kafka,
                        client_id=f"{self._service}-writer",
                        request_timeout_ms=self.tuning.request_timeout_ms,
                        close_timeout=self.tuning.close_timeout,
                        times=self.tuning.times,
                    )
                )
                incarnation = Incarnation(name, cluster, self._kafka.topic_prefix, self.tuning)
                await incarnation.start()
                opening.push_async_callback(incarnation.close)
                self._open = opening.pop_all()
            self._current = incarnation
            return incarnation

    async def fence(self, claim: Claim, cluster: Cluster) -> None:
        """End another incarnation: none of its transactions can become durable after this, and all earlier ones are complete."""
        async with self._fencing:
            if claim.writer in self._fenced:  # its ids are never used again
                return
            await asyncio.gather(
                *(
                    self.transactional_id(cluster, name).initialise(self.tuning.commit_timeout)
                    for name in ids_of(claim.writer, claim.turns)
                )
            )
            if len(self._fenced) >= _FENCED_REMEMBERED:
                self._fenced.clear()
            self._fenced.add(claim.writer)

    def transactional_id(self, cluster: Cluster, name: str) -> TransactionalId:
        """Return an id that is not yet initialised."""
        v2 = False if self.tuning.old_protocol else None
        return TransactionalId(cluster, name, timeout_ms=self.tuning.transaction_timeout_ms, v2=v2)
