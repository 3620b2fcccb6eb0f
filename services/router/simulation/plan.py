"""Prepare a scenario and a policy for a run: the pool's configuration with its agents, their shifts, and the attributes of interactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from services.policy.model.routing import (
    AgentProfile,
    CapacityProfile,
    Choice,
    Operator,
    PoolConfig,
    QueueConfig,
    Selector,
)
from services.router.domain.model import InteractionAttributes
from services.router.simulation import scenario as sc
from services.router.simulation.distributions import LONGEST_MS
from services.router.simulation.reading import Problem, ScenarioError
from services.router.simulation.recorded import Recording, to_selector, to_selectors

FOREVER: Final = float("inf")
_BEST: Final = 10
"""Proficiency for the type that a group prefers most; levels run from 1 to 10."""


@dataclass(frozen=True, slots=True)
class InteractionKind:
    """Interactions that look the same to the engine; several kinds can be of one type when they come from a file."""

    type_index: int
    attributes: InteractionAttributes
    """Attributes without ids, `person_id` and `arrived_at_ms`, which each interaction adds."""


@dataclass(frozen=True, slots=True)
class SimulatedAgent:
    """One agent. `shifts` are (start, end) in ms, disjoint and in order; the last may have no end."""

    agent_id: str
    group: int
    shifts: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Threshold:
    """How the service level of a type is measured, ms."""

    within: float
    short: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is the same in all replications."""

    scenario: sc.Scenario
    config: PoolConfig
    types: tuple[str, ...]
    thresholds: tuple[Threshold, ...]
    kinds: tuple[InteractionKind, ...]
    groups: tuple[str, ...]
    desks: tuple[SimulatedAgent, ...]
    recording: Recording | None = None


def make(
    scenario: sc.Scenario,
    policy: PoolConfig | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    recording: Recording | None = None,
) -> Plan:
    """Prepare a plan. Raises ScenarioError when parts of the scenario contradict each other.

    `sizes` sets groups' peaks; their profile over the day keeps its shape. The size of `GROUP/2` is that of the group's second shift.
    """
    groups = {name: _with_sizes(name, group, sizes or {}) for name, group in scenario.groups.items()}
    liked = any(group.prefers for group in groups.values())
    types = list(scenario.types)
    types += [name for name in (recording.types if recording is not None else ()) if name not in scenario.types]
    if policy is None:
        names = {kind.queue or name for name, kind in scenario.types.items()}
        names |= {looks.queue for looks in recording.looks if looks.queue} if recording is not None else set()
        names |= set(types) - set(scenario.types)
        choice = Choice.SKILL_SCORE if liked else Choice.LONGEST_IDLE
        policy = PoolConfig(1, queues=tuple(QueueConfig(name, choice=choice) for name in sorted(names)))
    if groups:
        agents, profiles, desks = _staff(scenario, policy, groups)
    else:
        agents, profiles = policy.agents, policy.profiles
        desks = tuple(SimulatedAgent(agent.agent_id, number, ((0.0, FOREVER),)) for number, agent in enumerate(agents))
    if not desks and not groups:
        raise ScenarioError(Problem("the scenario", 1, "has no agents: neither `groups` nor agents in the policy"))
    names_of_groups = tuple(groups) if groups else ()
    if not groups:
        names_of_groups, desks = _alike(agents)
    return Plan(
        scenario,
        # Simulated desks do not lose their connection, so no lease has to be renewed.
        replace(policy, agents=agents, profiles=profiles, lease_ms=2 * LONGEST_MS),
        tuple(types),
        tuple(_threshold(scenario.types.get(name), name, policy) for name in types),
        _kinds(scenario, policy, types, recording, liked=liked),
        names_of_groups,
        desks,
        recording,
    )


