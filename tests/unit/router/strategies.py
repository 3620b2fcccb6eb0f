"""Configurations and sequences of commands for Hypothesis: small pools in which all features meet.

A test chooses a set of features, and each example has about half of them. All choices are made with dice whose numbers Hypothesis draws as bytes:
fast, evenly spread, and a zero byte is the plainest choice, so that failing examples shrink. A step becomes a command when its time comes
(`steps`), because it refers to what exists then: "the second open offer".
"""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeVar

from hypothesis import strategies as st

from services.policy.model.routing import (
    AgentProfile,
    CapacityProfile,
    ChannelCapacity,
    Choice,
    Operator,
    Order,
    OverflowRule,
    PickUpTarget,
    PoolConfig,
    QueueConfig,
    Ring,
    Selector,
    Trigger,
)
from tests.unit.router.world import a_capacity, requires


class Feature(Enum):
    """A feature of the page."""

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
    WINDOW = auto()
    STAFFING = auto()
    RECONFIGURED = auto()
    AWAITED = auto()


ALL = frozenset(Feature)
QUEUES = ("q", "w", "z")
AGENTS = ("a", "b", "c", "d", "e", "f")
LONG = 10_000_000
LEASE, GRACE = 30_000, 10_000
POOL, STEP = 190, 8
"""Number of bytes of a pool, and of a step."""

PLAIN = (
    requires("french", 3),
    requires("french", 4),
    requires("city", 0, Operator.EQUAL, text="qom"),
    requires("city", 0, Operator.NOT_EQUAL, text="qom"),
    requires("french", 3, Operator.AT_MOST),
    requires("dynamo", 5, weight=2.0),
)
RELAXING = (
    requires("french", 5, expires_after_ms=6_000),
    requires("french", 5, steps=((4_000, 4), (8_000, 2))),
    requires("dynamo", 5, Operator.GREATER, steps=((2_000, 4),), expires_after_ms=10_000),
)
GROUPED = (
    Selector("", any_of=(requires("french", 4), requires("dynamo", 5))),
    Selector(
        "",
        all_of=(requires("french", 3), Selector("", any_of=(requires("city", 0, Operator.HAS), requires("dynamo", 5)))),
    ),
    Selector(
        "", any_of=(requires("french", 5), requires("city", 0, Operator.IN, texts=("qom",))), expires_after_ms=4_000
    ),
)
TEAM_ONLY = (requires("team", 0, Operator.EQUAL, text="red"),)
RINGS = (
    Ring(2_000, lower=(("french", 3),)),
    Ring(4_000, drop=("dynamo",)),
    Ring(6_000, drop=("french", "city"), queues=("z",)),
    Ring(6_000, queues=("q", "w")),
)


T = TypeVar("T")


class Dice:
    """Bytes as choices; the plainest when no bytes are left."""

    def __init__(self, numbers: bytes) -> None:
        self._numbers = iter(numbers)

    def number(self) -> int:
        """Return a number from 0 to 255."""
        return next(self._numbers, 0)

    def of(self, *options: T) -> T:
        """Return one of these; the first is the plainest."""
        return options[self.number() % len(options)]

    def one_in(self, many: int) -> bool:
        """Rarely."""
        return self.number() % many == many - 1


def requirements(dice: Dice, features: frozenset[Feature]) -> tuple[Selector, ...]:
    """Return no, one or two requirements."""
    known: tuple[Selector, ...] = PLAIN
    for feature, more in ((Feature.RELAXATION, RELAXING), (Feature.GROUPS, GROUPED), (Feature.TEAMS, TEAM_ONLY)):
        known += more if feature in features else ()
    first, second = dice.of(*known), dice.of(*known)
    return dice.of((), (), (first,), (first, second), (second,))


def overflow(dice: Dice, features: frozenset[Feature], queue: str) -> tuple[OverflowRule, ...]:
    """Return the overflow rules of a queue: to later queues only, so that chains end.

    Of two rules on waiting, the one with the earlier time comes first: which of them applies when both are late is not specified.
    """
    triggers: list[tuple[Trigger, float]] = [(Trigger.LENGTH, 0), (Trigger.LENGTH, 1), (Trigger.LENGTH, 2)]
    triggers += [(Trigger.WAIT, 3_000), (Trigger.WAIT, 7_000), (Trigger.WAIT, 3_000)]
    triggers += (
        [(Trigger.SERVICE_LEVEL, 0.7), (Trigger.SERVICE_LEVEL, 0.3)] if Feature.SERVICE_LEVEL in features else []
    )
    triggers += [(Trigger.NO_AGENTS, 0), (Trigger.AGENTS, 2)] if Feature.STAFFING in features else []
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
            waits_for_offer=dice.of(False, False, True),
        )
        rules.append(rule)
    rules.sort(key=lambda rule: rule.threshold)
    return tuple(replace(rule, name=f"rule {n}") for n, rule in enumerate(rules))


