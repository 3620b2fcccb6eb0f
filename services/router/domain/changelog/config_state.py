"""Convert a pool's configuration to plain tuples for the changelog, and back. Fields that version 1 did not have are at the end of a tuple."""

from typing import Any

from services.policy.model.routing import (
    CapacityProfile,
    ChannelCapacity,
    Choice,
    Order,
    OverflowRule,
    PickUpTarget,
    PoolConfig,
    QueueConfig,
    Ring,
    Trigger,
)
from services.router.domain.pool.selector_state import dump_selectors, load_selectors


def dump_config(config: PoolConfig) -> Any:
    """Return a configuration as tuples, without its agents: they are entities of their own."""
    return (
        config.version,
        config.lease_ms,
        config.grace_ms,
        tuple(_dump_queue(q) for q in config.queues),
        tuple(
            (
                p.name,
                p.total,
                tuple((c.channel, c.weight, c.maximum, c.exclusive, c.interrupts) for c in p.channels),
                p.default_weight,
                p.occupancy_limit,
                p.occupancy_window_ms,
            )
            for p in config.profiles
        ),
    )


def load_config(raw: Any) -> PoolConfig:
    """Build a configuration from what `dump_config` returned."""
    profiles = tuple(
        CapacityProfile(
            p[0], p[1], tuple(_load_channel(c) for c in p[2]), p[3], *([float(p[4]), p[5]] if p[4:] else [])
        )
        for p in raw[4]
    )
    return PoolConfig(raw[0], raw[1], raw[2], tuple(_load_queue(q) for q in raw[3]), (), profiles)


def _load_channel(raw: Any) -> ChannelCapacity:
    return ChannelCapacity(*raw[:4], *(tuple(channels) for channels in raw[4:]))


def _dump_queue(q: QueueConfig) -> tuple[Any, ...]:
    return (
        q.name,
        q.priority,
        dump_selectors(q.requirements),
        int(q.choice),
        q.offer_ms,
        q.wrap_up_ms,
        q.sticky_ms,
        q.ageing_per_minute,
        q.service_level_ms,
        int(q.order),
        tuple((p.target_ms, p.channels, p.tiers) for p in q.pick_up_targets),
        q.service_level_goal,
        q.delay_ms,
        q.max_offers,
        q.keep_free,
        q.sticky_team_ms,
        q.transfer_hold_ms,
        tuple((r.after_ms, r.drop, r.lower, r.queues) for r in q.rings),
        tuple(
            (
                r.name,
                int(r.trigger),
                r.threshold,
                r.queue,
                r.set_priority,
                r.add_priority,
                dump_selectors(r.requirements),
                r.replace_requirements,
                r.cancel,
            )
            for r in q.overflow
        ),
        q.match_window_ms,
    )


def _load_queue(q: Any) -> QueueConfig:
    values = [q[0], q[1], load_selectors(q[2]), Choice(q[3]), *q[4:7], float(q[7]), q[8]]
    if len(q) > _FIRST_LENGTH:
        pick_up_targets = tuple(PickUpTarget(p[0], tuple(p[1]), tuple(p[2])) for p in q[10])
        rings = tuple(Ring(r[0], tuple(r[1]), tuple((name, float(n)) for name, n in r[2]), tuple(r[3])) for r in q[17])
        overflow = tuple(
            OverflowRule(r[0], Trigger(r[1]), float(r[2]), r[3], r[4], r[5], load_selectors(r[6]), r[7], r[8])
            for r in q[18]
        )
        values += [Order(q[9]), pick_up_targets, float(q[11]), *q[12:17], rings, overflow, *q[19:]]
    return QueueConfig(*values)


_FIRST_LENGTH = 9
