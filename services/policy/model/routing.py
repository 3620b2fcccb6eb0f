"""How a pool routes: queues, requirements, agents and their capacity.

Durations are milliseconds. Numbers of the enumerations equal those of the contracts. The engine is compiled together with this module
(docs/decisions/0033-compiled-engine.md).
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
ASK_AGAIN_MS: Final = 300_000
OCCUPANCY_WINDOW_MS: Final = 600_000


class Operator(IntEnum):
    """How a selector compares a value with its own. UNSPECIFIED means AT_LEAST."""

    UNSPECIFIED = 0
    EQUAL = 1
    NOT_EQUAL = 2
    LESS = 3
    AT_MOST = 4
    GREATER = 5
    AT_LEAST = 6
    IN = 7
    HAS = 8


class Choice(IntEnum):
    """How a queue chooses among eligible agents."""

    UNSPECIFIED = 0
    LONGEST_IDLE = 1
    LOAD_RATIO = 2
    SKILL_SCORE = 3
    ROUND_ROBIN = 4
    ADAPTIVE = 5


class Order(IntEnum):
    """How a queue orders interactions of equal priority. UNSPECIFIED means ARRIVAL."""

    UNSPECIFIED = 0
    ARRIVAL = 1
    DEADLINE = 2
    ADAPTIVE = 3


class Trigger(IntEnum):
    """What fires an overflow rule."""

    UNSPECIFIED = 0
    LENGTH = 1
    WAIT = 2
    ESTIMATE = 3
    SERVICE_LEVEL = 4
    NO_AGENTS = 5
    AGENTS = 6


@dataclass(frozen=True, slots=True)
class Selector:
    """One requirement on the agent.

    A text is compared with labels, which agents carry as skills of the form `name=value` (`language=french`).
    `expires_after_ms` counts from the time of enqueueing; 0 means that the selector never expires. `weight` is the selector's part in the
    skill score; 0 counts as 1. `steps` are pairs (after_ms, number) with rising times: from each time on, its number replaces `number`.
    A selector with `any_of` or `all_of` is a group: it is met when one member, or every member, is met. A group has an expiry and a weight
    of its own, and nothing else; times of its members do not count.
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
class Ring:
    """A step that admits more agents after some time in the queue. It weakens all requirements, the queue's and the interaction's.

    `drop` names attributes that are no longer required. `lower` gives attributes a number, to which an AT_LEAST or GREATER requirement
    is lowered. Agents of `queues` may take the interaction too.
    """

    after_ms: int
    drop: tuple[str, ...] = ()
    lower: tuple[tuple[str, float], ...] = ()
    queues: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OverflowRule:
    """A rule for interactions that wait too long or enter a queue that is too long. It fires once for an interaction.

    `threshold` is a number of interactions (LENGTH) or of agents (AGENTS, which fires below it), milliseconds (WAIT, ESTIMATE) or a share
    (SERVICE_LEVEL, which fires below it). With `unknown_too`, ESTIMATE also fires while the estimate is unknown.
    An empty `queue` leaves the interaction where it is. `set_priority` None keeps the priority; `add_priority` is added after that.
    `requirements` are added to the interaction's own requirements, or replace them. With `waits_for_offer` a WAIT rule
    does not fire while an offer is pending, but when it ends.
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
    waits_for_offer: bool = False
    unknown_too: bool = False


@dataclass(frozen=True, slots=True)
class PickUpTarget:
    """The target for the pick-up of some interactions of a queue, milliseconds.

    Empty channels or tiers match any. The first target that matches applies.
    """

    target_ms: int
    channels: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """A queue: where interactions of one type wait.

    `delay_ms`: interactions younger than this are not offered (a lower class gives way). `max_offers`: how many agents are asked at the
    same time. `keep_free`: interactions are offered only while more than this number of agents could take them, which keeps agents free
    for more urgent queues. DEADLINE and ADAPTIVE order by `pick_up_targets`; ADAPTIVE steers to `service_level_goal`. `transfer_hold_ms`: how long
    an interaction that was transferred to an agent waits for this agent alone. `match_window_ms`: interactions that enter within one such
    window of the clock are offered at its end, and are matched as a batch. `ask_again_ms`: how long after a decline an agent
    may be asked again if no other agent could take the interaction. `prefer_rings`: agents of an earlier ring are chosen first.
    `warn_silent_ms` and `close_silent_ms`: how long after a reply a silent customer is warned, and the interaction completed; 0: never.
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
    pick_up_targets: tuple[PickUpTarget, ...] = ()
    service_level_goal: float = SERVICE_LEVEL_GOAL
    delay_ms: int = 0
    max_offers: int = 1
    keep_free: int = 0
    sticky_team_ms: int = 0
    transfer_hold_ms: int = TRANSFER_HOLD_MS
    rings: tuple[Ring, ...] = ()
    overflow: tuple[OverflowRule, ...] = ()
    match_window_ms: int = 0
    ask_again_ms: int = ASK_AGAIN_MS
    prefer_rings: bool = False
    disposition_required: bool = False
    disposition_channels: tuple[str, ...] = ()
    """Channels on which a disposition is required; empty: every channel."""
    warn_silent_ms: int = 0
    close_silent_ms: int = 0

    def needs_disposition(self, channel: str) -> bool:
        """Return whether an interaction of this channel can be completed with a disposition only."""
        return self.disposition_required and (not self.disposition_channels or channel in self.disposition_channels)


