"""The pool of the engine's bench: queues, teams, skills, and possible arrivals.

Everything is drawn from one seed. Queues and teams belong to departments: a department has eight queues and ten of the
skills; a team serves three to twelve queues of its own and of the neighbouring department, and its agents differ from
each other in one or two proficiencies. The requirements of an arrival come from one of its queue's *intents*, as rules
of a configuration would give them: a queue has a handful of requirements, not one for each arrival.
"""

from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random
from typing import Final

from services.policy.model.eligibility import meets_all
from services.policy.model.routing import (
    AgentProfile,
    CapacityProfile,
    ChannelCapacity,
    Choice,
    Operator,
    PoolConfig,
    QueueConfig,
    Selector,
)
from services.router.domain.commands import ReplyTo
from services.router.domain.model import InteractionAttributes

START: Final = 1_700_000_000_000
VOICE, CHAT, TELEGRAM, EMAIL = "voice", "chat", "telegram", "email"
LANGUAGES: Final = ("fa", "en", "ar", "ku", "tr", "de")
PERSONS: Final = 200_000
FEW_CREDITS: Final = 10
"""One agent in this number shows few offers at a time."""
_SESSIONS_A_GATEWAY: Final = 750
_QUEUES_A_DEPARTMENT: Final = 8
_SKILLS_A_DEPARTMENT: Final = 10
_VARIANTS: Final = 12
_INTENTS: Final = 4
_LEAST_SHARE: Final = 0.1
"""Smallest share of the agents of a queue's channel that an intent must leave eligible: below that, lint would
report it."""
_ASKED: Final = 50

PROFILES: Final = (
    CapacityProfile("voice", 100, (ChannelCapacity(VOICE, 100, exclusive=True),), 0),
    CapacityProfile("chat", 100, (ChannelCapacity(CHAT, 20, 5), ChannelCapacity(TELEGRAM, 20, 5)), 0),
    CapacityProfile("mail", 100, (ChannelCapacity(EMAIL, 25, 4),), 0),
    CapacityProfile(
        "written",
        100,
        (ChannelCapacity(CHAT, 20, 5), ChannelCapacity(TELEGRAM, 20, 5), ChannelCapacity(EMAIL, 10, 4)),
        0,
    ),
    CapacityProfile(
        "all",
        100,
        (
            ChannelCapacity(VOICE, 100, exclusive=True),
            ChannelCapacity(CHAT, 20, 4),
            ChannelCapacity(TELEGRAM, 20, 4),
            ChannelCapacity(EMAIL, 10, 4),
        ),
        0,
    ),
)
_PROFILES: Final = {profile.name: profile for profile in PROFILES}
_PROFILE_OF_TEAM: Final = ("voice", "chat", "all", "mail", "voice", "written", "chat", "all")
_CHANNELS_OF_QUEUE: Final = (
    (VOICE,),
    (CHAT, TELEGRAM),
    (VOICE,),
    (EMAIL,),
    (VOICE, CHAT),
    (CHAT,),
    (CHAT, EMAIL),
    (TELEGRAM,),
)
_CHOICES: Final = (Choice.LONGEST_IDLE, Choice.LOAD_RATIO, Choice.LONGEST_IDLE, Choice.SKILL_SCORE)


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a pool. `distinct`: no two agents have the same skills."""

    agents: int = 15_000
    waiting: int = 10_000
    teams: int = 400
    queues: int = 200
    skills: int = 60
    distinct: bool = False
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Intent:
    """One kind of arrival."""

    queue: str
    channel: str
    requirements: tuple[Selector, ...]
    language: str


def room(profile: CapacityProfile, counts: Mapping[str, int], channel: str) -> bool:
    """Return whether one more interaction of a channel fits beside the held ones, calculated independently of the
    engine."""
    used = total = 0
    rule = None
    for known in profile.channels:
        if known.channel == channel:
            rule = known
        if n := counts.get(known.channel, 0):
            if known.exclusive:
                return False
            used += n * known.weight
            total += n
    if rule is None or rule.weight <= 0 or (rule.exclusive and total):
        return False
    return not (rule.maximum and counts.get(channel, 0) >= rule.maximum) and used + rule.weight <= profile.total


def capacity_of(agent: AgentProfile) -> CapacityProfile:
    """Return the agent's capacity profile."""
    return _PROFILES[agent.capacity_profile]


