"""Checks queues: unreachable, served by no agent, overflowing in a circle, or with rules that contradict the SLA targets."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from chapar.config.v1 import config_pb2
from services.chassis.durations import duration
from services.policy.findings import Path
from services.policy.lint.requirements import able, ages, demands, pool_of, skills_of, team_of
from services.policy.lint.review import Review
from services.policy.model.eligibility import describe, meets
from services.policy.model.routing import SERVICE_LEVEL_MS
from services.policy.reading.numbers import LONGEST_MS

_LAST: Final = 2**62
_AT_ONCE: Final = (
    config_pb2.OVERFLOW_TRIGGER_LENGTH,
    config_pb2.OVERFLOW_TRIGGER_ESTIMATE,
    config_pb2.OVERFLOW_TRIGGER_SERVICE_LEVEL,
)
"""Triggers that are evaluated when an interaction enters the queue: they fire for some interactions and not for others."""
_TIMED: Final = (config_pb2.OVERFLOW_TRIGGER_WAIT, config_pb2.OVERFLOW_TRIGGER_ESTIMATE)


def reach(review: Review) -> None:
    """Check for queues to which no rule, no overflow, no escalation and no recovery leads."""
    c = review.configuration
    if not c.rules:
        return
    reached: list[str] = []
    always = False
    for rule in c.rules:
        if not always:
            reached.append(rule.queue)
        always = always or not rule.when
    if not always and c.queues:
        reached.append(c.queues[0].name)  # if no rule matches, the first queue takes the interaction
    reached.extend(e.queue for policy in c.sla_policies for target in policy.targets for e in target.escalations)
    reached.extend(recovery.queue for recovery in c.recoveries)
    queues = {queue.name: queue for queue in c.queues}
    for name in reached:  # the list grows during the loop
        if name in queues:
            reached.extend(o.queue for o in queues[name].overflow if not o.cancel and o.queue not in reached)
    for i, queue in enumerate(c.queues):
        if queue.name not in reached:
            message = f"no rule and no overflow leads to queue `{queue.name}`: only transfers and supervisors reach it"
            review.find("UNREACHABLE_QUEUE", message, "queues", i, severity="warning")


def pools(review: Review) -> None:
    """Check for names that refer to another pool: each pool is routed separately."""
    c = review.configuration
    queues = {queue.name: queue for queue in c.queues}

    def same(part: config_pb2.Queue | config_pb2.AgentProfile, what: str, name: str, *path: str | int) -> None:
        other = queues.get(name)
        if other is not None and pool_of(other) != pool_of(part):
            message = f"{what} is in pool `{pool_of(part)}`, queue `{name}` in `{pool_of(other)}`: name a queue of the same pool"
            review.find("OTHER_POOL", message, *path)

    for i, agent in enumerate(c.agents):
        for name in agent.queues:
            same(agent, f"agent `{agent.agent_id}`", name, "agents", i, "queues")
    for i, queue in enumerate(c.queues):
        for j, overflow in enumerate(queue.overflow):
            same(queue, f"queue `{queue.name}`", overflow.queue, "queues", i, "overflow", j, "queue")
        for j, ring in enumerate(queue.rings):
            for name in ring.queues:
                same(queue, f"queue `{queue.name}`", name, "queues", i, "rings", j, "queues")


def staff(review: Review) -> None:
    """Check for interactions that no agent can take, or only after some time; and for `keep_free` as large as the team."""
    c = review.configuration
    if not c.agents:
        return
    hopeless: set[str] = set()
    for demand in demands(c):
        if demand.queue.name in hopeless:
            continue  # reported once, for the queue itself
        times = ages(demand)
        first = next((age for age in times if able(c, demand, age)), None)
        if first is None:
            if demand.path == ("queues", demand.path[1]):
                hopeless.add(demand.queue.name)
            team = team_of(c, demand.queue, _LAST)
            missing = next(
                (describe(s) for s in demand.requirements if not any(meets(s, skills_of(a)) for a in team)), ""
            )
            why = f": no agent has {missing}" if team and missing else ": no agent serves it" if not team else ""
            message = f"no configured agent can ever meet the requirements of {demand.what}{why}; ask for less, relax it, or give an agent the skills"
            review.find("NOBODY_CAN_MEET", message, *demand.path, severity="warning")
        elif first:
            message = f"no agent meets the requirements of {demand.what} before {duration(first)} have passed: ask for less, or relax it sooner"
            review.find("ONLY_AFTER", message, *demand.path, severity="warning")
    for i, queue in enumerate(c.queues):
        team = team_of(c, queue, _LAST)
        if queue.keep_free >= len(team) > 0:
            message = f"`keep_free` of queue `{queue.name}` is {queue.keep_free}, and {len(team)} agents serve it: nothing would ever be offered"
            review.find("KEEPS_ALL_FREE", message, "queues", i, "keep_free", severity="warning")
        _window(review, queue, i)
        _preference(review, queue, i)
        if queue.sticky_team_ms and not any(agent.team for agent in team):
            message = f"queue `{queue.name}` holds interactions for a team, but none of its agents has a `team`"
            review.find("NO_TEAM", message, "queues", i, "sticky_team_ms", severity="warning")


def _window(review: Review, queue: config_pb2.Queue, i: int) -> None:
    """Check for a match window that has no effect."""
    if not queue.match_window_ms:
        return
    lost = ""
    if queue.choice != config_pb2.AGENT_CHOICE_SKILL_SCORE:
        lost = "only `choice: skill_score` matches interactions as a batch"
    elif queue.keep_free:
        lost = "a queue with `keep_free` is not matched as a batch"
    elif queue.prefer_rings:
        lost = "a queue with `prefer_rings` is not matched as a batch"
    if lost:
        message = f"queue `{queue.name}` waits {duration(queue.match_window_ms)} for a batch without effect: {lost}"
        review.find("POINTLESS_WINDOW", message, "queues", i, "match_window_ms", severity="warning")


def _preference(review: Review, queue: config_pb2.Queue, i: int) -> None:
    """Check for a preference among rings in a queue without rings."""
    if queue.prefer_rings and not queue.rings:
        message = f"queue `{queue.name}` prefers agents of earlier rings, but has no `rings`"
        review.find("NO_RINGS", message, "queues", i, "prefer_rings", severity="warning")


def silence(review: Review) -> None:
    """Check for a warning to silent customers that comes too late, or before nothing."""
    for i, queue in enumerate(review.configuration.queues):
        warned, closed = queue.warn_silent_after_ms, queue.close_silent_after_ms
        if warned > 0 and not warned < closed:
            when = f"their interaction is completed after {duration(closed)}" if closed else "nothing follows"
            message = f"queue `{queue.name}` warns silent customers after {duration(warned)}, but {when}"
            review.find("WARNS_TOO_LATE", message, "queues", i, "warn_silent_after_ms")


def overflow(review: Review) -> None:
    """Check for overflow rules that cannot fire, have no effect, or lead in a circle."""
    for i, queue in enumerate(review.configuration.queues):
        names: set[str] = set()
        for j, rule in enumerate(queue.overflow):
            here: Path = ("queues", i, "overflow", j)
            if not rule.name:
                review.find("NAMELESS", f"this overflow rule of queue `{queue.name}` has no name", *here)
            elif rule.name in names:
                review.find("DUPLICATE", f"overflow `{rule.name}` appears twice in queue `{queue.name}`", *here)
            names.add(rule.name)
            _threshold(review, rule, here)
            if rule.waits_for_offer and rule.when != config_pb2.OVERFLOW_TRIGGER_WAIT:
                message = f"overflow `{rule.name}` fires before any offer; `waits_for_offer` has an effect with `when: wait` only"
                review.find("FIRES_BEFORE_OFFERS", message, *here, "waits_for_offer", severity="warning")
            acts = bool(rule.queue or rule.HasField("set_priority") or rule.add_priority or rule.requirements)
            if not (acts or rule.replace_requirements or rule.cancel):
                message = (
                    f"overflow `{rule.name}` changes nothing: give it a queue, a priority, requirements or `cancel`"
                )
                review.find("NO_ACTION", message, *here, severity="warning")
            if rule.cancel and acts:
                message = f"overflow `{rule.name}` cancels: its other fields have no effect"
                review.find("NO_ACTION", message, *here, severity="warning")
    _loops(review)


def _threshold(review: Review, rule: config_pb2.OverflowRule, path: Path) -> None:
    where = (*path, "threshold")
    if rule.unknown_too and rule.when != config_pb2.OVERFLOW_TRIGGER_ESTIMATE:
        message = f"`unknown_too` of overflow `{rule.name}` has no effect: it belongs to `when: estimate`"
        review.find("NO_ACTION", message, *path, "unknown_too", severity="warning")
    if rule.when == config_pb2.OVERFLOW_TRIGGER_UNSPECIFIED:
        message = f"overflow `{rule.name}` needs `when`: length, wait, estimate, service_level, no_agents or agents"
        review.find("NO_TRIGGER", message, *path)
    elif rule.when in _TIMED:
        if not rule.threshold_ms:
            review.find("THRESHOLD", f"overflow `{rule.name}` needs a time such as `threshold: 60s`", *where)
    elif rule.threshold_ms:
        review.find("THRESHOLD", f"`threshold` of overflow `{rule.name}` is a number, not a time", *where)
    elif rule.when == config_pb2.OVERFLOW_TRIGGER_NO_AGENTS:
        if rule.threshold:
            message = (
                f"`threshold` of overflow `{rule.name}` has no effect: use `when: agents` for fewer than that number"
            )
            review.find("THRESHOLD", message, *where)
    elif rule.when == config_pb2.OVERFLOW_TRIGGER_AGENTS and not (rule.threshold >= 1 and rule.threshold.is_integer()):
        message = f"`threshold` of overflow `{rule.name}` is a number of agents: it fires when fewer are at work"
        review.find("THRESHOLD", message, *where)
    elif rule.when == config_pb2.OVERFLOW_TRIGGER_SERVICE_LEVEL and not 0 < rule.threshold <= 1:
        message = f"`threshold` of overflow `{rule.name}` is a share above 0 and up to 1, such as 0.5"
        review.find("THRESHOLD", message, *where)


def _loops(review: Review) -> None:
    c = review.configuration
    edges = {q.name: [o.queue for o in q.overflow if o.queue and not o.cancel] for q in c.queues}
    told: set[frozenset[str]] = set()
    for i, queue in enumerate(c.queues):
        for j, rule in enumerate(queue.overflow):
            if not rule.queue or rule.cancel:
                continue
            way = _way(edges, rule.queue, queue.name)
            if way is None or frozenset(way) in told:
                continue
            told.add(frozenset(way))
            circle = " to ".join((queue.name, *way))
            message = (
                f"overflow `{rule.name}` moves interactions in a circle, {circle}: change or remove one of these rules"
            )
            review.find("OVERFLOW_LOOP", message, "queues", i, "overflow", j, "queue")


def _way(edges: dict[str, list[str]], start: str, goal: str) -> list[str] | None:
    """Return the shortest path along edges, both ends included; None when there is none."""
    ways = [[start]]
    seen = {start}
    for way in ways:  # the list grows during the loop
        if way[-1] == goal:
            return way
        for name in edges.get(way[-1], ()):
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return None


def starvation(review: Review) -> None:
    """Check for interactions that others, with higher priority and the same agents, may overtake for ever."""
    c = review.configuration
    teams = {queue.name: {agent.agent_id for agent in team_of(c, queue, _LAST)} for queue in c.queues}
    for i, queue in enumerate(c.queues):
        if queue.ageing_per_minute:
            continue
        lowest = queue.priority + min(_own_priorities(c, queue, raised_by=()))
        for other in c.queues:
            shares = pool_of(other) == pool_of(queue) and (not c.agents or teams[queue.name] & teams[other.name])
            # An overflow after a wait raises every interaction of the queue in turn, so it starves none of them.
            same = other.name == queue.name
            raised_by = _AT_ONCE if same else (*_AT_ONCE, config_pb2.OVERFLOW_TRIGGER_WAIT)
            more = other.priority + max(_own_priorities(c, other, raised_by)) - lowest
            if not shares or (more <= 0 and not other.ageing_per_minute):
                continue
            urgent = f"is up to {more} more urgent" if more > 0 else "grows more urgent with time"
            who = "another interaction in it" if same else f"`{other.name}`, which shares its agents,"
            message = (
                f"an interaction in queue `{queue.name}` may wait for ever: {who} {urgent}. "
                "Give both `ageing_per_minute`, or equal priorities"
            )
            review.find("MAY_STARVE", message, "queues", i, severity="warning")
            break


def _own_priorities(c: config_pb2.TenantConfiguration, queue: config_pb2.Queue, raised_by: Collection[int]) -> set[int]:
    """Return the possible priorities of a queue's interactions, without the queue's own: those set by the rules that lead there, or 0, and
    those that result from overflow with the triggers in `raised_by`."""
    found = {rule.priority for rule in c.rules if rule.queue == queue.name} or {0}
    for other in c.queues:
        for rule in other.overflow:
            if (rule.queue or other.name) != queue.name or rule.cancel or rule.when not in raised_by:
                continue
            if rule.HasField("set_priority"):
                found.add(rule.set_priority + rule.add_priority)
            elif rule.add_priority:
                found.update({own + rule.add_priority for own in found})
    return found


def pick_up_targets(review: Review) -> None:
    """Check for orders by deadline without a deadline, and for delays that alone breach a target."""
    c = review.configuration
    for i, policy in enumerate(c.sla_policies):
        for j, target in enumerate(policy.targets):
            if target.kind == config_pb2.TARGET_KIND_PICK_UP and (target.desired_ms or target.adequate_ms) > LONGEST_MS:
                message = f"policy `{policy.name}` sets a pick-up target longer than 366 days"
                review.find("OUT_OF_RANGE", message, "sla_policies", i, "targets", j)
    for i, queue in enumerate(c.queues):
        found = sorted(_pick_ups(c, queue))
        if queue.order in (config_pb2.QUEUE_ORDER_DEADLINE, config_pb2.QUEUE_ORDER_ADAPTIVE) and not found:
            message = f"queue `{queue.name}` orders by deadline, but no SLA policy for it has a pick-up target: give one a `pick_up` target"
            review.find("NO_PICK_UP_TARGET", message, "queues", i, "order", severity="warning")
        if found:
            _contradictions(review, queue, i, found)


def _contradictions(review: Review, queue: config_pb2.Queue, i: int, found: list[tuple[int, str]]) -> None:
    shortest, policy = found[0]
    level = queue.service_level_ms or SERVICE_LEVEL_MS
    if level > found[-1][0]:
        which = "" if queue.service_level_ms else " by default"
        message = (
            f"queue `{queue.name}` counts interactions answered within {duration(level)}{which} as in time, "
            f"but the target of `{found[-1][1]}` is {duration(found[-1][0])}: lower `service_level`"
        )
        review.find("SERVICE_LEVEL_ABOVE_TARGET", message, "queues", i, "service_level_ms", severity="warning")
    held = (
        (queue.delay_ms, "DELAY_BREAKS_TARGET", "delay_ms", "`delay`"),
        (queue.match_window_ms, "WINDOW_BREAKS_TARGET", "match_window_ms", "`match_window`"),
        (queue.sticky_ms + queue.sticky_team_ms, "STICKY_BREAKS_TARGET", "sticky_ms", "`sticky` (with `sticky_team`)"),
    )
    for ms, code, key, what in held:
        if ms > shortest:
            message = (
                f"{what} of queue `{queue.name}` is {duration(ms)}, but `{policy}` has a pick-up target of {duration(shortest)}: "
                "shorten it, or name other queues in the policy"
            )
            review.find(code, message, "queues", i, key, severity="warning")


def _pick_ups(c: config_pb2.TenantConfiguration, queue: config_pb2.Queue) -> Iterator[tuple[int, str]]:
    """Yield pick-up target (milliseconds) and policy, for the policies that may apply to this queue."""
    for policy in c.sla_policies:
        if policy.queues and queue.name not in policy.queues:
            continue
        for target in policy.targets:
            desired = target.desired_ms or target.adequate_ms
            if target.kind == config_pb2.TARGET_KIND_PICK_UP and desired > 0:
                yield desired, policy.name
                break
