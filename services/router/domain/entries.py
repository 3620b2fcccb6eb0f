"""The values of the router's changelog: one struct for each kind of entity, and one for each part of it.

An entry is written as an array of its fields, in this order. A new field goes to the end of its struct, with a default: so a restore can read
what the previous version wrote. Any other change needs a new version of the format (`translate.codec`).

This module is not compiled (docs/decisions/0061): msgspec reads the annotations when the module is imported, and mypyc does not keep them.
"""

from typing import Final

from msgspec import Struct

from services.policy.model.routing import ASK_AGAIN_MS, OCCUPANCY_WINDOW_MS, Choice, Operator, Order, Trigger
from services.router.domain.model import AgentState, ExclusionReason, Stage


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """A part of an entry. Entries hold no circles, so the garbage collector need not look at them."""


class SelectorEntry(Entry, frozen=True):
    """One requirement: `model.Selector`."""

    attribute: str
    operator: Operator
    number: float
    text: str
    texts: tuple[str, ...]
    expires_after_ms: int
    weight: float
    steps: tuple[tuple[int, float], ...] = ()
    any_of: tuple["SelectorEntry", ...] = ()
    all_of: tuple["SelectorEntry", ...] = ()


# Interactions


class AttributesEntry(Entry, frozen=True):
    """An interaction's attributes: `model.InteractionAttributes`."""

    interaction_id: str
    conversation_id: str
    person_id: str
    identity_id: str
    channel: str
    account: str
    language: str
    queue: str
    priority: int
    requirements: tuple[SelectorEntry, ...]
    labels: tuple[tuple[str, str], ...]
    arrived_at_ms: int
    rule: str
    public: bool
    due_at_ms: int
    start_at_ms: int
    preferred_agent: str
    preferred_team: str
    automatic: int = 0


class OfferEntry(Entry, frozen=True):
    """An open offer: `state.Offer`."""

    offer_id: str
    agent_id: str
    offered_at: int
    expires_at: int
    reason: str


class RationaleEntry(Entry, frozen=True):
    """Why an agent was chosen: `effects.OfferRationale`."""

    at_ms: int
    eligible: int
    considered: int
    candidates: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]
    matched: int = 0
    total: float = 0.0


class ExclusionEntry(Entry, frozen=True):
    """An agent who is not asked about an interaction: `state.Exclusion`."""

    agent_id: str
    ends: int
    reason: ExclusionReason = ExclusionReason.DECLINED
    since: int = 0


class InteractionEntry(Entry, frozen=True):
    """An open interaction: `state.Interaction`. `ended` holds the id of an offer, its agent, and how it ended.

    `transferring_agent` is read from versions 2 and 3 of the format only; since then it is one of the exclusions.
    """

    attributes: AttributesEntry
    stage: Stage
    enqueued_at: int
    waiting_since: int
    waited: int
    epoch: int
    offers: tuple[OfferEntry, ...]
    agent_id: str
    assigned_at: int
    wrap_until: int
    replied: bool
    parked: bool
    exclusions: tuple[ExclusionEntry, ...]
    transferring_agent: tuple[str, int]
    reserved_for: str
    reserved_until: int
    handed_on: bool
    team_until: int
    not_before: int
    callback: bool
    key: int
    shift_ms: float
    overflowed: tuple[str, ...]
    announced: tuple[int, int]
    ended: tuple[tuple[str, str, int], ...]
    reason: str
    decided_at: int
    rationale: RationaleEntry
    unasked: bool = False
    answered_in: str = ""
    replies: tuple[tuple[str, bool], ...] = ()
    silent_since: int = 0
    warned_at: int = 0


# Agents


class ProfileEntry(Entry, frozen=True):
    """An agent as configured: `model.AgentProfile`."""

    agent_id: str
    display_name: str
    skills: tuple[tuple[str, float], ...]
    capacity_profile: str
    queues: tuple[str, ...]
    team: str


class AgentEntry(Entry, frozen=True):
    """An agent: `state.Agent`."""

    profile: ProfileEntry
    state: AgentState
    state_since: int
    session_id: str
    sign_in: int
    ranked_since: int
    grace_until: int
    epoch: int
    lost: tuple[str, int]
    state_reason: str
    turn: int
    debt: float
    debt_at: int
    configured: bool = False


class SessionEntry(Entry, frozen=True):
    """A session: `state.Session`."""

    session_id: str
    agent_id: str
    gateway_id: str
    partition: int
    credits: int
    lease_until: int
    attached: bool


