"""Configurations and sequences of commands for Hypothesis: small pools in which everything meets everything.

What a test is to meet is a set of features, of which each example has about half. All is thrown with dice whose numbers Hypothesis draws as bytes:
quick, evenly spread, and a byte of nought is the plainest choice, so that what fails shrinks. A step is made into a command when its time comes
(`Steps`), because it speaks of what is there then: "the second offer that stands".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeVar

from hypothesis import strategies as st

from services.router.domain import commands as cmd
from services.router.domain.model import (
    AgentProfile,
    AgentState,
    CapacityProfile,
    ChannelCapacity,
    Choice,
    Facts,
    Operator,
    Order,
    OverflowRule,
    PoolConfig,
    PromisedPickUp,
    QueueConfig,
    Ring,
    Selector,
    Trigger,
)
from tests.unit.router.oracle import Oracle
from tests.unit.router.oracle_state import Phase
from tests.unit.router.world import GATEWAY, a_capacity, needs


class Feature(Enum):
    """A part of the page."""

    RELAXATION = auto()
    GROUPS = auto()
    RINGS = auto()
    TEAMS = auto()
    ROUND_ROBIN = auto()
    ADAPTIVE = auto()
    SERVICE_LEVEL = auto()
    ORDER = auto()
    DELAY = auto()
    SCHEDULE = auto()
    SEVERAL_OFFERS = auto()
    KEEP_FREE = auto()
    INTERRUPTS = auto()
    OCCUPANCY = auto()
    OVERFLOW = auto()
    WARM = auto()
    REQUIREMENTS_HANDED_ON = auto()
    CALLBACK = auto()
    ASSIGN = auto()
    LOST = auto()


ALL = frozenset(Feature)
QUEUES = ("q", "w", "z")
AGENTS = ("a", "b", "c", "d", "e", "f")
LONG = 10_000_000
LEASE, GRACE = 30_000, 10_000

PLAIN = (
    needs("french", 3),
    needs("french", 4),
    needs("city", 0, Operator.EQUAL, text="qom"),
    needs("city", 0, Operator.NOT_EQUAL, text="qom"),
    needs("french", 3, Operator.AT_MOST),
    needs("dynamo", 5, weight=2.0),
)
RELAXING = (
    needs("french", 5, expires_after_ms=6_000),
    needs("french", 5, steps=((4_000, 4), (8_000, 2))),
    needs("dynamo", 5, Operator.GREATER, steps=((2_000, 4),), expires_after_ms=10_000),
)
GROUPED = (
    Selector("", any_of=(needs("french", 4), needs("dynamo", 5))),
    Selector(
        "", all_of=(needs("french", 3), Selector("", any_of=(needs("city", 0, Operator.HAS), needs("dynamo", 5))))
    ),
    Selector("", any_of=(needs("french", 5), needs("city", 0, Operator.IN, texts=("qom",))), expires_after_ms=4_000),
)
TEAM_ONLY = (needs("team", 0, Operator.EQUAL, text="red"),)
RINGS = (
    Ring(2_000, lower=(("french", 3),)),
    Ring(4_000, drop=("dynamo",)),
    Ring(6_000, drop=("french", "city"), queues=("z",)),
    Ring(6_000, queues=("q", "w")),
)


T = TypeVar("T")


class Dice:
    """Bytes as choices; the plainest when none are left."""

    def __init__(self, numbers: bytes) -> None:
        self._numbers = iter(numbers)

    def number(self) -> int:
        """0 to 255."""
        return next(self._numbers, 0)

    def of(self, *options: T) -> T:
        """One of these; the first is the plainest."""
        return options[self.number() % len(options)]

    def one_in(self, many: int) -> bool:
        """Rarely."""
        return self.number() % many == many - 1


def requirements(dice: Dice, features: frozenset[Feature]) -> tuple[Selector, ...]:
    """None, one or two."""
    known: tuple[Selector, ...] = PLAIN
    for feature, more in ((Feature.RELAXATION, RELAXING), (Feature.GROUPS, GROUPED), (Feature.TEAMS, TEAM_ONLY)):
        known += more if feature in features else ()
    first, second = dice.of(*known), dice.of(*known)
    return dice.of((), (), (first,), (first, second), (second,))


def overflow(dice: Dice, features: frozenset[Feature], queue: str) -> tuple[OverflowRule, ...]:
    """Overflow of a queue: to later queues only, so that chains end.

    Of two rules that wait, the one that comes first stands first: which of them counts when both are late is not said.
    """
    triggers: list[tuple[Trigger, float]] = [(Trigger.LENGTH, 0), (Trigger.LENGTH, 1), (Trigger.LENGTH, 2)]
    triggers += [(Trigger.WAIT, 3_000), (Trigger.WAIT, 7_000), (Trigger.WAIT, 3_000)]
    triggers += (
        [(Trigger.SERVICE_LEVEL, 0.7), (Trigger.SERVICE_LEVEL, 0.3)] if Feature.SERVICE_LEVEL in features else []
    )
    later = ("", *QUEUES[QUEUES.index(queue) + 1 :])
    rules = []
    for _ in range(dice.of(0, 1, 2) if Feature.OVERFLOW in features else 0):
        trigger, threshold = dice.of(*triggers)
        rule = OverflowRule(
            "",
            trigger,
            threshold,
            dice.of(*later),
            dice.of(None, 0, 3),
            dice.of(0, 0, 1, 2),
            requirements(dice, features),
            dice.of(False, True),
            cancel=dice.one_in(8),
        )
        rules.append(rule)
    rules.sort(key=lambda rule: rule.threshold)
    return tuple(replace(rule, name=f"rule {n}") for n, rule in enumerate(rules))


def queue_config(dice: Dice, name: str, features: frozenset[Feature]) -> QueueConfig:
    """A queue with some of what it may have."""

    def when(feature: Feature, *options: T) -> T:
        return dice.of(*options) if feature in features else options[0]

    choices = [Choice.LONGEST_IDLE, Choice.LOAD_RATIO, Choice.SKILL_SCORE]
    choices += [Choice.ROUND_ROBIN] * 2 if Feature.ROUND_ROBIN in features else []
    choices += [Choice.ADAPTIVE] * 4 if Feature.ADAPTIVE in features else []
    orders = [Order.ARRIVAL]
    orders += [Order.DEADLINE] * 2 if Feature.ORDER in features else []
    orders += [Order.ADAPTIVE] * 2 if Feature.ADAPTIVE in features else []
    promises = (PromisedPickUp(4_000, tiers=("gold",)), PromisedPickUp(9_000, channels=("chat", "voice")))
    first, second = sorted((dice.of(*RINGS), dice.of(*RINGS)), key=lambda ring: ring.after_ms)
    rings = when(Feature.RINGS, (), (first,), (first, second))
    return QueueConfig(
        name,
        priority=dice.of(0, 0, 1),
        requirements=requirements(dice, features) if dice.one_in(3) else (),
        choice=dice.of(*choices),
        offer_ms=dice.of(10_000, 15_000),
        wrap_up_ms=dice.of(0, 0, 3_500),
        sticky_ms=dice.of(0, 5_500),
        ageing_per_minute=dice.of(0.0, 0.0, 0.0, 7.5),
        service_level_ms=dice.of(20_000, 1_000),
        order=dice.of(*orders),
        promises=promises if len(orders) > 1 else (),
        delay_ms=when(Feature.DELAY, 0, 4_500),
        max_offers=when(Feature.SEVERAL_OFFERS, 1, 2, 3),
        keep_free=when(Feature.KEEP_FREE, 0, 1),
        sticky_team_ms=when(Feature.TEAMS, 0, 3_250),
        transfer_hold_ms=7_250,
        rings=rings,
        overflow=overflow(dice, features, name),
    )


def capacities(features: frozenset[Feature]) -> tuple[CapacityProfile, ...]:
    """Four kinds of desk."""
    interrupts = ("mail", "chat") if Feature.INTERRUPTS in features else ()
    limit = 0.5 if Feature.OCCUPANCY in features else 0.0
    voice = ChannelCapacity("voice", 3, 1, True, interrupts)
    return (
        CapacityProfile("three", 3, (ChannelCapacity("chat", 1, 2), ChannelCapacity("mail", 2), voice)),
        a_capacity(1, "one"),
        CapacityProfile("four", 4, (ChannelCapacity("voice", 3, interrupts=interrupts[:1]),), 1, limit, 8_000),
        CapacityProfile("texts", 2, (ChannelCapacity("mail", 3), ChannelCapacity("voice", 0)), 1, limit, 8_000),
    )


def agent_profile(dice: Dice, name: str, features: frozenset[Feature]) -> AgentProfile:
    """An agent."""
    skills = {"french": dice.of(5.0, 0.0, 3.0, 2.0), "dynamo": dice.of(0.0, 5.0)}
    skills[dice.of("city=qom", "city=yazd")] = dice.of(0.0, 1.0)
    return AgentProfile(
        name,
        skills=tuple(sorted((skill, level) for skill, level in skills.items() if level)),
        capacity_profile=dice.of("three", "one", "four", "four", "texts"),
        queues=dice.of((), (), ("q", "w"), ("z",), ("q", "z")),
        team=dice.of("", "red", "blue") if Feature.TEAMS in features else "",
    )


def pool(dice: Dice, features: frozenset[Feature]) -> PoolConfig:
    """Three queues, two to six agents."""
    lease, grace = (LEASE, GRACE) if Feature.LOST in features else (LONG, LONG)
    queues = tuple(queue_config(dice, name, features) for name in QUEUES)
    team = AGENTS[: dice.of(2, 3, 4, 5, 6)]
    return PoolConfig(
        1, lease, grace, queues, tuple(agent_profile(dice, n, features) for n in team), capacities(features)
    )


@dataclass(frozen=True)
class Game:
    """What is to be played: a pool, and steps as bytes."""

    features: frozenset[Feature]
    config: PoolConfig
    steps: tuple[bytes, ...]


def _game(features: list[Feature], numbers: bytes, steps: list[bytes]) -> Game:
    dice = Dice(numbers)
    chosen = frozenset(feature for feature in features if dice.of(False, True))
    return Game(chosen, pool(dice, chosen), tuple(steps))


def games(features: frozenset[Feature] = ALL, most: int = 40, least: int = 0) -> st.SearchStrategy[Game]:
    """Games of some of these features, `least` to `most` steps long."""
    ordered = sorted(features, key=lambda feature: feature.value)
    numbers = st.binary(min_size=160, max_size=160)
    return st.builds(
        _game, st.just(ordered), numbers, st.lists(st.binary(min_size=8, max_size=8), min_size=least, max_size=most)
    )


def moves(features: frozenset[Feature]) -> Sequence[str]:
    """What may happen, as often as it should."""
    usual = {
        "wait": 10,
        "enqueue": 14,
        "accept": 12,
        "complete": 8,
        "back": 4,
        "decline": 3,
        "transfer": 3,
        "sign in": 2,
        "end wrap-up": 1,
        "left": 1,
        "cancel": 1,
        "message": 1,
        "reply": 1,
        "label": 1,
        "reprioritise": 2,
        "reroute": 2,
        "state": 2,
        "credits": 1,
        "learn": 1,
        "hang up": 2,
    }
    more = {
        Feature.LOST: {"renew": 4, "long wait": 3},
        Feature.WARM: {"warm": 5, "recall": 1},
        Feature.ASSIGN: {"pick": 3, "assign": 3},
        Feature.CALLBACK: {"callback": 4},
        Feature.ADAPTIVE: {"minute": 2},
    }
    for feature in sorted(features & set(more), key=lambda feature: feature.value):
        usual.update(more[feature])
    return [name for name, times in usual.items() for _ in range(times)]


@dataclass
class Steps:
    """Makes commands of steps, by what the oracle has."""

    oracle: Oracle
    features: frozenset[Feature]
    count: int = 0

    def __post_init__(self) -> None:
        self.moves = moves(self.features)

    def fresh(self, prefix: str) -> str:
        """A new id."""
        self.count += 1
        return f"{prefix}{self.count}"

    def pick(self, n: int, *phases: Phase) -> tuple[str, str]:
        """An interaction in one of these phases and who holds it, or one that nobody knows."""
        found = sorted((j.id, j.holder) for j in self.oracle.jobs.values() if not phases or j.phase in phases)
        return found[n % len(found)] if found else ("unknown", "a")

    def agent(self, n: int) -> str:
        """An agent; rarely one that nobody knows."""
        known = sorted(self.oracle.people)
        return "nobody" if n == 255 else known[n % len(known)]

    def session(self, n: int) -> tuple[str, str]:
        """An agent and his session."""
        agent = self.agent(n)
        person = self.oracle.people.get(agent)
        return agent, (person.session_id if person is not None else "") or "none"

    def offer(self, n: int, other: bool = False) -> tuple[str, str]:
        """Agent and offer: one that stands, or (other) one of before, or another agent."""
        found = sorted((o.agent_id, o.offer_id) for job in self.oracle.jobs.values() for o in job.offers)
        if found and not other:
            return found[n % len(found)]
        ended = sorted((agent, offer_id) for offer_id, (agent, _) in self.oracle.ended.items())
        if ended:
            return ended[n % len(ended)]
        return ("a", found[n % len(found)][1]) if found else ("a", "unknown.1")

    def command(self, numbers: bytes, now: int) -> cmd.Command | int:
        """The command of a step, or how long to wait. What there is nothing for is mostly something else."""
        dice = Dice(numbers)
        name, n = dice.of(*self.moves), dice.number()
        phases = [job.phase for job in self.oracle.jobs.values()]
        if name in ("complete", "transfer", "warm", "reply") and Phase.HELD not in phases:
            name = "accept"
        if name in ("accept", "decline") and not any(job.offers for job in self.oracle.jobs.values()):
            name = "back" if Phase.WAITING in phases else "enqueue"
        match name:
            case "wait":
                return dice.of(1, 500, 1_000, 2_000, 2_000, 4_000, 6_000)
            case "long wait":
                return dice.of(11_000, 15_000, 31_000)
            case "minute":
                return 60_000
            case "enqueue":
                return self.enqueue(dice, now)
            case "accept":
                return cmd.AcceptOffer(*self.offer(n, other=dice.one_in(12)))
            case "decline":
                return cmd.DeclineOffer(*self.offer(n), "", dice.of(0, 3_000))
            case "complete":
                return cmd.CompleteInteraction(*reversed(self.pick(n, Phase.HELD)))
            case "end wrap-up":
                return cmd.EndWrapUp(*reversed(self.pick(n, Phase.WRAP_UP)))
            case "transfer":
                return self.transfer(n, dice)
            case "warm":
                held, holder = self.pick(n, Phase.HELD)
                to = dice.of("", self.agent(dice.number()))
                return cmd.TransferInteraction(holder, held, dice.of("", *QUEUES), to, warm=True)
            case "recall":
                handed = sorted(j.id for j in self.oracle.jobs.values() if j.phase is Phase.WAITING and j.holder)
                waiting, holder = self.pick(n, Phase.WAITING)
                name = handed[n % len(handed)] if handed else waiting
                return cmd.RecallTransfer(self.oracle.jobs[name].holder if handed else holder or "a", name)
            case _:
                return self.from_outside(name, n, dice, now)

    def from_outside(self, name: str, n: int, dice: Dice, now: int) -> cmd.Command:
        """Customers, supervisors, other systems."""
        job, holder = self.pick(n)
        match name:
            case "pick":
                return cmd.AssignInteraction(self.pick(n, Phase.WAITING)[0], self.agent(dice.number()), picked=True)
            case "assign":
                work = dice.of(self.pick(n, Phase.WAITING)[0], job)
                return cmd.AssignInteraction(work, self.agent(dice.number()), force=dice.of(False, True))
            case "callback":
                at = dice.of(0, 5_000, 3_000)
                return cmd.RequestCallback(self.pick(n, Phase.WAITING)[0], now + at if at else 0)
            case "left":
                return cmd.CustomerLeft(job)
            case "cancel":
                return cmd.CancelInteraction(job)
            case "message":
                return cmd.CustomerMessaged(job, "m")
            case "reply":
                return cmd.RecordReply(holder or "a", job, "r")
            case "label":
                return cmd.UpdateInteraction(job, (("tier", "gold"),))
            case "reprioritise":
                due = dice.of(0, -9_000, 20_000) if Feature.ORDER in self.features else 0
                return cmd.Reprioritise(job, dice.of(1, 3), due_at_ms=now + due if due else 0)
            case "reroute":
                asked = requirements(dice, self.features)
                work, _ = self.pick(n, Phase.WAITING, Phase.HELD)
                return cmd.Reroute(work, dice.of("", *QUEUES, "gone"), dice.of(None, None, asked))
            case _:
                return self.of_agents(name, n, dice)

    def of_agents(self, name: str, n: int, dice: Dice) -> cmd.Command:
        """States, sessions, skills."""
        match name:
            case "sign in":
                agent, person = self.agent(n), self.oracle.people.get(self.agent(n))
                before = dice.of("", (person.session_id or person.lost[0]) if person is not None else "")
                state = dice.of(AgentState.UNSPECIFIED, AgentState.UNSPECIFIED, AgentState.AVAILABLE, AgentState.AWAY)
                return cmd.SignIn(agent, self.fresh("s"), before, dice.of(0, 0, 1, 2), state, reply_to=GATEWAY)
            case "back":
                away = sorted(p.id for p in self.oracle.people.values() if self.oracle.absence(p))
                agent = away[n % len(away)] if away else self.agent(n)
                if not away or self.oracle.people[agent].session_id in self.oracle.desks:
                    return cmd.SetAgentState(agent, AgentState.AVAILABLE)
                return cmd.SignIn(agent, self.fresh("s"), reply_to=GATEWAY)
            case "state":
                return cmd.SetAgentState(self.agent(n), dice.of(*reversed(AgentState)))
            case "credits":
                return cmd.GrantCredits(*self.session(n), dice.of(0, 1, 2))
            case "hang up":
                return cmd.CloseSession(*self.session(n), dice.of(False, True))
            case "renew":
                return cmd.RenewLeases(tuple(self.session(k)[1] for k in range(6) if n >> k & 1))
            case _:
                profile = self.oracle.people[sorted(self.oracle.people)[n % len(self.oracle.people)]].profile
                skills = {**dict(profile.skills), "french": dice.of(1.0, 3.0, 5.0)}
                return cmd.UpsertAgent(replace(profile, skills=tuple(sorted(skills.items()))))

    def enqueue(self, dice: Dice, now: int) -> cmd.Command:
        """A new interaction."""
        name = self.fresh("i")
        age = dice.of(0, 0, 1_000, 30_000, -5_000)
        start = dice.of(0, 0, 3_000) if Feature.SCHEDULE in self.features else 0
        due = dice.of(0, 5_000, -2_000) if Feature.ORDER in self.features else 0
        facts = Facts(
            name,
            f"c-{name}",
            f"p{dice.of(0, 1, 2)}",
            channel=dice.of("chat", "mail", "voice", "chat"),
            queue=dice.of(*QUEUES),
            priority=dice.of(0, 0, 0, 1, 2),
            requirements=requirements(dice, self.features),
            arrived_at_ms=now - age if age else 0,
            start_at_ms=now + start if start else 0,
            due_at_ms=now + due if due else 0,
            preferred_agent=dice.of("", "", "", "a", "b"),
            preferred_team=dice.of("", "red") if Feature.TEAMS in self.features else "",
        )
        return cmd.Enqueue(facts)

    def transfer(self, n: int, dice: Dice) -> cmd.Command:
        """By the holder or a supervisor, to a queue or to an agent."""
        held, holder = self.pick(n, Phase.HELD)
        any_job, _ = self.pick(n, Phase.HELD, Phase.WAITING)
        giver, job = dice.of((holder, held), (holder, held), (holder, held), ("", held), ("", any_job))
        to_agent = self.agent(dice.number()) if dice.of(False, True) else ""
        needed: tuple[Selector, ...] | None = None
        labels: tuple[tuple[str, str], ...] = ()
        if Feature.REQUIREMENTS_HANDED_ON in self.features:
            asked = requirements(dice, self.features)
            needed, labels = dice.of(None, asked), dice.of((), (("tier", "gold"),))
        queue = dice.of("", *QUEUES, "gone") if dice.one_in(5) else dice.of("", *QUEUES)
        return cmd.TransferInteraction(giver, job, queue, to_agent, needed, labels)
