"""The configuration of one pool's engine from a tenant's configuration.

Each queue, agent and capacity profile is converted by itself, so that lint reports all that cannot be used. The router refuses a
configuration with such a part, and the pool keeps its present one.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from itertools import pairwise
from typing import Final, TypeVar

from chapar.config.v1 import config_pb2
from services.policy.findings import Findings
from services.policy.model import interning
from services.policy.model.routing import (
    ASK_AGAIN_MS,
    GRACE_MS,
    LEASE_MS,
    OCCUPANCY_WINDOW_MS,
    OFFER_MS,
    SERVICE_LEVEL_GOAL,
    SERVICE_LEVEL_MS,
    TRANSFER_HOLD_MS,
    AgentProfile,
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
from services.policy.reading.numbers import count, duration, finite, positive, share
from services.policy.reading.selectors import to_selectors

DEFAULT_POOL: Final = "default"
MOST_OFFERS: Final = 10
LONGEST_WINDOW_MS: Final = 60_000
_TIMED: Final = (Trigger.WAIT, Trigger.ESTIMATE)
E = TypeVar("E", bound=IntEnum)
P = TypeVar("P")
T = TypeVar("T")


def to_pool(config: config_pb2.TenantConfiguration, pool: str) -> PoolConfig:
    """Return the part of a tenant's configuration that applies to one pool. Raises ConfigurationRefused."""
    findings = Findings()
    made = read_pool(config, pool, findings)
    findings.refuse_errors()
    return made


def read_pool(config: config_pb2.TenantConfiguration, pool: str, findings: Findings) -> PoolConfig:
    """Return the part of a tenant's configuration that applies to one pool. What cannot be used is reported and left out."""

    def converted(
        field: str, parts: Iterable[P], convert: Callable[[P], T], *, everywhere: bool = False
    ) -> tuple[T, ...]:
        found: list[T] = []
        for index, part in enumerate(parts):
            if not everywhere and (getattr(part, "pool", "") or DEFAULT_POOL) != pool:
                continue
            try:
                found.append(convert(part))
            except ValueError as error:
                findings.find("ROUTING", str(error), field, index)
        return tuple(found)

    leases = converted("pools", config.pools, lambda own: _leases(own, pool), everywhere=True)
    lease_ms, grace_ms = next((lease for lease in leases if lease is not None), (LEASE_MS, GRACE_MS))
    return PoolConfig(
        config.version,
        lease_ms,
        grace_ms,
        converted("queues", config.queues, lambda queue: _queue(queue, config.sla_policies)),
        converted("agents", config.agents, to_profile),
        converted("capacity_profiles", config.capacity_profiles, _capacity, everywhere=True),
        tuple((q.name, q.pool or DEFAULT_POOL) for q in config.queues if (q.pool or DEFAULT_POOL) != pool),
    )


def _leases(own: config_pb2.Pool, pool: str) -> tuple[int, int] | None:
    """Return lease and grace of a pool; None for another pool."""
    if (own.name or DEFAULT_POOL) != pool:
        return None
    return (
        duration(own.session_lease_ms, "session_lease") or LEASE_MS,
        duration(own.assignment_grace_ms, "assignment_grace") or GRACE_MS,
    )


def to_profile(agent: config_pb2.AgentProfile) -> AgentProfile:
    """Return an agent as configured."""
    what = f"agent {agent.agent_id}"
    return AgentProfile(
        agent.agent_id,
        agent.display_name,
        interning.whole(
            tuple(
                sorted(
                    interning.whole((interning.name(name), finite(level, f"{what}: skill {name}")))
                    for name, level in agent.skills.items()
                )
            )
        ),
        interning.name(agent.capacity_profile),
        interning.whole(tuple(sorted(interning.name(queue) for queue in agent.queues))),
        interning.name(agent.team),
    )


def _queue(q: config_pb2.Queue, policies: Iterable[config_pb2.SlaPolicy]) -> QueueConfig:
    what = f"queue {q.name}"
    rings = tuple(to_ring(ring, what) for ring in q.rings)
    if any(later.after_ms < earlier.after_ms for earlier, later in pairwise(rings)):
        raise ValueError(f"{what}: rings must follow each other in time")
    if q.warn_silent_after_ms and not q.warn_silent_after_ms < q.close_silent_after_ms:
        raise ValueError(f"{what}: warn_silent_after is not less than close_silent_after")
    return QueueConfig(
        name=q.name,
        priority=q.priority,
        requirements=to_selectors(q.requirements),
        choice=_known(Choice, q.choice, what) or Choice.LONGEST_IDLE,
        offer_ms=duration(q.offer_timeout_ms, what) or OFFER_MS,
        wrap_up_ms=duration(q.wrap_up_ms, what),
        sticky_ms=duration(q.sticky_ms, what),
        ageing_per_minute=positive(q.ageing_per_minute, f"{what}: ageing_per_minute"),
        service_level_ms=duration(q.service_level_ms, what) or SERVICE_LEVEL_MS,
        order=_known(Order, q.order, what) or Order.ARRIVAL,
        pick_up_targets=tuple(_pick_up_targets(q.name, policies)),
        service_level_goal=share(q.service_level_goal, f"{what}: service_level_goal") or SERVICE_LEVEL_GOAL,
        delay_ms=duration(q.delay_ms, what),
        max_offers=count(q.max_offers, f"{what}: max_offers", MOST_OFFERS) or 1,
        keep_free=count(q.keep_free, f"{what}: keep_free"),
        sticky_team_ms=duration(q.sticky_team_ms, what),
        transfer_hold_ms=duration(q.transfer_hold_ms, what) or TRANSFER_HOLD_MS,
        rings=rings,
        overflow=tuple(_overflow(rule, what) for rule in q.overflow),
        match_window_ms=count(q.match_window_ms, f"{what}: match_window", LONGEST_WINDOW_MS),
        disposition_required=q.disposition_required,
        disposition_channels=tuple(q.disposition_channels),
        ask_again_ms=duration(q.ask_again_ms, what) or ASK_AGAIN_MS,
        prefer_rings=q.prefer_rings,
        warn_silent_ms=duration(q.warn_silent_after_ms, what),
        close_silent_ms=duration(q.close_silent_after_ms, what),
    )


