"""Find the effect of a batch that differs, and show both sides of it.

The hash only shows that something differs. The re-run has its effects in order; the original's are in routing.events.v1 and gateway.feed.v1, spread
over partitions, each of which keeps the order. So the effects of the re-run are compared in order, each with the next original of its own
partition: the first that is not the same is the first difference.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message

from chapar.router.v1 import records_pb2 as pb
from services.chassis.kafka.outbox import Send
from services.chassis.kafka.records import EPOCH_HEADER, Record
from services.policy.reading.routing import DEFAULT_POOL
from services.router.domain.engine import Engine
from services.router.lanes.shard import EVENTS, FEED
from services.router.replay.log import LogPartition, ShardLog

Pools = Iterable[tuple[str, str]]
"""Tenants and pools."""

_FOREVER_MS: Final = 1 << 60
_TYPES: Final[Mapping[str, type[Message]]] = {EVENTS: pb.RoutingEvent, FEED: pb.FeedRecord}


@dataclass(frozen=True, slots=True)
class Side:
    """One effect in readable form: where it goes, and its content."""

    topic: str
    partition: int
    key: str
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Located:
    """The first difference between the re-run and the original.

    `ordinal` counts the batch's effects from 0; None: not found among the records that are kept.
    """

    summary: str
    ordinal: int | None = None
    original: Side | None = None
    rerun: Side | None = None
    fields: tuple[tuple[str, Any, Any], ...] = field(default=())
    """The differences within the record: path, original, re-run; None where a side does not have it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Properties that distinguish a batch's records in the topics. The clocks are those of the batch and of the batches before and after it."""

    epoch: int
    now_ms: int
    before_ms: int
    after_ms: int | None
    commands: frozenset[str]
    pools: frozenset[tuple[str, str]]
    sessions: frozenset[str]
    gateways: frozenset[str]
    """The gateways that wait for a result."""

    @classmethod
    def of(
        cls,
        journal: pb.JournalRecord,
        before_ms: int,
        after_ms: int | None,
        records: Iterable[Record],
        sends: Iterable[Send],
        engines: Mapping[tuple[str, str], Engine],
    ) -> "Batch":
        """Build it from the batch's input, the re-run's effects, and the shard after it."""
        commands, gateways, pools = set(), set(), set(engines)
        sessions = {name for engine in engines.values() for name in engine.core.sessions}
        for record in records:
            try:
                command = pb.RoutingCommand.FromString(record.value or b"")
            except DecodeError:
                continue
            commands.add(command.command_id)
            gateways.add(command.reply_to.gateway_id)
            pools.add((command.tenant, command.pool or DEFAULT_POOL))
            sessions.update((command.sign_in.session_id, command.sign_in.resumes_session_id))
            sessions.add(command.close_session.session_id)
            sessions.update(command.renew_leases.session_ids)
        sessions.update(pb.FeedRecord.FromString(send.value).session_id for send in sends if send.topic == FEED)
        return cls(
            journal.lane_epoch,
            journal.now_ms,
            before_ms,
            after_ms,
            frozenset(commands - {""}),
            frozenset(pools),
            frozenset(sessions - {""}),
            frozenset(gateways - {""}),
        )

    def wrote(self, record: Record) -> bool:
        """Whether a record of the topics is an effect of this batch."""
        if dict(record.headers).get(EPOCH_HEADER) != b"%d" % self.epoch:
            return False
        between = self.before_ms < record.timestamp_ms < (self.after_ms or _FOREVER_MS)
        if record.timestamp_ms != self.now_ms and not between:
            return False
        try:
            if record.topic == EVENTS:
                event = pb.RoutingEvent.FromString(record.value or b"")
                ours = (event.tenant, event.pool) in self.pools
                return ours and (not event.command_id or event.command_id in self.commands)
            notice = pb.FeedRecord.FromString(record.value or b"")
        except DecodeError:
            return False
        if not notice.result.command_id and not notice.session_id:
            return notice.gateway_id in self.gateways  # the result of a command without an id
        return notice.result.command_id in self.commands or notice.session_id in self.sessions


async def locate(
    log: ShardLog, batch: Batch, sends: Sequence[Send], journaled: int, before: Iterable[Send] = ()
) -> Located:
    """Compare the re-run's effects with the original's that the topics still hold; the journal counts `journaled` of these.

    `before` are the effects of earlier batches with the same clock: their originals are recognised because they are equal.
    """
    sends = [send for send in sends if send.topic in _TYPES]  # commands for other pools are in the log of their readers
    originals = await _originals(log, batch, batch.now_ms, batch.now_ms)
    if not originals and (sends or journaled):
        # The clock may be what differs: search all the time between the two neighbours.
        originals = await _originals(log, batch, min(batch.before_ms, batch.now_ms), batch.after_ms or _FOREVER_MS)
    if not originals and not sends and journaled:
        return Located(f"the re-run has none of the {journaled} effects, and the topics no longer hold the originals")
    originals = _unless(originals, before)
    forgotten = await log.forgotten(batch.now_ms)
    # Effects of the next batch at the same clock may be among the originals; they are not missing in this one.
    return align(sends, originals, log.place, forgotten, surplus=batch.after_ms != batch.now_ms)


