"""The processor of a shard lane: all pools of one partition, each decided by its own engine.

For each batch: decode, decide, write events and notices; at the end the changed entities and one journal record. Everything is written through
the outbox, and so in the batch's transaction.
"""

from functools import partial
from time import perf_counter
from typing import Final

from chapar.router.v1 import records_pb2 as pb
from services.chassis.ids import derive
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.lane import Followed, InvalidRecord, LaneContext, LaneSpec, Outbox, Record
from services.chassis.keys import tenant_key
from services.policy.reading.routing import DEFAULT_POOL
from services.router.domain import effects as fx
from services.router.domain.changelog.snapshot import Restorer, changes
from services.router.domain.engine import Engine
from services.router.domain.reasons import Reason
from services.router.lanes.shard_metrics import ShardMetrics, Tally
from services.router.translate import codec
from services.router.translate.attributes import AttributesCache
from services.router.translate.commands import decode, to_command
from services.router.translate.events import EventWriter, event_time
from services.router.translate.feed import feed_time, write_notice, write_result
from services.router.translate.moves import write_following, write_received

EVENTS: Final = "routing.events.v1"
JOURNAL: Final = "routing.journal.v1"
FEED: Final = "gateway.feed.v1"
COMMANDS: Final = "routing.commands.v1"
TIMED_ONE_IN: Final = 8
"""One command in this number is timed: a histogram costs as much as a tenth of a simple command."""
SPEC: Final = LaneSpec(
    name="router", input=COMMANDS, changelog="router.state.v1", group="router", formats=codec.FORMATS
)

Where = tuple[str, str]
"""Tenant and pool."""

_NEW: Final = ("enqueue", "receive_interaction")
"""The commands that bring an interaction to a pool."""
_FOUNDING: Final = "activate_configuration"
"""The command that creates a pool. A name that comes from outside must not leave an engine behind."""