# Queues and commands


class HistoryEntry(Entry, frozen=True):
    """The history of a queue: `history.History`. `level` is a row of bits, as bytes."""

    since: int
    departures: float
    staffed_ms: float
    learnt_at: int
    left: float
    exposure: float
    level: bytes
    outcomes: int
    minute_since: int
    in_minute: tuple[int, int]
    asked: float
    asked_at: int
    shift_ms: float
    ended_in: float
    minutes: float


class CommandsEntry(Entry, frozen=True):
    """The commands of one batch, with their reasons: `dedup.Chunk`."""

    at_ms: int
    results: tuple[tuple[str, str], ...]


# Configuration


class PickUpTargetEntry(Entry, frozen=True):
    """The target for the pick-up of some interactions: `model.PickUpTarget`."""

    target_ms: int
    channels: tuple[str, ...]
    tiers: tuple[str, ...]


class RingEntry(Entry, frozen=True):
    """A step that admits more agents: `model.Ring`."""

    after_ms: int
    drop: tuple[str, ...]
    lower: tuple[tuple[str, float], ...]
    queues: tuple[str, ...]


class OverflowRuleEntry(Entry, frozen=True):
    """A rule for interactions that wait too long: `model.OverflowRule`."""

    name: str
    trigger: Trigger
    threshold: float
    queue: str
    set_priority: int | None
    add_priority: int
    requirements: tuple[SelectorEntry, ...]
    replace_requirements: bool
    cancel: bool
    unknown_too: bool = False
    waits_for_offer: bool = False


class QueueEntry(Entry, frozen=True):
    """A queue: `model.QueueConfig`."""

    name: str
    priority: int
    requirements: tuple[SelectorEntry, ...]
    choice: Choice
    offer_ms: int
    wrap_up_ms: int
    sticky_ms: int
    ageing_per_minute: float
    service_level_ms: int
    order: Order
    pick_up_targets: tuple[PickUpTargetEntry, ...]
    service_level_goal: float
    delay_ms: int
    max_offers: int
    keep_free: int
    sticky_team_ms: int
    transfer_hold_ms: int
    rings: tuple[RingEntry, ...]
    overflow: tuple[OverflowRuleEntry, ...]
    match_window_ms: int = 0
    disposition_required: bool = False
    disposition_channels: tuple[str, ...] = ()
    ask_again_ms: int = ASK_AGAIN_MS
    prefer_rings: bool = False
    warn_silent_ms: int = 0
    close_silent_ms: int = 0


class ChannelEntry(Entry, frozen=True):
    """Capacity that a channel takes: `model.ChannelCapacity`."""

    channel: str
    weight: int
    maximum: int
    exclusive: bool
    interrupts: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    awaited_weight: int | None = None


class CapacityEntry(Entry, frozen=True):
    """What an agent can hold: `model.CapacityProfile`."""

    name: str
    total: int
    channels: tuple[ChannelEntry, ...]
    default_weight: int
    occupancy_limit: float = 0.0
    occupancy_window_ms: int = OCCUPANCY_WINDOW_MS


class ConfigurationEntry(Entry, frozen=True):
    """A pool's configuration: `model.PoolConfig`, without its agents, which are entities of their own."""

    version: int
    lease_ms: int
    grace_ms: int
    queues: tuple[QueueEntry, ...]
    profiles: tuple[CapacityEntry, ...]
    elsewhere: tuple[tuple[str, str], ...] = ()


class MovedEntry(Entry, frozen=True):
    """The pool to which an interaction was moved."""

    pool: str


LeaseEntry = tuple[tuple[str, ...], ...]
"""Groups of sessions whose leases end at one time."""

Value = (
    InteractionEntry
    | AgentEntry
    | SessionEntry
    | LeaseEntry
    | str
    | HistoryEntry
    | CommandsEntry
    | ConfigurationEntry
    | MovedEntry
)
"""What the changelog holds for one entity."""

KINDS: Final[dict[str, type]] = {
    "i": InteractionEntry,
    "a": AgentEntry,
    "s": SessionEntry,
    "l": LeaseEntry,
    "p": str,
    "q": HistoryEntry,
    "d": CommandsEntry,
    "c": ConfigurationEntry,
    "m": MovedEntry,
}
"""The type of the value of each kind of entity: interaction, agent, session, sessions whose leases end at one time, a person's last agent,
a queue's history, a chunk of remembered commands, the configuration, the new pool of an interaction that was moved."""