def queue_config(dice: Dice, name: str, features: frozenset[Feature]) -> QueueConfig:
    """Return a queue with some of its possible features."""

    def when(feature: Feature, *options: T) -> T:
        return dice.of(*options) if feature in features else options[0]

    choices = [Choice.LONGEST_IDLE, *[Choice.LOAD_RATIO] * 2, *[Choice.SKILL_SCORE] * 3]
    choices += [Choice.ROUND_ROBIN] * 2 if Feature.ROUND_ROBIN in features else []
    choices += [Choice.ADAPTIVE] * 4 if Feature.ADAPTIVE in features else []
    orders = [Order.ARRIVAL]
    orders += [Order.DEADLINE] * 2 if Feature.ORDER in features else []
    orders += [Order.ADAPTIVE] * 2 if Feature.ADAPTIVE in features else []
    pick_up_targets = (PickUpTarget(4_000, tiers=("gold",)), PickUpTarget(30_000, channels=("chat", "voice")))
    first, second = sorted((dice.of(*RINGS), dice.of(*RINGS)), key=lambda ring: ring.after_ms)
    rings = when(Feature.RINGS, (), (first,), (first, second))
    silence = when(Feature.AWAITED, (0, 0), (0, 4_750), (3_250, 4_750), (3_250, 7_750))
    return QueueConfig(
        name,
        priority=dice.of(0, 0, 1),
        requirements=requirements(dice, features) if dice.one_in(2) else (),
        choice=dice.of(*choices),
        offer_ms=dice.of(10_000, 15_000),
        wrap_up_ms=dice.of(0, 0, 3_500),
        sticky_ms=dice.of(0, 5_500),
        ageing_per_minute=dice.of(0.0, 0.0, 0.0, 7.5),
        service_level_ms=dice.of(20_000, 1_000),
        order=dice.of(*orders),
        service_level_goal=dice.of(0.8, 0.2),
        pick_up_targets=pick_up_targets if len(orders) > 1 else (),
        delay_ms=when(Feature.DELAY, 0, 4_500),
        max_offers=when(Feature.SEVERAL_OFFERS, 1, 2, 3),
        keep_free=when(Feature.KEEP_FREE, 0, 1),
        sticky_team_ms=when(Feature.TEAMS, 0, 3_250),
        transfer_hold_ms=7_250,
        rings=rings,
        overflow=overflow(dice, features, name),
        match_window_ms=when(Feature.WINDOW, 0, 4_000, 4_000, 6_000),
        ask_again_ms=dice.of(300_000, 2_500, 6_500),
        prefer_rings=when(Feature.RINGS, False, True),
        warn_silent_ms=silence[0],
        close_silent_ms=silence[1],
    )


def capacities(features: frozenset[Feature]) -> tuple[CapacityProfile, ...]:
    """Return five kinds of desk."""
    interrupts = ("mail", "chat") if Feature.INTERRUPTS in features else ()
    limit = 0.5 if Feature.OCCUPANCY in features else 0.0
    awaited = Feature.AWAITED in features
    voice = ChannelCapacity("voice", 3, 1, True, interrupts)
    chat = ChannelCapacity("chat", 2 if awaited else 1, 2, awaited_weight=0 if awaited else None)
    mail = ChannelCapacity("mail", 2, awaited_weight=1 if awaited else None)
    return (
        CapacityProfile("three", 3, (chat, mail, voice)),
        a_capacity(1, "one"),
        CapacityProfile("four", 4, (ChannelCapacity("voice", 3, interrupts=interrupts[:1]),), 1, limit, 8_000),
        CapacityProfile("texts", 2, (ChannelCapacity("mail", 3), ChannelCapacity("voice", 0)), 1, limit, 8_000),
        CapacityProfile("asymmetric", 4, (ChannelCapacity("chat", 1, 2, excludes=("voice",)),), 1, limit, 8_000),
    )


def agent_profile(dice: Dice, name: str, features: frozenset[Feature]) -> AgentProfile:
    """Return an agent's profile."""
    skills = {"french": dice.of(5.0, 0.0, 3.0, 2.0), "dynamo": dice.of(0.0, 5.0)}
    skills[dice.of("city=qom", "city=yazd")] = dice.of(0.0, 1.0)
    return AgentProfile(
        name,
        skills=tuple(sorted((skill, level) for skill, level in skills.items() if level)),
        capacity_profile=dice.of("three", "one", "four", "four", "texts", "asymmetric"),
        queues=dice.of((), (), ("q", "w"), ("z",), ("q", "z")),
        team=dice.of("", "red", "blue") if Feature.TEAMS in features else "",
    )


def pool(dice: Dice, features: frozenset[Feature]) -> PoolConfig:
    """Return three queues, and two to six agents."""
    lease, grace = (LEASE, GRACE) if Feature.LOST in features else (LONG, LONG)
    queues = tuple(queue_config(dice, name, features) for name in QUEUES)
    team = AGENTS[: dice.of(2, 3, 4, 5, 6)]
    return PoolConfig(
        1, lease, grace, queues, tuple(agent_profile(dice, n, features) for n in team), capacities(features)
    )


@dataclass(frozen=True)
class Game:
    """The input of a game: a pool, and steps as bytes."""

    features: frozenset[Feature]
    config: PoolConfig
    steps: tuple[bytes, ...]


def game(features: frozenset[Feature], numbers: bytes) -> Game:
    """Return the game of these dice: about half of the features, a pool, and a step for each eight bytes of the rest."""
    dice = Dice(numbers[:POOL])
    ordered = sorted(features, key=lambda feature: feature.value)
    chosen = frozenset(feature for feature in ordered if dice.of(False, True))
    steps = tuple(numbers[at : at + STEP] for at in range(POOL, len(numbers), STEP))
    return Game(chosen, pool(dice, chosen), steps)


def games(features: frozenset[Feature] = ALL, most: int = 40) -> st.SearchStrategy[Game]:
    """Return games with some of these features and at most `most` steps.

    The bytes are drawn in one piece: with short lists of short strings Hypothesis would find almost nothing.
    """
    size = POOL + most * STEP
    return st.binary(min_size=size, max_size=size).map(lambda numbers: game(features, numbers))