class ShardProcessor:
    """Processes a shard; see the module. `feed_partitions` bounds what a command may name as its gateway's partition."""

    def __init__(self, context: LaneContext, feed_partitions: int, metrics: ShardMetrics) -> None:
        self._context = context
        self._feed_partitions = feed_partitions
        self._metrics = metrics
        self._restorers: dict[Where, Restorer] = {}
        self.engines: dict[Where, Engine] = {}
        self._writers: dict[Where, EventWriter] = {}
        self._touched: dict[Where, None] = {}
        self._tally = Tally()
        self._now = self._until = 0
        self._returned = False
        self._event_time = self._feed_time = b""
        self._first: int | None = None
        self._next = 0
        self._count = 0
        self._idle: list[tuple[int, int]] = []

    # Processor

    def restore(self, key: bytes, value: bytes) -> None:
        """Add one entity of one pool."""
        tenant, pool, kind, name = codec.parse_key(key)
        restorer = self._restorers.get((tenant, pool))
        if restorer is None:  # `setdefault` would make a restorer for every entry
            restorer = self._restorers[tenant, pool] = Restorer()
        restorer.add(name, codec.decode(kind, value))

    def start(self, now_ms: int, outbox: Outbox) -> None:
        """Rebuild the engines, and do what became due while the shard had no owner.

        This is always journaled: a replay takes over at the same clock.
        """
        self._set_clock(now_ms)
        for where, restorer in sorted(self._restorers.items()):
            engine = self._add(where, restorer.engine(now_ms))
            self._perform(where, engine.take_over(now_ms), "", outbox)
        self._restorers.clear()
        self._write(outbox, taken_over=True)

    def resume(self, now_ms: int) -> int:
        """Continue from the end of a saved state at `now_ms` without taking over, for replays.

        Returns how many things the engines would do at once: 0, if they equal those that were saved.
        """
        self._set_clock(now_ms)
        for where, restorer in sorted(self._restorers.items()):
            core = self._add(where, restorer.engine(now_ms)).core
            # A restore marks everything to be looked at, as for an owner that takes over. A saved shard had nothing left to look at.
            for unseen in (core.stirred, core.freed, core.overdue, core.asking):
                unseen.clear()
        self._restorers.clear()
        return sum(len(engine.advance(now_ms)) for engine in self.engines.values())

    def begin(self, now_ms: int) -> None:
        """Set the batch's clock."""
        self._set_clock(now_ms)
        self._until = now_ms
        self._first = None
        self._count = 0

    def follow(self, followed: Followed) -> None:
        """See Follower. Leases and offers end because something did not come, so all timers wait for the watermark."""
        self._until = max(1, followed.until_ms)  # 0 in the journal stands for the clock
        if followed.returned:
            self._returned = True
            for where in sorted(self.engines):
                self.engines[where].log_returned(self._now)
                self._touched[where] = None

    def handle(self, record: Record, outbox: Outbox) -> None:
        """Decide one command."""
        if self._first is None:
            self._first = record.offset
        self._next = record.offset + 1
        try:
            message = decode(record.value or b"")
            command = to_command(message)
        except ValueError as error:
            raise InvalidRecord(Reason.UNDECODABLE, str(error)) from error
        tenant: str = message.tenant
        where = (tenant, message.pool or DEFAULT_POOL)
        engine = self.engines.get(where)
        if engine is None and (not tenant or "/" in tenant or "|" in where[1] or "|" in tenant):
            raise InvalidRecord(Reason.UNDECODABLE, "tenant or pool can't be used in keys")
        if command.reply_to is not None and not 0 <= command.reply_to.partition < self._feed_partitions:
            raise InvalidRecord(Reason.UNDECODABLE, "reply_to names a partition that the feed does not have")
        if engine is None:
            which = message.WhichOneof("command")
            if which in _NEW:
                # No caller waits for a result: without a dead letter a customer would be lost without a trace.
                raise InvalidRecord(
                    Reason.UNKNOWN_POOL,
                    "the tenant's configuration has no such pool: add it, apply the configuration, then replay this record",
                )
            if which != _FOUNDING:
                refused = fx.Result(command.command_id, command.reply_to, False, Reason.UNKNOWN_POOL, which or "")
                self._tally.note(tenant, refused)
                self._result(tenant, refused, outbox)
                return
            engine = self._add(where, Engine())
        if engine.core.moved and (pool := engine.moved_to(command)):
            self._follow(where, pool, message, record.offset, outbox)
            return
        if record.offset % TIMED_ONE_IN:
            effects = engine.handle(command, self._now)
        else:
            began_s = perf_counter()
            effects = engine.handle(command, self._now)
            self._tally.decided(message.WhichOneof("command") or "", perf_counter() - began_s)
        self._perform(where, effects, command.command_id, outbox)

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        """Handle the timers of all pools."""
        for where in sorted(self.engines):
            engine = self.engines[where]
            due = engine.next_wakeup()
            if due is not None and due <= self._until:
                self._perform(where, engine.advance(now_ms, self._until), "", outbox)

    def end(self, outbox: Outbox) -> None:
        """Write the changed entities to the changelog, and the journal record."""
        self._write(outbox)

    def next_wakeup(self) -> int | None:
        """Return the earliest timer of all pools."""
        return min((due for e in self.engines.values() if (due := e.next_wakeup()) is not None), default=None)

    # Implementation

    def _set_clock(self, now_ms: int) -> None:
        self._now = now_ms
        self._event_time, self._feed_time = event_time(now_ms), feed_time(now_ms)

    def _add(self, where: Where, engine: Engine) -> Engine:
        self.engines[where] = engine
        self._writers[where] = EventWriter(*where, AttributesCache())
        return engine

    def _perform(self, where: Where, effects: list[fx.Effect], cause: str, outbox: Outbox) -> None:
        self._touched[where] = None
        tenant, pool = where
        now, writer = self._now, self._writers[where]
        config = self.engines[where].core.config
        writer.begin(cause, self._event_time, config.version if config is not None else 0)
        ordinal = 0
        tally, send = self._tally, outbox.send
        for effect in effects:
            tally.note(tenant, effect)
            if isinstance(effect, fx.Result):
                self._result(tenant, effect, outbox)
                continue
            if isinstance(effect, fx.HandedOver):
                received = effect.received
                command_id = derive("moved", tenant, pool, received.attributes.interaction_id, str(received.version))
                value = write_received(tenant, command_id, now, effect)
                self._command(tenant, effect.pool, command_id, value, outbox)
            elif isinstance(effect, fx.ToDesk):
                key = effect.agent_id.encode() or b"-"
                event_id = derive("desk", cause or str(now), tenant, pool, effect.agent_id, str(ordinal))
                value = write_notice(effect, self._feed_time, writer.attributes)
                send(FEED, key, value, record_headers(FEED, event_id, tenant), effect.gateway.partition)
            else:
                if isinstance(effect, fx.AgentStateChanged):
                    entity = owner = effect.agent_id
                else:
                    entity, owner = effect.attributes.interaction_id, effect.attributes.conversation_id
                event_id = (
                    derive(cause, str(ordinal))
                    if cause
                    else derive("timer", tenant, pool, entity, str(effect.epoch), str(now))
                )
                if isinstance(effect, fx.AgentStateChanged):
                    value = writer.agent_state(event_id, effect)
                else:
                    value = writer.interaction(event_id, effect)
                    if isinstance(effect, fx.Completed):
                        tally.handled(tenant, effect.attributes.queue, (now - effect.assigned_at_ms) / 1000)
                send(EVENTS, tenant_key(tenant, owner), value, record_headers(EVENTS, event_id, tenant))
            ordinal += 1
            self._count += 1

    def _follow(self, where: Where, pool: str, message: pb.RoutingCommand, offset: int, outbox: Outbox) -> None:
        """Send a command about an interaction after it, to the pool to which it was moved."""
        tenant, own = where
        self._count += 1
        event_id = derive("follows", tenant, own, message.command_id, str(offset))
        self._command(tenant, pool, event_id, write_following(message, pool), outbox)

    def _command(self, tenant: str, pool: str, event_id: str, value: bytes, outbox: Outbox) -> None:
        outbox.send(COMMANDS, tenant_key(tenant, pool), value, record_headers(COMMANDS, event_id, tenant))

    def _result(self, tenant: str, result: fx.Result, outbox: Outbox) -> None:
        if result.reply_to is not None:
            outbox.send(
                FEED,
                result.command_id.encode() or b"-",
                write_result(result, self._feed_time),
                record_headers(FEED, derive("result", tenant, result.command_id), tenant),
                result.reply_to.partition,
            )

    def _write(self, outbox: Outbox, *, taken_over: bool = False) -> None:
        looked, changed = bool(self._touched), taken_over or self._returned
        for tenant, pool in self._touched:
            engine = self.engines[tenant, pool]
            for (kind, name), value in changes(engine, self._now):
                changed = True
                key = codec.entity_key(tenant, pool, kind, name)
                if value is None:
                    outbox.delete(key)
                    if kind == "i":
                        self._writers[tenant, pool].attributes.forget(name)
                else:
                    outbox.put(key, codec.encode(value))
        self._touched.clear()
        tally, self._tally = self._tally, Tally()
        if tally.counts or tally.seconds:
            outbox.after_commit(partial(self._metrics.add, tally))
        # Changes by time alone are journaled too: a replay must forget and expire at the same clock.
        if self._first is None and not self._count and not changed:
            if looked:
                self._idle.append((self._now, self._until))
            return
        journal = pb.JournalRecord(
            shard=self._context.partition,
            lane_epoch=self._context.epoch,
            now_ms=self._now,
            first_offset=self._next if self._first is None else self._first,
            next_offset=self._next,
            effects_sha256=outbox.digest(),
            effects=self._count,
            idle_ms=[now for now, _ in self._idle],
            idle_until_ms=[until for _, until in self._idle] if any(now != until for now, until in self._idle) else (),
            until_ms=self._until if self._until != self._now else 0,
            returned=self._returned,
        )
        self._idle.clear()
        self._returned = False
        shard = self._context.partition
        headers = record_headers(JOURNAL, derive("journal", str(shard), str(journal.lane_epoch), str(self._now)), "")
        outbox.send(JOURNAL, str(shard).encode(), journal.SerializeToString(), headers, shard)
