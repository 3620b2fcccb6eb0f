"""Checks requirements that make no sense, and relaxations that never make another agent eligible."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from services.chassis.durations import duration
from services.policy.findings import Path
from services.policy.lint.requirements import (
    describe,
    is_group,
    is_lowerable,
    members,
    met_by_all,
    selectors,
    team_of,
)
from services.policy.lint.review import Review
from services.policy.reading.selectors import DEEPEST

_RAISABLE = (types_pb2.SELECTOR_OPERATOR_LESS, types_pb2.SELECTOR_OPERATOR_AT_MOST)


def requirements(review: Review) -> None:
    """Check for requirements that compare nothing, groups nested too deeply, and times that have no effect."""
    for selector, _, path in selectors(review.configuration):
        _form(review, selector, path)
        for member, where, depth in members(selector, path):
            _form(review, member, where)
            _rising(review, member, where)
            if depth == DEEPEST and is_group(member):
                review.find("TOO_DEEP", f"groups may have at most {DEEPEST} levels; nest this one less deeply", *where)
            if member.expires_after_ms or member.steps:
                message = f"times inside a group have no effect; give the group an `expires_after`, or take {describe(member)} out of it"
                review.find("TIME_IN_GROUP", message, *where, severity="warning")


def relaxation(review: Review) -> None:
    """Check for steps, expiry times and rings that have no effect."""
    c = review.configuration
    for selector, queue, path in selectors(c):
        for message in _steps(review, selector, path):
            _never(review, message, *path, "steps")
        if queue is None or not (selector.expires_after_ms or selector.steps):
            continue
        team = team_of(c, queue)
        if team and met_by_all(selector, team):
            message = f"every agent who serves `{queue.name}` meets {describe(selector)} anyway: remove its times, or ask for more"
            _never(review, message, *path)
    for i, queue in enumerate(c.queues):
        _rings(review, queue, i)


def _form(review: Review, selector: types_pb2.Selector, path: Path) -> None:
    if sum((bool(selector.attribute), bool(selector.any_of), bool(selector.all_of))) != 1:
        message = "a requirement needs exactly one of `attribute`, `any_of` and `all_of`"
        review.find("BAD_REQUIREMENT", message, *path)
    elif selector.operator == types_pb2.SELECTOR_OPERATOR_IN and not selector.texts:
        review.find(
            "BAD_REQUIREMENT", f"`{selector.attribute}` in an empty list never matches: give `texts: [...]`", *path
        )


def _rising(review: Review, selector: types_pb2.Selector, path: Path) -> bool:
    times = (0, *(step.after_ms for step in selector.steps))
    if any(later <= earlier for earlier, later in pairwise(times)):
        review.find("STEPS_OUT_OF_ORDER", "each step needs an `after` later than the step before it", *path, "steps")
        return False
    return True


def _steps(review: Review, selector: types_pb2.Selector, path: Path) -> Iterator[str]:
    steps = selector.steps
    if not steps or not _rising(review, selector, path):
        return
    raisable = not is_group(selector) and not selector.text and selector.operator in _RAISABLE
    if not is_lowerable(selector) and not raisable:
        yield f"steps change nothing about {describe(selector)}: only comparisons with a number can be relaxed; use `expires_after`"
        return
    numbers = (selector.number, *(step.number for step in steps))
    for (before, after), step in zip(pairwise(numbers), steps, strict=True):
        if (after >= before) if not raisable else (after <= before):
            easier = "a higher" if raisable else "a lower"
            yield f"{describe(selector)} does not get easier after {duration(step.after_ms)}: give {easier} number than {before:g}"
        if selector.expires_after_ms and step.after_ms >= selector.expires_after_ms:
            yield f"{describe(selector)} expires before its step after {duration(step.after_ms)}"


def _rings(review: Review, queue: config_pb2.Queue, i: int) -> None:
    c = review.configuration
    asked = [s for s, where, _ in selectors(c) if where is not None and where.name == queue.name]
    known = _Widened(c, queue, asked)
    last = 0
    for j, ring in enumerate(queue.rings):
        here = ("queues", i, "rings", j)
        if ring.after_ms < last:
            message = f"the ring after {duration(ring.after_ms)} follows the ring after {duration(last)}: sort them by `after`"
            review.find("RINGS_OUT_OF_ORDER", message, *here)
        last = max(last, ring.after_ms)
        if not ring.after_ms:
            message = "this ring applies from the beginning: give it an `after`, or write it into the queue"
            review.find("RING_AT_ONCE", message, *here, severity="warning")
        if not (ring.drop or ring.lower or ring.queues):
            _never(review, "this ring widens nothing: give it `drop`, `lower` or `queues`", *here)
        for message in known.useless(ring):
            _never(review, f"the ring after {duration(ring.after_ms)} {message}", *here)


class _Widened:
    """The relaxations of the rings so far."""

    def __init__(
        self, c: config_pb2.TenantConfiguration, queue: config_pb2.Queue, asked: list[types_pb2.Selector]
    ) -> None:
        self._c = c
        self._queue = queue
        every = [one for s in asked for one in (s, *(member for member, _, _ in members(s, ())))]
        self._asked = {s.attribute for s in every}
        self._numbers: dict[str, float] = {}
        for s in every:
            if is_lowerable(s):
                self._numbers[s.attribute] = max(s.number, self._numbers.get(s.attribute, s.number))
        self._dropped: set[str] = set()
        self._queues = {queue.name}

    def useless(self, ring: config_pb2.Ring) -> Iterator[str]:
        """Yield the parts of a ring that have no effect, with the reason."""
        for name in ring.drop:
            if name in self._dropped:
                yield f"drops `{name}` again"
            elif name not in self._asked:
                yield f"drops `{name}`, which nothing in queue `{self._queue.name}` asks for"
            self._dropped.add(name)
        for name, number in sorted(ring.lower.items()):
            asked = self._numbers.get(name)
            if name in self._dropped:
                yield f"lowers `{name}`, which is dropped by then"
            elif asked is None:
                yield f"lowers `{name}`, for which nothing in queue `{self._queue.name}` asks for a minimum"
            elif number >= asked:
                yield f"lowers `{name}` to {number:g}, but the minimum is {asked:g} by then: give a lower number"
            else:
                self._numbers[name] = number
        for name in ring.queues:
            if name in self._queues:
                yield f"adds queue `{name}`, whose agents are already eligible"
            elif self._adds_nobody(name):
                yield f"adds queue `{name}`, but all its agents also serve `{self._queue.name}`"
            self._queues.add(name)

    def _adds_nobody(self, name: str) -> bool:
        other = next((q for q in self._c.queues if q.name == name), None)
        if other is None or not self._c.agents:
            return False
        own = {agent.agent_id for agent in team_of(self._c, self._queue)}
        return {agent.agent_id for agent in team_of(self._c, other)} <= own


def _never(review: Review, message: str, *path: str | int) -> None:
    review.find("NEVER_WIDENS", message, *path, severity="warning")
