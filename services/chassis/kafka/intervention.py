"""An operator's decision about one partition of a lane, made as a takeover (docs/lanes.md): it cannot race with an owner.

`LaneOperator.look` only reads. `LaneOperator.decide` takes the steps of a claim: it initialises the claim's transactional id,
reads the changelog, fences the owner that the claim names, reads to the end, and writes the decision together with a free
claim of a larger epoch, in one transaction. The commit is refused if a lane or another operator has begun to claim since.
Then the next owner takes over as after any release. A lane that refuses the partition sees the new records, and goes on.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec
from aiokafka import TopicPartition

from services.chassis.clock import Clock
from services.chassis.kafka.changelog import POSITION_KEY, ChangelogReader, Position, Restored
from services.chassis.kafka.claims import CLAIM_KEY, Claim, claim_id
from services.chassis.kafka.clients import KafkaAccess, admin_client, close_consumer, plain_reader
from services.chassis.kafka.contract import LaneSpec
from services.chassis.kafka.coordination import PATIENCE_S, once_coordinated
from services.chassis.kafka.evidence import ids_of
from services.chassis.kafka.groups import GroupDirectory
from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.kafka.transactions.cluster import Cluster
from services.chassis.kafka.transactions.contents import Contents, Sealed, TopicPartitions
from services.chassis.kafka.transactions.producer import TransactionalId, TransactionFailed
from services.chassis.kafka.witness import InputState, Loss, Witness, last_epoch, loss_of
from services.chassis.kafka.writer import Writer

_ATTEMPTS: Final = 5
_CLOSE: Final = 3.0


@dataclass(frozen=True, slots=True)
class Situation:
    """One partition of a lane, as an operator finds it."""

    partition: int
    input: InputState
    found: Restored
    owner: str
    """The client id of the group's member that has the partition; empty: none has."""

    @property
    def loss(self) -> Loss | None:
        """What a lane would refuse the partition for, if anything."""
        return loss_of(self.found, self.input)

    @property
    def refused(self) -> bool:
        """Whether a lane has refused the partition, and waits."""
        return self.found.claim is not None and bool(self.found.claim.refused)

    @property
    def works(self) -> bool:
        """Whether a lane works on the partition, or is about to."""
        return bool(self.owner) and not self.refused


@dataclass(frozen=True, slots=True)
class Repair:
    """What to write. `offset`: where the lane continues; None: where it is. `forget`: delete every entry of the state."""

    offset: int | None = None
    forget: bool = False
    skips: tuple[int, ...] = ()
    """All offsets to skip, those that were decided earlier included."""