async def _originals(log: ShardLog, batch: Batch, from_ms: int, to_ms: int) -> list[Record]:
    found: list[Record] = []
    chunks: AsyncGenerator[list[Record], None]
    async with aclosing(log.effects(from_ms, to_ms)) as chunks:
        async for chunk in chunks:
            found.extend(record for record in chunk if batch.wrote(record))
    return found


def _unless(originals: Iterable[Record], before: Iterable[Send]) -> list[Record]:
    known = Counter((send.topic, send.key, send.value) for send in before)
    kept = []
    for record in originals:
        same = (record.topic, record.key or b"", record.value or b"")
        if known[same]:
            known[same] -= 1
        else:
            kept.append(record)
    return kept


def align(
    sends: Sequence[Send],
    originals: Iterable[Record],
    place: Callable[[str, int | None, bytes], LogPartition],
    forgotten: frozenset[LogPartition] = frozenset(),
    *,
    surplus: bool = True,
) -> Located:
    """Align the effects of the re-run with the originals; see the module.

    `forgotten` are partitions whose originals may be gone: nothing is concluded from records that they lack. Without `surplus`, nothing is
    concluded from originals that are left over and name no command.
    """
    queues: dict[LogPartition, list[Record]] = {}
    for record in originals:
        queues.setdefault((record.topic, record.partition), []).append(record)
    unknown: list[int] = []
    for ordinal, send in enumerate(sends):
        at = place(send.topic, send.partition, send.key)
        queue = queues.get(at)
        if not queue:
            if at not in forgotten:
                return located("the original has no such effect", ordinal, None, side(send, at))
            unknown.append(ordinal)
            continue
        other = queue[0]
        if (other.key, other.value) != (send.key, send.value):
            ours_later = any((other.key, other.value) == (s.key, s.value) for s in sends[ordinal + 1 :])
            theirs_later = any((send.key, send.value) == (r.key, r.value) for r in queue[1:])
            if ours_later and not theirs_later:
                return located("the original has no such effect", ordinal, None, side(send, at))
            if theirs_later and not ours_later:
                return located("the re-run has no such effect", ordinal, original(other), None)
            return located("the effect is different", ordinal, original(other), side(send, at))
        del queue[0]
    for queue in queues.values():
        if queue and (_cause(queue[0]) or (surplus and _is_of_one(queue[0]))):
            return located("the re-run has no such effect", _after(queue[0], sends), original(queue[0]), None)
    if unknown:
        send = sends[unknown[0]]
        at = place(send.topic, send.partition, send.key)
        return Located(
            f"{len(sends) - len(unknown)} of the re-run's {len(sends)} effects are the original's; the difference is among {len(unknown)} whose "
            f"originals are no longer kept ({', '.join(sorted({sends[n].topic for n in unknown}))})",
            rerun=side(send, at),
        )
    return Located("every effect equals the original's, so the journal's own record differs")


def _after(record: Record, sends: Sequence[Send]) -> int:
    """Return the place of an effect that the re-run lacks: after the last effect of the same command, or after all."""
    cause = _cause(record)
    same = [n + 1 for n, send in enumerate(sends) if _cause(send) == cause]
    return same[-1] if cause and same else len(sends)


def _is_of_one(record: Record) -> bool:
    """Whether the record names its subject. The result of a command without an id may be another shard's, at the same clock."""
    return record.topic == EVENTS or bool(pb.FeedRecord.FromString(record.value or b"").session_id)


def _cause(effect: Record | Send) -> str:
    """Return the command that an effect names; empty for timers and for most notices."""
    if effect.topic == EVENTS:
        return pb.RoutingEvent.FromString(effect.value or b"").command_id
    return pb.FeedRecord.FromString(effect.value or b"").result.command_id


def located(summary: str, ordinal: int | None, original: Side | None, rerun: Side | None) -> Located:
    """Return a difference with the fields in which its two sides differ."""
    fields = tuple(_differing("", original.record, rerun.record)) if original and rerun else ()
    return Located(summary, ordinal, original, rerun, fields)


def _differing(path: str, one: Any, other: Any) -> Iterable[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in [*one, *(name for name in other if name not in one)]:
            yield from _differing(f"{path}.{name}" if path else name, one.get(name), other.get(name))
    elif one != other:
        yield path, one, other


def side(send: Send, at: LogPartition) -> Side:
    """Return an effect of the re-run in readable form."""
    return Side(*at, send.key.decode(errors="replace"), decoded(send.topic, send.value))


def original(record: Record) -> Side:
    """Return a record of the topics in readable form."""
    return Side(
        record.topic,
        record.partition,
        (record.key or b"").decode(errors="replace"),
        decoded(record.topic, record.value or b""),
    )


def decoded(topic: str, value: bytes) -> dict[str, Any]:
    """Return a record by the contract's names. These topics hold ids and attributes, no personal data."""
    known = _TYPES.get(topic)
    if known is None:
        return {"bytes": value.hex()}
    found: dict[str, Any] = MessageToDict(known.FromString(value), preserving_proto_field_name=True)
    return found
