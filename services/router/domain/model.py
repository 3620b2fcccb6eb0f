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


@dataclass(frozen=True, slots=True)
class Selector:
    """One requirement on the agent.

    A text is compared with labels, which agents carry as skills of the form `name=value` (`language=french`).
    `expires_after_ms` counts from enqueueing; 0 means never. `weight` is the selector's part in the skill score; 0 counts as 1.
    """

    attribute: str
    operator: Operator = Operator.AT_LEAST
    number: float = 0.0
    text: str = ""
    texts: tuple[str, ...] = ()
    expires_after_ms: int = 0
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """An interaction as the router knows it: ids and attributes, no text and no names. Labels are sorted by name."""

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


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """Where interactions of one kind wait."""

    name: str
    priority: int = 0
    requirements: tuple[Selector, ...] = ()
    choice: Choice = Choice.LONGEST_IDLE
    offer_ms: int = OFFER_MS
    wrap_up_ms: int = 0
    sticky_ms: int = 0
    ageing_per_minute: float = 0.0
    service_level_ms: int = SERVICE_LEVEL_MS


@dataclass(frozen=True, slots=True)
class ChannelCapacity:
    """Capacity that one interaction of a channel takes; `maximum` 0 means no limit but the total."""

    channel: str
    weight: int
    maximum: int = 0
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class CapacityProfile:
    """What an agent can hold at once; `default_weight` 0 means that unlisted channels are not given to him."""

    name: str = ""
    total: int = 1
    channels: tuple[ChannelCapacity, ...] = ()
    default_weight: int = 1


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """An agent as configured. Skills are sorted by name; no queues means every queue of the pool."""

    agent_id: str
    display_name: str = ""
    skills: tuple[tuple[str, float], ...] = ()
    capacity_profile: str = ""
    queues: tuple[str, ...] = ()


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