class LaneOperator:
    """Looks at the partitions of one lane, and decides. Use as an async context manager."""

    def __init__(self, kafka: KafkaAccess, spec: LaneSpec, *, clock: Clock, client_id: str = "operator") -> None:
        self._kafka = kafka
        self._spec = spec
        self._clock = clock
        self._client_id = client_id
        self._open = AsyncExitStack()
        self._writer = Writer(kafka, service=client_id)
        self._input = kafka.topic_prefix + spec.input
        self._changelog = kafka.topic_prefix + spec.changelog_topic
        self._admin: Any
        self._reader: Any
        self._groups: GroupDirectory

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            self._admin = await opening.enter_async_context(admin_client(self._kafka, client_id=self._client_id))
            self._groups = await opening.enter_async_context(
                GroupDirectory(self._kafka, client_id=self._client_id, patience_s=PATIENCE_S)
            )
            self._reader = plain_reader(self._kafka, client_id=self._client_id)
            opening.push_async_callback(close_consumer, self._reader, _CLOSE)
            await self._reader.start()
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def partitions(self) -> list[int]:
        """Return the partitions of the input. Raises aiokafka's KafkaError."""
        return sorted(await self._reader._client._wait_on_metadata(self._input))

    async def look(self, partition: int) -> Situation:
        """Return the situation of a partition. Raises aiokafka's KafkaError."""
        reader = await self._changelog_of(partition)
        return await self._situation(partition, await reader.to_end())

    async def decide(self, partition: int, choose: Callable[[Situation], Repair]) -> Situation:
        """Write what `choose` returns for the situation, and return the situation before it.

        `choose` is called again when the situation may have changed; if it raises, nothing is written. Raises TransactionFailed
        when lanes claim the partition again and again, and aiokafka's KafkaError when the cluster does not answer.
        """
        tuning = self._writer.tuning
        async with Cluster(
            self._kafka,
            client_id=self._client_id,
            request_timeout_ms=tuning.request_timeout_ms,
            close_timeout=tuning.close_timeout,
        ) as cluster:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return await self._decide_once(cluster, partition, choose)
                except TransactionFailed as failure:
                    if not failure.fenced or attempt == _ATTEMPTS:
                        raise
        raise AssertionError("the last attempt returns or raises")

    # -- internal methods

    async def _decide_once(self, cluster: Cluster, partition: int, choose: Callable[[Situation], Repair]) -> Situation:
        name = claim_id(self._kafka.topic_prefix, self._spec.name, partition)
        claimant = self._writer.transactional_id(cluster, name)
        await claimant.initialise(self._writer.tuning.commit_timeout)
        reader = await self._changelog_of(partition)
        found = await reader.to_end()
        choose(await self._situation(partition, found))
        if found.claim is not None and not found.claim.free:
            await self._writer.fence(found.claim, cluster)
            found = await reader.to_end()
        if (end := await cluster.end_of((self._changelog, partition), committed=False)) > reader.read_to:
            raise TransactionFailed(
                f"{self._changelog}/{partition} can be read to {reader.read_to} of {end} only: `chapar transactions list` shows why"
            )
        situation = await self._situation(partition, found)
        await self._write(cluster, claimant, situation, choose(situation))
        return situation

    async def _write(self, cluster: Cluster, claimant: TransactionalId, situation: Situation, repair: Repair) -> None:
        tuning, found, now = self._writer.tuning, situation.found, situation.input
        former, last = found.claim, found.position
        epoch = last_epoch(former, last, now) + 1
        claim = Claim("", 0, epoch, "" if former is None else former.input, "", repair.skips, now.log, found.begin)
        changes: dict[bytes, bytes | None] = dict.fromkeys(found.entries) if repair.forget else {}
        if repair.offset is not None:
            claim = msgspec.structs.replace(claim, input=now.id)
            now_ms = 0 if last is None or repair.forget else last.now_ms
            changes[POSITION_KEY] = Position(repair.offset, now_ms, epoch).encode()
        changes[CLAIM_KEY] = claim.encode()
        contents = Contents(TopicPartitions(self._kafka.topic_prefix), tuning.max_batch_bytes)
        place = self._changelog, situation.partition
        contents.add(Sealed(BatchOutbox(epoch, tuning.max_batch_bytes), changes, self._clock(), place))
        contents.close()
        await claimant.append(contents.batches, tuning.append_timeout)
        await claimant.commit(tuning.commit_timeout)
        await cluster.until_visible(place, tuning.commit_timeout)

    async def _situation(self, partition: int, found: Restored) -> Situation:
        place = TopicPartition(self._input, partition)
        begin = await self._reader.beginning_offsets([place])
        end = await self._reader.end_offsets([place])
        group = self._kafka.topic_prefix + self._spec.group
        offsets = await once_coordinated(lambda: self._admin.list_consumer_group_offsets(group, partitions=[place]))
        committed = offsets.get(place)
        known = committed is not None and committed.offset >= 0
        ids = await ids_of(self._admin, self._input, self._changelog)
        now = InputState(
            ids[0],
            int(begin[place]),
            int(end[place]),
            ids[1],
            int(committed.offset) if known else None,
            Witness.decode(committed.metadata or "") if known else None,
        )
        owners = await self._groups.owners(self._spec.group, self._spec.input)
        return Situation(partition, now, found, owners.get(partition, ""))

    async def _changelog_of(self, partition: int) -> ChangelogReader:
        """Return a reader at the beginning of a changelog partition. It uses the one connection, so the reader before it has ended."""
        place = TopicPartition(self._changelog, partition)
        self._reader.assign([place])
        begin = int((await self._reader.beginning_offsets([place]))[place])
        self._reader.seek(place, begin)
        return ChangelogReader(self._reader, place, begin, lambda read, total: None)