def _with_sizes(name: str, group: sc.Group, sizes: Mapping[str, int]) -> sc.Group:
    if group.shifts is None or name in sizes:
        return sized(group, sizes.get(name))
    shifts = [
        shift.model_copy(update={"agents": sizes.get(shift_name(name, place), shift.agents)})
        for place, shift in enumerate(group.shifts)
    ]
    return group.model_copy(update={"shifts": shifts})


def shift_name(group: str, place: int) -> str:
    """Return the name under which a shift of a group has a size of its own; names of groups have no slash."""
    return f"{group}/{place + 1}"


def sized(group: sc.Group, size: int | None) -> sc.Group:
    """Scale a group's profile over the day to another peak. Numbers are rounded up, so that rounding removes no planned agent."""
    before = sc.peak(group)
    if size is None or size == before:
        return group

    def scaled(agents: int) -> int:
        return -(-agents * size // before) if before else size

    if group.shifts is not None:
        return group.model_copy(
            update={"shifts": [shift.model_copy(update={"agents": scaled(shift.agents)}) for shift in group.shifts]}
        )
    if isinstance(group.agents, int):
        return group.model_copy(update={"agents": size})
    return group.model_copy(update={"agents": [scaled(agents) for agents in group.agents or []]})


def _staff(
    scenario: sc.Scenario, policy: PoolConfig, groups: Mapping[str, sc.Group]
) -> tuple[tuple[AgentProfile, ...], tuple[CapacityProfile, ...], tuple[SimulatedAgent, ...]]:
    agents: list[AgentProfile] = []
    desks: list[SimulatedAgent] = []
    profiles = {profile.name: profile for profile in policy.profiles}
    own: dict[str, CapacityProfile] = {}
    for number, (name, group) in enumerate(groups.items()):
        profile = group.capacity_profile
        if profile and profile not in profiles:
            known = ", ".join(profiles) or "none"
            raise ScenarioError(
                Problem(f"group {name}", 1, f"`{profile}` is not a capacity profile; there are {known}")
            )
        if group.capacity is not None or not (profile or profiles):
            profile = f"{name} (scenario)"
            own[profile] = CapacityProfile(profile, total=group.capacity or 1)
        skills = {**group.skills, **_liking(scenario, group)}
        for queue in group.queues:
            if queue not in policy.by_name:
                known = ", ".join(policy.by_name)
                raise ScenarioError(Problem(f"group {name}", 1, f"`{queue}` is not a queue; there are {known}"))
        for member, shifts in enumerate(_shifts(group, scenario)):
            agent_id = f"{name}-{member + 1:04d}"
            agents.append(
                AgentProfile(
                    agent_id,
                    skills=tuple(sorted(skills.items())),
                    capacity_profile=profile,
                    queues=tuple(sorted(group.queues)),
                    team=group.team,
                )
            )
            desks.append(SimulatedAgent(agent_id, number, shifts))
    return tuple(agents), (*policy.profiles, *own.values()), tuple(desks)


def _liking(scenario: sc.Scenario, group: sc.Group) -> dict[str, float]:
    """Return preferences as proficiencies, which a queue that chooses by skill score uses."""
    if not any(other.prefers for other in scenario.groups.values()):
        return {}
    liked = group.prefers or list(scenario.types)
    step = (_BEST - 1) / max(1, len(liked) - 1)
    return {_skill(name): _BEST - place * step if group.prefers else 1.0 for place, name in enumerate(liked)}


def _skill(type_name: str) -> str:
    return f"type/{type_name}"


def _shifts(group: sc.Group, scenario: sc.Scenario) -> list[tuple[tuple[float, float], ...]]:
    """Return the shifts of each member.

    For numbers of agents, the k-th works whenever more than k are needed, so the first have the longest days.
    """
    end = scenario.duration
    if group.shifts is not None:
        return [
            ((shift.start, shift.end if shift.end < end else FOREVER),)
            for shift in group.shifts
            for _ in range(shift.agents)
            if shift.start < end
        ]
    if isinstance(group.agents, int):
        return [((0.0, FOREVER),)] * group.agents
    wanted = group.agents or []
    periods = int(-(-end // scenario.period))
    found: list[tuple[tuple[float, float], ...]] = []
    for member in range(max(wanted)):
        runs: list[tuple[float, float]] = []
        began: float | None = None
        for period in range(periods + 1):
            on = period < periods and wanted[period % len(wanted)] > member
            if on and began is None:
                began = period * scenario.period
            elif not on and began is not None:
                runs.append((began, period * scenario.period if period < periods else FOREVER))
                began = None
        found.append(tuple(runs))
    return [runs for runs in found if runs]


def _alike(agents: Sequence[AgentProfile]) -> tuple[tuple[str, ...], tuple[SimulatedAgent, ...]]:
    """Return the policy's own agents, on duty all the time; agents with the same profile are a group."""
    members: dict[tuple[object, ...], list[str]] = {}
    for agent in agents:
        members.setdefault((agent.skills, agent.queues, agent.capacity_profile), []).append(agent.agent_id)
    names = tuple(ids[0] if len(ids) == 1 else f"{ids[0]} and {len(ids) - 1} alike" for ids in members.values())
    always = ((0.0, FOREVER),)
    return names, tuple(
        SimulatedAgent(one, number, always) for number, ids in enumerate(members.values()) for one in ids
    )


def _threshold(kind: sc.InteractionType | None, name: str, policy: PoolConfig) -> Threshold:
    queue = policy.by_name.get((kind.queue if kind is not None else "") or name)
    within = kind.service_level if kind is not None else None
    if within is None:
        within = float(queue.service_level_ms if queue is not None else QueueConfig("").service_level_ms)
    short = kind.short_abandon if kind is not None else None
    return Threshold(within, within if short is None else short)


def _kinds(
    scenario: sc.Scenario, policy: PoolConfig, types: Sequence[str], recording: Recording | None, *, liked: bool
) -> tuple[InteractionKind, ...]:
    """Return one kind for each type, in order; then one for each different interaction of the recording, in order."""
    made = [_kind(policy, types, name, scenario.types.get(name), liked=liked) for name in types]
    for looks in recording.looks if recording is not None else ():
        base = made[types.index(looks.type)]
        given: dict[str, Any] = {
            field: value
            for field, value in (
                ("queue", looks.queue),
                ("channel", looks.channel),
                ("language", looks.language),
                ("labels", looks.labels),
                ("priority", looks.priority),
            )
            if value not in ("", (), None)
        }
        if looks.requirements:
            given["requirements"] = base.attributes.requirements + to_selectors(looks.requirements)
        _known(policy, looks.type, given.get("queue", base.attributes.queue))
        made.append(InteractionKind(base.type_index, replace(base.attributes, **given)))
    return tuple(made)


def _kind(
    policy: PoolConfig, types: Sequence[str], name: str, kind: sc.InteractionType | None, *, liked: bool
) -> InteractionKind:
    needs = tuple(to_selector(one) for one in kind.requirements) if kind is not None else ()
    if liked:
        needs = (*needs, Selector(_skill(name), Operator.AT_LEAST, 1.0))
    queue = (kind.queue if kind is not None else "") or name
    if kind is not None:
        _known(policy, name, queue)
    attributes = InteractionAttributes(
        "",
        "",
        channel=kind.channel if kind is not None else "voice",
        language=kind.language if kind is not None else "",
        queue=queue,
        priority=kind.priority if kind is not None else 0,
        requirements=needs,
        labels=tuple(sorted(kind.labels.items())) if kind is not None else (),
    )
    return InteractionKind(types.index(name), attributes)


def _known(policy: PoolConfig, name: str, queue: object) -> None:
    if queue not in policy.by_name:
        raise ScenarioError(
            Problem(f"type {name}", 1, f"`{queue}` is not a queue of the policy; there are {', '.join(policy.by_name)}")
        )
