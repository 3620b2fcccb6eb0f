"""The words of routing as values: what is routed, what it needs, who can do it, and how a pool is configured.

Times are milliseconds since the Unix epoch, durations milliseconds. Numbers of the enumerations equal those of the contracts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

LEASE_MS: Final = 20_000
GRACE_MS: Final = 60_000
OFFER_MS: Final = 20_000
SERVICE_LEVEL_MS: Final = 20_000
SERVICE_LEVEL_GOAL: Final = 0.8
TRANSFER_HOLD_MS: Final = 300_000
OCCUPANCY_WINDOW_MS: Final = 600_000


class Operator(IntEnum):
    """How a selector compares. UNSPECIFIED means AT_LEAST."""

    UNSPECIFIED = 0
    EQUAL = 1
    NOT_EQUAL = 2
    LESS = 3
    AT_MOST = 4
    GREATER = 5
    AT_LEAST = 6
    IN = 7
    HAS = 8


class AgentState(IntEnum):
    """What an agent is doing, as far as routing cares."""

    UNSPECIFIED = 0
    OFFLINE = 1
    AVAILABLE = 2
    AWAY = 3
    NOT_RESPONDING = 4


class Choice(IntEnum):
    """How a queue picks among eligible agents."""

    UNSPECIFIED = 0
    LONGEST_IDLE = 1
    LOAD_RATIO = 2
    SKILL_SCORE = 3
    ROUND_ROBIN = 4
    ADAPTIVE = 5


class Order(IntEnum):
    """By what a queue orders work of equal priority. UNSPECIFIED means ARRIVAL."""

    UNSPECIFIED = 0
    ARRIVAL = 1
    DEADLINE = 2
    ADAPTIVE = 3


class Trigger(IntEnum):
    """What makes an overflow rule fire."""

    UNSPECIFIED = 0
    LENGTH = 1
    WAIT = 2
    ESTIMATE = 3
    SERVICE_LEVEL = 4


class OfferEnd(IntEnum):
    """How an offer ended without an assignment."""

    UNSPECIFIED = 0
    DECLINED = 1
    EXPIRED = 2
    REVOKED = 3


class Stage(IntEnum):
    """Where an interaction stands. Closed ones are not kept."""

    WAITING = 1
    OFFERED = 2
    ASSIGNED = 3
    WRAP_UP = 4
    SCHEDULED = 5


@dataclass(frozen=True, slots=True)
class Selector:
    """One requirement on the agent.

    A text is compared with labels, which agents carry as skills of the form `name=value` (`language=french`).
    `expires_after_ms` counts from enqueueing; 0 means never. `weight` is the selector's part in the skill score; 0 counts as 1.
    `steps` are pairs (after_ms, number), rising: from then on `number` is that. With `any_of` or `all_of` this is a group: it is met when one,
    or all, of those are, and nothing but expiry and weight of its own counts; times of members do not count.
    """

    attribute: str
    operator: Operator = Operator.AT_LEAST
    number: float = 0.0
    text: str = ""
    texts: tuple[str, ...] = ()
    expires_after_ms: int = 0
    weight: float = 0.0
    steps: tuple[tuple[int, float], ...] = ()
    any_of: tuple["Selector", ...] = ()
    all_of: tuple["Selector", ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """An interaction as the router knows it: ids and attributes, no text and no names. Labels are sorted by name.

    `due_at_ms`: when it should be picked up at the latest, 0 as its queue says. `start_at_ms`: not to be offered before, 0 at once.
    `preferred_agent` and `preferred_team` are asked first, for the queue's `sticky_ms` and `sticky_team_ms`.
    """

    interaction_id: str
    conversation_id: str
    person_id: str = ""
    identity_id: str = ""
    channel: str = ""
    account: str = ""
    language: str = ""
    queue: str = ""
    priority: int = 0
    requirements: tuple[Selector, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    arrived_at_ms: int = 0
    rule: str = ""
    public: bool = False
    due_at_ms: int = 0
    start_at_ms: int = 0
    preferred_agent: str = ""
    preferred_team: str = ""


@dataclass(frozen=True, slots=True)
class Ring:
    """A widening of the circle of agents after some time in the queue, for all requirements, the queue's and the interaction's.

    `drop` names attributes that are no longer asked for; `lower` gives attributes a number to which an AT_LEAST or GREATER requirement sinks;
    agents of `queues` may take it too.
    """

    after_ms: int
    drop: tuple[str, ...] = ()
    lower: tuple[tuple[str, float], ...] = ()
    queues: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OverflowRule:
    """What happens to what waits too long, or enters a queue that is too long; once an interaction.

    `threshold` is a number of interactions (LENGTH), milliseconds (WAIT, ESTIMATE) or a share (SERVICE_LEVEL, which fires below it).
    `queue` empty stays; `set_priority` None leaves it, then `add_priority` is added; `requirements` are added to its own, or take their place.
    """

    name: str
    trigger: Trigger
    threshold: float
    queue: str = ""
    set_priority: int | None = None
    add_priority: int = 0
    requirements: tuple[Selector, ...] = ()
    replace_requirements: bool = False
    cancel: bool = False


@dataclass(frozen=True, slots=True)
class PromisedPickUp:
    """Pick-up promised for some of a queue's work, milliseconds; empty channels or tiers mean any. The first that matches counts."""

    target_ms: int
    channels: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """Where interactions of one kind wait.

    `delay_ms`: younger work is not offered (a lower class gives way). `max_offers`: how many agents are asked at once. `keep_free`: work is
    offered only while more than so many agents could take it, which protects more urgent kinds. `promises` are what DEADLINE and ADAPTIVE order
    by; `service_level_goal` is what ADAPTIVE steers to. `transfer_hold_ms`: how long work handed to an agent waits for him alone.
    `match_window_ms`: what enters within such a stretch of the clock is offered at its end, matched together.
    """

    name: str
    priority: int = 0
    requirements: tuple[Selector, ...] = ()
    choice: Choice = Choice.LONGEST_IDLE
    offer_ms: int = OFFER_MS
    wrap_up_ms: int = 0
    sticky_ms: int = 0
    ageing_per_minute: float = 0.0
    service_level_ms: int = SERVICE_LEVEL_MS
    order: Order = Order.ARRIVAL
    promises: tuple[PromisedPickUp, ...] = ()
    service_level_goal: float = SERVICE_LEVEL_GOAL
    delay_ms: int = 0
    max_offers: int = 1
    keep_free: int = 0
    sticky_team_ms: int = 0
    transfer_hold_ms: int = TRANSFER_HOLD_MS
    rings: tuple[Ring, ...] = ()
    overflow: tuple[OverflowRule, ...] = ()
    match_window_ms: int = 0