def to_ring(ring: config_pb2.Ring, what: str) -> Ring:
    """Return a ring. Raises ValueError for a number that cannot be used; `what` names its queue."""
    lower = tuple(sorted((name, finite(number, f"{what}: lower {name}")) for name, number in ring.lower.items()))
    return Ring(duration(ring.after_ms, what), tuple(ring.drop), lower, tuple(ring.queues))


def _overflow(rule: config_pb2.OverflowRule, what: str) -> OverflowRule:
    what = f"{what}, overflow {rule.name}"
    trigger = _known(Trigger, rule.when, what)
    if trigger is Trigger.UNSPECIFIED or not rule.name:
        raise ValueError(f"{what}: needs a name and a trigger")
    if trigger in _TIMED:
        threshold = float(duration(rule.threshold_ms, what))
    elif trigger is Trigger.NO_AGENTS:
        threshold = 0.0
    elif trigger is Trigger.SERVICE_LEVEL:
        threshold = share(rule.threshold, f"{what}: threshold")
    else:
        threshold = positive(rule.threshold, f"{what}: threshold")
    return OverflowRule(
        name=rule.name,
        trigger=trigger,
        threshold=threshold,
        queue=rule.queue,
        set_priority=rule.set_priority if rule.HasField("set_priority") else None,
        add_priority=rule.add_priority,
        requirements=to_selectors(rule.requirements),
        replace_requirements=rule.replace_requirements,
        cancel=rule.cancel,
        unknown_too=rule.unknown_too,
        waits_for_offer=rule.waits_for_offer,
    )


def _pick_up_targets(queue: str, policies: Iterable[config_pb2.SlaPolicy]) -> Iterator[PickUpTarget]:
    """Yield the pick-up targets for a queue. As in the SLA service, the first policy that matches applies.

    A policy without a pick-up target hides those after it, with 0. A policy with conditions on more than queue, channel and tier is ignored
    here: where it orders queues, the SLA service sends the deadline.
    """
    for policy in policies:
        if policy.queues and queue not in policy.queues:
            continue
        if (
            policy.when
            or policy.languages
            or policy.HasField("priority_at_least")
            or policy.HasField("priority_at_most")
        ):
            continue
        target_ms = 0
        for target in policy.targets:
            if target.kind == config_pb2.TARGET_KIND_PICK_UP:
                # A policy that gives one level means both, as in the SLA service.
                target_ms = duration(target.desired_ms or target.adequate_ms, f"SLA policy {policy.name}: pick-up")
                break
        yield PickUpTarget(target_ms, tuple(policy.channels), tuple(policy.tiers))


def _capacity(profile: config_pb2.CapacityProfile) -> CapacityProfile:
    what = f"capacity profile {profile.name}"
    if profile.occupancy_limit != 0 and not 0 < profile.occupancy_limit < 1:
        raise ValueError(f"{what}: occupancy_limit is {profile.occupancy_limit}: not between 0 and 1")
    channels = (
        ChannelCapacity(
            channel.channel,
            count(channel.weight, f"{what}: weight of {channel.channel}"),
            count(channel.maximum, f"{what}: maximum of {channel.channel}"),
            channel.exclusive,
            tuple(channel.interrupts),
            tuple(channel.excludes),
            _awaited_weight(channel, what),
        )
        for channel in profile.channels
    )
    return CapacityProfile(
        profile.name,
        count(profile.total, f"{what}: total"),
        tuple(channels),
        count(profile.default_weight, f"{what}: default_weight"),
        profile.occupancy_limit,
        duration(profile.occupancy_window_ms, what) or OCCUPANCY_WINDOW_MS,
    )


def _awaited_weight(channel: config_pb2.ChannelCapacity, what: str) -> int | None:
    if not channel.HasField("weight_while_customer_awaited"):
        return None
    weight = channel.weight_while_customer_awaited
    if not 0 <= weight <= channel.weight:
        raise ValueError(
            f"{what}: weight_while_customer_awaited of {channel.channel} is {weight}: not from 0 to {channel.weight}"
        )
    return weight


def _known(kind: type[E], number: int, what: str) -> E:
    try:
        return kind(number)
    except ValueError as error:
        raise ValueError(f"{what}: {kind.__name__} {number} is not known") from error
