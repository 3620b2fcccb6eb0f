"""Checks that every name in a configuration refers to something that the configuration defines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from services.policy.findings import Path
from services.policy.lint.requirements import TEAM, members, selectors
from services.policy.lint.review import Review
from services.policy.reading.channels import CHANNELS


def references(review: Review) -> None:
    """Check the names of pools, queues, skills and capacity profiles, wherever the configuration uses them."""
    names = _Names(review)
    _requirements(names)
    for i, queue in enumerate(review.configuration.queues):
        _queue(names, queue, ("queues", i))
    for i, agent in enumerate(review.configuration.agents):
        _agent(names, agent, ("agents", i))
    for i, rule in enumerate(review.configuration.rules):
        _rule(names, rule, ("rules", i))
    for i, policy in enumerate(review.configuration.sla_policies):
        _policy(names, policy, ("sla_policies", i))
    for i, survey in enumerate(review.configuration.surveys):
        names.queues(survey.queues, "surveys", i, "queues")


class _Names:
    """The names that one configuration defines. Each method adds a finding for each name that is not defined; an empty
    name refers to nothing."""

    def __init__(self, review: Review) -> None:
        c = review.configuration
        self.review: Final = review
        self._pools = {p.name for p in c.pools}
        self._queues = {q.name for q in c.queues}
        self._profiles = {p.name for p in c.capacity_profiles}
        # `language=french` is a label; the configuration declares either the label or `language`.
        self._skills = {s.name for s in c.skills} | {s.name.partition("=")[0] for s in c.skills}

    def pool(self, name: str, *path: str | int) -> None:
        self.review.findings.find_unknown("pool", name, self._pools, *path)

    def queue(self, name: str, *path: str | int) -> None:
        self.review.findings.find_unknown("queue", name, self._queues, *path)

    def queues(self, names: Iterable[str], *path: str | int) -> None:
        for name in names:
            self.queue(name, *path)

    def profile(self, name: str, *path: str | int) -> None:
        self.review.findings.find_unknown("capacity profile", name, self._profiles, *path)

    def skill(self, name: str, *path: str | int) -> None:
        if name.partition("=")[0] not in self._skills:
            self.review.findings.find_unknown("skill", name, self._skills, *path)

    def attribute(self, name: str, *path: str | int) -> None:
        """Check the attribute of a requirement: a skill, or the team."""
        if name != TEAM:
            self.skill(name, *path)

    def selector(self, selector: types_pb2.Selector, path: Path) -> None:
        """Check the attributes of a requirement and of each member of its groups. A group has no attribute of its own."""
        self.attribute(selector.attribute, *path, "attribute")
        for member, here, _depth in members(selector, path):
            self.attribute(member.attribute, *here, "attribute")


def _requirements(names: _Names) -> None:
    for selector, _queue, path in selectors(names.review.configuration):
        names.selector(selector, path)


def _queue(names: _Names, queue: config_pb2.Queue, path: Path) -> None:
    names.pool(queue.pool, *path, "pool")
    if not queue.pool:
        names.review.find("NO_POOL", f"queue `{queue.name}` names no pool", *path)
    for j, channel in enumerate(queue.disposition_channels):
        names.review.findings.find_unknown("channel", channel, CHANNELS, *path, "disposition_channels", j)
    for j, overflow in enumerate(queue.overflow):
        names.queue(overflow.queue, *path, "overflow", j, "queue")
    for j, ring in enumerate(queue.rings):
        names.queues(ring.queues, *path, "rings", j, "queues")
        for name in (*ring.drop, *ring.lower):
            names.attribute(name, *path, "rings", j)


def _agent(names: _Names, agent: config_pb2.AgentProfile, path: Path) -> None:
    names.pool(agent.pool, *path, "pool")
    names.profile(agent.capacity_profile, *path, "capacity_profile")
    for name in agent.skills:
        names.skill(name, *path, "skills", name)
    names.queues(agent.queues, *path, "queues")


def _rule(names: _Names, rule: config_pb2.RoutingRule, path: Path) -> None:
    names.queue(rule.queue, *path, "queue")
    if not rule.queue:
        names.review.find("NO_QUEUE", f"rule `{rule.name}` names no queue", *path)


def _policy(names: _Names, policy: config_pb2.SlaPolicy, path: Path) -> None:
    names.queues(policy.queues, *path, "queues")
    for j, target in enumerate(policy.targets):
        for k, escalation in enumerate(target.escalations):
            for at, selector in enumerate(escalation.requirements):
                names.selector(selector, (*path, "targets", j, "escalations", k, "requirements", at))
