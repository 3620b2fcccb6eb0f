"""Convert a pool's configuration to an entry of the changelog, and back."""

from services.policy.model.routing import (
    CapacityProfile,
    ChannelCapacity,
    OverflowRule,
    PickUpTarget,
    PoolConfig,
    QueueConfig,
    Ring,
)
from services.router.domain.changelog.selectors import dump_selectors, load_selectors
from services.router.domain.entries import (
    CapacityEntry,
    ChannelEntry,
    ConfigurationEntry,
    OverflowRuleEntry,
    PickUpTargetEntry,
    QueueEntry,
    RingEntry,
)


def dump_config(config: PoolConfig) -> ConfigurationEntry:
    """Return the entry of a configuration, without its agents: they are entities of their own."""
    return ConfigurationEntry(
        version=config.version,
        lease_ms=config.lease_ms,
        grace_ms=config.grace_ms,
        queues=tuple(_dump_queue(queue) for queue in config.queues),
        profiles=tuple(_dump_profile(profile) for profile in config.profiles),
        elsewhere=config.elsewhere,
    )


def load_config(entry: ConfigurationEntry) -> PoolConfig:
    """Return the configuration of an entry."""
    return PoolConfig(
        version=entry.version,
        lease_ms=entry.lease_ms,
        grace_ms=entry.grace_ms,
        queues=tuple(_load_queue(queue) for queue in entry.queues),
        profiles=tuple(_load_profile(profile) for profile in entry.profiles),
        elsewhere=entry.elsewhere,
    )


def _dump_profile(profile: CapacityProfile) -> CapacityEntry:
    return CapacityEntry(
        name=profile.name,
        total=profile.total,
        channels=tuple(
            ChannelEntry(c.channel, c.weight, c.maximum, c.exclusive, c.interrupts, c.excludes, c.awaited_weight)
            for c in profile.channels
        ),
        default_weight=profile.default_weight,
        occupancy_limit=profile.occupancy_limit,
        occupancy_window_ms=profile.occupancy_window_ms,
    )


def _load_profile(entry: CapacityEntry) -> CapacityProfile:
    return CapacityProfile(
        name=entry.name,
        total=entry.total,
        channels=tuple(
            ChannelCapacity(c.channel, c.weight, c.maximum, c.exclusive, c.interrupts, c.excludes, c.awaited_weight)
            for c in entry.channels
        ),
        default_weight=entry.default_weight,
        occupancy_limit=entry.occupancy_limit,
        occupancy_window_ms=entry.occupancy_window_ms,
    )


def _dump_queue(queue: QueueConfig) -> QueueEntry:
    return QueueEntry(
        name=queue.name,
        priority=queue.priority,
        requirements=dump_selectors(queue.requirements),
        choice=queue.choice,
        offer_ms=queue.offer_ms,
        wrap_up_ms=queue.wrap_up_ms,
        sticky_ms=queue.sticky_ms,
        ageing_per_minute=queue.ageing_per_minute,
        service_level_ms=queue.service_level_ms,
        order=queue.order,
        pick_up_targets=tuple(
            PickUpTargetEntry(target.target_ms, target.channels, target.tiers) for target in queue.pick_up_targets
        ),
        service_level_goal=queue.service_level_goal,
        delay_ms=queue.delay_ms,
        max_offers=queue.max_offers,
        keep_free=queue.keep_free,
        sticky_team_ms=queue.sticky_team_ms,
        transfer_hold_ms=queue.transfer_hold_ms,
        rings=tuple(RingEntry(ring.after_ms, ring.drop, ring.lower, ring.queues) for ring in queue.rings),
        overflow=tuple(_dump_rule(rule) for rule in queue.overflow),
        match_window_ms=queue.match_window_ms,
        disposition_required=queue.disposition_required,
        disposition_channels=queue.disposition_channels,
        ask_again_ms=queue.ask_again_ms,
        prefer_rings=queue.prefer_rings,
        warn_silent_ms=queue.warn_silent_ms,
        close_silent_ms=queue.close_silent_ms,
    )


def _load_queue(entry: QueueEntry) -> QueueConfig:
    return QueueConfig(
        name=entry.name,
        priority=entry.priority,
        requirements=load_selectors(entry.requirements),
        choice=entry.choice,
        offer_ms=entry.offer_ms,
        wrap_up_ms=entry.wrap_up_ms,
        sticky_ms=entry.sticky_ms,
        ageing_per_minute=entry.ageing_per_minute,
        service_level_ms=entry.service_level_ms,
        order=entry.order,
        pick_up_targets=tuple(
            PickUpTarget(target.target_ms, target.channels, target.tiers) for target in entry.pick_up_targets
        ),
        service_level_goal=entry.service_level_goal,
        delay_ms=entry.delay_ms,
        max_offers=entry.max_offers,
        keep_free=entry.keep_free,
        sticky_team_ms=entry.sticky_team_ms,
        transfer_hold_ms=entry.transfer_hold_ms,
        rings=tuple(Ring(ring.after_ms, ring.drop, ring.lower, ring.queues) for ring in entry.rings),
        overflow=tuple(_load_rule(rule) for rule in entry.overflow),
        match_window_ms=entry.match_window_ms,
        disposition_required=entry.disposition_required,
        disposition_channels=entry.disposition_channels,
        ask_again_ms=entry.ask_again_ms,
        prefer_rings=entry.prefer_rings,
        warn_silent_ms=entry.warn_silent_ms,
        close_silent_ms=entry.close_silent_ms,
    )


def _dump_rule(rule: OverflowRule) -> OverflowRuleEntry:
    return OverflowRuleEntry(
        name=rule.name,
        trigger=rule.trigger,
        threshold=rule.threshold,
        queue=rule.queue,
        set_priority=rule.set_priority,
        add_priority=rule.add_priority,
        requirements=dump_selectors(rule.requirements),
        replace_requirements=rule.replace_requirements,
        cancel=rule.cancel,
        unknown_too=rule.unknown_too,
        waits_for_offer=rule.waits_for_offer,
    )


def _load_rule(entry: OverflowRuleEntry) -> OverflowRule:
    return OverflowRule(
        name=entry.name,
        trigger=entry.trigger,
        threshold=entry.threshold,
        queue=entry.queue,
        set_priority=entry.set_priority,
        add_priority=entry.add_priority,
        requirements=load_selectors(entry.requirements),
        replace_requirements=entry.replace_requirements,
        cancel=entry.cancel,
        unknown_too=entry.unknown_too,
        waits_for_offer=entry.waits_for_offer,
    )