@dataclass(frozen=True, slots=True)
class ChannelCapacity:
    """Capacity that one interaction of a channel takes; `maximum` 0 means that only the total limits it.

    `interrupts`: channels whose assignments are parked when that makes room for an interaction of this channel. `excludes`: channels that
    do not fit while one of this channel is held; one of this channel may fit while one of those is held. `awaited_weight`: the weight
    while the customer is awaited; None means `weight`.
    """

    channel: str
    weight: int
    maximum: int = 0
    exclusive: bool = False
    interrupts: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    awaited_weight: int | None = None


@dataclass(frozen=True, slots=True)
class CapacityProfile:
    """What an agent can hold at the same time; `default_weight` 0 means that the agent does not get channels that are not listed."""

    name: str = ""
    total: int = 1
    channels: tuple[ChannelCapacity, ...] = ()
    default_weight: int = 1
    occupancy_limit: float = 0.0
    """Share of their available time that an agent may be busy, over any stretch longer than the window; 0 means no limit."""
    occupancy_window_ms: int = OCCUPANCY_WINDOW_MS


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """An agent as configured.

    Skills are sorted by name. No queues means every queue of the pool. A team counts as the label `team=...`.
    """

    agent_id: str
    display_name: str = ""
    skills: tuple[tuple[str, float], ...] = ()
    capacity_profile: str = ""
    queues: tuple[str, ...] = ()
    team: str = ""


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """The part of a tenant's configuration that applies to one pool."""

    version: int = 0
    lease_ms: int = LEASE_MS
    grace_ms: int = GRACE_MS
    queues: tuple[QueueConfig, ...] = ()
    agents: tuple[AgentProfile, ...] = ()
    profiles: tuple[CapacityProfile, ...] = ()
    elsewhere: tuple[tuple[str, str], ...] = ()
    """The tenant's queues in other pools, each with its pool, in the order of the configuration."""
    by_name: Mapping[str, QueueConfig] = field(init=False, compare=False, repr=False)
    _pools: Mapping[str, str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {queue.name: queue for queue in self.queues})
        object.__setattr__(self, "_pools", dict(self.elsewhere))

    def home(self, queue: str) -> tuple[str, str]:
        """Return queue and pool for the work of a queue that is not in this pool; an empty pool means this one.

        It is where the queue is now. A queue that no pool has passes its work to the first queue of this pool, or of the tenant.
        """
        if queue in self._pools:
            return queue, self._pools[queue]
        if self.queues:
            return self.queues[0].name, ""
        return self.elsewhere[0] if self.elsewhere else (queue, "")

    def profile(self, name: str) -> CapacityProfile:
        """Return the capacity profile with this name.

        For an empty or unknown name, return the first profile; without profiles, one that allows one interaction at a time.
        """
        for profile in self.profiles:
            if profile.name == name:
                return profile
        return self.profiles[0] if self.profiles else CapacityProfile()