class Plan:
    """The configuration, and the possible arrivals under it."""

    def __init__(self, size: Size) -> None:
        self.size = size
        rng = Random(size.seed)
        self.departments = max(1, size.queues // _QUEUES_A_DEPARTMENT)
        self._skills = [f"skill-{n:02}" for n in range(size.skills)]
        self._skills_of = [
            [self._skills[(d * 7 + k) % size.skills] for k in range(min(size.skills, _SKILLS_A_DEPARTMENT))]
            for d in range(self.departments)
        ]
        self.channels: dict[str, tuple[str, ...]] = {}
        self.siblings: dict[str, list[str]] = {}
        self._queue_skills: dict[str, list[str]] = {}
        queues = [self._queue(n, rng) for n in range(size.queues)]
        by_name = {queue.name: queue for queue in queues}
        self.team_of: dict[str, int] = {}
        self.colleagues: list[list[str]] = []
        self.agents: dict[str, AgentProfile] = {}
        self._seen: set[tuple[tuple[str, float], ...]] = set()
        for team in range(size.teams):
            self._team(team, rng)
        self.config = PoolConfig(1, queues=tuple(queues), agents=tuple(self.agents.values()), profiles=PROFILES)
        self._able: dict[tuple[str, str], list[dict[str, float]]] = {}
        for agent in dict.fromkeys(replace(a, agent_id="") for a in self.agents.values()):
            for name in agent.queues:
                for channel in self.channels[name]:
                    if room(capacity_of(agent), {}, channel):
                        self._able.setdefault((name, channel), []).append(dict(agent.skills))
        self.intents: dict[str, list[Intent]] = {name: [] for name in by_name}
        for queue in queues:
            for channel in self.channels[queue.name]:
                if (queue.name, channel) in self._able:
                    self.intents[queue.name].extend(self._intent(queue, channel, rng) for _ in range(_INTENTS))
        self._names = [name for name, known in self.intents.items() if known]
        rng.shuffle(self._names)
        self._shares = list(accumulate(1 / (10 + rank) for rank in range(len(self._names))))
        self._known: dict[tuple[object, ...], list[Intent]] = {}
        self._moves: dict[tuple[tuple[Selector, ...], str, str], list[str]] = {}

    # Construction

    def _queue(self, n: int, rng: Random) -> QueueConfig:
        name, department = f"queue-{n:03}", n // _QUEUES_A_DEPARTMENT % self.departments
        self.channels[name] = channels = _CHANNELS_OF_QUEUE[n % len(_CHANNELS_OF_QUEUE)]
        self.siblings.setdefault(str(department), []).append(name)
        self._queue_skills[name] = skills = rng.sample(self._skills_of[department], 4)
        own = (Selector(skills[0], Operator.AT_LEAST, float(rng.randint(1, 3))),) if rng.random() < 0.5 else ()
        return QueueConfig(
            name,
            priority=rng.choice((0, 0, 0, 1, 2, 5)),
            requirements=own,
            choice=_CHOICES[(n + department) % len(_CHOICES)],
            offer_ms=15_000 if VOICE in channels else 20_000,
            wrap_up_ms=rng.choice((0, 0, 10_000, 20_000)),
            sticky_ms=15_000 if rng.random() < 0.2 else 0,
            ageing_per_minute=rng.choice((0.0, 0.5, 1.0, 1.0)),
        )

    def _team(self, team: int, rng: Random) -> None:
        department = team % self.departments
        profile = _PROFILE_OF_TEAM[team // self.departments % len(_PROFILE_OF_TEAM)]
        served = {c.channel for c in _PROFILES[profile].channels}
        own, next_door = (
            [name for name in self.siblings[str(d)] if served & set(self.channels[name])]
            for d in (department, (department + 1) % self.departments)
        )
        wanted = rng.randint(3, 12)
        queues = set(rng.sample(own, min(len(own), wanted)))
        queues.update(rng.sample(next_door, min(len(next_door), max(0, wanted - len(queues)))))
        skills = sorted({skill for name in queues for skill in self._queue_skills[name]})
        base = {skill: float(rng.randint(3, 10)) for skill in skills}
        languages = {"fa", *rng.sample(LANGUAGES, rng.randint(0, 2))}
        variants = [base, *(self._variant(base, rng) for _ in range(_VARIANTS))]
        members = range(team, self.size.agents, self.size.teams)
        self.colleagues.append([])
        for n in members:
            levels = self._alone(base, rng) if self.size.distinct else rng.choice(variants)
            agent = AgentProfile(
                f"agent-{n:05}",
                f"Agent {n}",
                tuple(sorted({**levels, **{f"language={name}": 1.0 for name in languages}}.items())),
                profile,
                tuple(sorted(queues)),
            )
            self.agents[agent.agent_id] = agent
            self.team_of[agent.agent_id] = team
            self.colleagues[team].append(agent.agent_id)

    @staticmethod
    def _variant(base: dict[str, float], rng: Random) -> dict[str, float]:
        return base | {skill: float(rng.randint(1, 10)) for skill in rng.sample(sorted(base), rng.randint(1, 2))}

    def _alone(self, base: dict[str, float], rng: Random) -> dict[str, float]:
        while True:
            levels = {skill: max(1.0, min(10.0, level + rng.randint(-2, 2))) for skill, level in base.items()}
            if (key := tuple(levels.items())) not in self._seen:
                self._seen.add(key)
                return levels

    def _intent(self, queue: QueueConfig, channel: str, rng: Random) -> Intent:
        able = self._able[queue.name, channel]
        able = able[:: max(1, len(able) // _ASKED)]
        while True:
            wanted = self._requirements(queue.name, rng)
            fit = sum(meets_all(queue.requirements + wanted, skills) for skills in able)
            if fit >= max(1, _LEAST_SHARE * len(able)):
                return Intent(queue.name, channel, wanted, rng.choice(LANGUAGES[:2]))

    def _requirements(self, queue: str, rng: Random) -> tuple[Selector, ...]:
        """Return one to three requirements; a third of them expire."""
        drawn: list[Selector] = []
        for skill in rng.sample(self._queue_skills[queue], rng.randint(1, 3)):
            expires = rng.choice((0, 0, 30_000, 60_000))
            kind = rng.random()
            if kind < 0.2:
                drawn.append(
                    Selector("language", Operator.EQUAL, text=rng.choice(LANGUAGES[:2]), expires_after_ms=expires)
                )
            elif kind < 0.3:
                drawn.append(Selector("language", Operator.IN, texts=LANGUAGES[1:4], expires_after_ms=expires))
            elif kind < 0.35:
                drawn.append(Selector(skill, Operator.HAS, expires_after_ms=expires))
            else:
                drawn.append(Selector(skill, Operator.AT_LEAST, float(rng.randint(1, 7)), expires_after_ms=expires))
        return tuple({s.attribute: s for s in drawn}.values())

    # Random choices

    def any_queue(self, rng: Random) -> str:
        """Return a queue; busy queues are more frequent."""
        return self._names[bisect(self._shares, rng.random() * self._shares[-1])]

    def intents_for(self, agent: AgentProfile) -> list[Intent]:
        """Return the intents that the agent could take if they held nothing."""
        key = (agent.skills, agent.queues, agent.capacity_profile)
        known = self._known.get(key)
        if known is None:
            served, skills = {c.channel for c in capacity_of(agent).channels}, dict(agent.skills)
            known = self._known[key] = [
                intent
                for name in agent.queues
                for intent in self.intents[name]
                if intent.channel in served
                and meets_all(self.config.by_name[name].requirements + intent.requirements, skills)
            ]
        return known

    def moves(self, attributes: InteractionAttributes) -> list[str]:
        """Return the other queues of the department in which some agent could take it as it is."""
        key = (attributes.requirements, attributes.channel, attributes.queue)
        known = self._moves.get(key)
        if known is None:
            siblings = next(names for names in self.siblings.values() if attributes.queue in names)
            known = self._moves[key] = [
                name
                for name in siblings
                if name != attributes.queue
                and any(
                    meets_all(self.config.by_name[name].requirements + attributes.requirements, skills)
                    for skills in self._able.get((name, attributes.channel), ())
                )
            ]
        return known


def gateway_of(number: int) -> ReplyTo:
    """Return the address of the gateway to which the agent of that number is connected."""
    return ReplyTo(f"gateway-{number // _SESSIONS_A_GATEWAY}", number // _SESSIONS_A_GATEWAY)


def attributes_of(intent: Intent, number: int, now: int, rng: Random) -> InteractionAttributes:
    """Return an interaction as intake would make it: ids are UUIDs."""
    person = rng.randrange(PERSONS)
    tail = f"{number:012}"
    return InteractionAttributes(
        f"0b5f6f7e-52a1-5d0c-9e55-{tail}",
        f"7d1c9a40-1f3b-5b7e-8a11-{tail}",
        f"3c2e8d10-77aa-5c1d-b0f3-{person:012}",
        f"91d0b7c2-0e4f-5f6a-a7c8-{person:012}",
        intent.channel,
        "main",
        intent.language,
        intent.queue,
        rng.choice((0, 0, 0, 1, 3)),
        intent.requirements,
        (("product", f"p{number % 12}"), ("tier", rng.choice(("gold", "silver", "basic")))),
        now,
        "text of the message",
    )