@dataclass(frozen=True, slots=True)
class ChannelCapacity:
    """Capacity that one interaction of a channel takes; `maximum` 0 means no limit but the total.

    `interrupts`: channels whose assignments are parked when that makes room for one of this channel.
    """

    channel: str
    weight: int
    maximum: int = 0
    exclusive: bool = False
    interrupts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CapacityProfile:
    """What an agent can hold at once; `default_weight` 0 means that unlisted channels are not given to him."""

    name: str = ""
    total: int = 1
    channels: tuple[ChannelCapacity, ...] = ()
    default_weight: int = 1
    occupancy_limit: float = 0.0
    """Share of his available time that an agent may be busy, over any stretch longer than the window; 0 means no limit."""
    occupancy_window_ms: int = OCCUPANCY_WINDOW_MS


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """An agent as configured. Skills are sorted by name; no queues means every queue of the pool; a team counts as the label `team=...`."""

    agent_id: str
    display_name: str = ""
    skills: tuple[tuple[str, float], ...] = ()
    capacity_profile: str = ""
    queues: tuple[str, ...] = ()
    team: str = ""


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """The part of a tenant's configuration that concerns one pool."""

    version: int = 0
    lease_ms: int = LEASE_MS
    grace_ms: int = GRACE_MS
    queues: tuple[QueueConfig, ...] = ()
    agents: tuple[AgentProfile, ...] = ()
    profiles: tuple[CapacityProfile, ...] = ()
    by_name: Mapping[str, QueueConfig] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {queue.name: queue for queue in self.queues})

    def profile(self, name: str) -> CapacityProfile:
        """The capacity profile of that name; the first for an empty or unknown one; one interaction at a time when there is none."""
        for profile in self.profiles:
            if profile.name == name:
                return profile
        return self.profiles[0] if self.profiles else CapacityProfile()
