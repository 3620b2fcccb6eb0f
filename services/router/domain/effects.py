"""The effects of the engine: events for the log, notices for desks, results for callers. A closed union.

Every event carries `reason`, a machine-readable code. `epoch` counts the events of one interaction, from 1. Effects are not changed once the
engine has returned them. They are not frozen because several are made for every command, and a frozen one takes three times as long to make
(decision 0035).
"""

from dataclasses import dataclass, field

from services.router.domain.commands import ReceiveInteraction, ReplyTo
from services.router.domain.model import AgentState, InteractionAttributes, OfferEnd


@dataclass(slots=True)
class Event:
    """Something that happened to an interaction; `attributes` are those after the event."""

    attributes: InteractionAttributes
    epoch: int
    reason: str


@dataclass(slots=True)
class Queued(Event):
    """`position` counts from 1; `estimated_wait_ms` is -1 when unknown, 0 when an agent was free."""

    position: int
    estimated_wait_ms: int
    again: bool
    estimated_p90_ms: int = -1


@dataclass(slots=True)
class Scheduled(Event):
    """The interaction will be queued at a time."""

    start_at_ms: int


@dataclass(slots=True)
class Overflowed(Event):
    """A rule moved or changed the interaction; `attributes` say where it is now."""

    from_queue: str
    rule: str


@dataclass(slots=True)
class Parked(Event):
    """The interaction was parked for one that may interrupt it; the agent still holds it."""

    agent_id: str
    by: str


@dataclass(slots=True)
class Resumed(Event):
    """The agent resumed the interaction."""

    agent_id: str


@dataclass(slots=True)
class Offered(Event):
    """The interaction was offered to an agent: one of `eligible` agents, of `considered` in total."""

    agent_id: str
    offer_id: str
    expires_at_ms: int
    eligible: int
    considered: int


@dataclass(slots=True)
class OfferEnded(Event):
    """An offer ended without an assignment."""

    agent_id: str
    offer_id: str
    end: OfferEnd


@dataclass(slots=True)
class Assigned(Event):
    """`offer_id` is empty for an assignment without an offer. Estimates are those announced when it was queued, -1 without.

    `over_capacity` is true when a supervisor forced it.
    """

    agent_id: str
    offer_id: str
    waited_ms: int
    estimated_p50_ms: int = -1
    estimated_p90_ms: int = -1
    over_capacity: bool = False


@dataclass(slots=True)
class Replied(Event):
    """The agent replied. `first`: for the first time in this interaction. `awaits_outcome`: a ReplyOutcome follows."""

    agent_id: str
    reply_id: str
    first: bool
    awaits_outcome: bool = False


@dataclass(slots=True)
class ReplyOutcome(Event):
    """What became of a reply. `state` is the contract's ReplyState, `failure` the sender's reason code."""

    agent_id: str
    reply_id: str
    delivery_id: str
    state: int
    failure: str
    retryable: bool


@dataclass(slots=True)
class CustomerMessaged(Event):
    """The customer wrote. `automatic`: the contract's AutomaticKind."""

    message_id: str
    automatic: int = 0


@dataclass(slots=True)
class CustomerLeft(Event):
    """The customer left an interaction that an agent holds."""


@dataclass(slots=True)
class CustomerSilent(Event):
    """The customer has been silent for the queue's time, and is to be warned: the interaction is completed at `closes_at_ms`."""

    closes_at_ms: int


@dataclass(slots=True)
class Transferred(Event):
    """The interaction was transferred. `to_agent_id` is empty for a transfer to a queue or to requirements."""

    from_agent_id: str
    queue: str
    to_agent_id: str


@dataclass(slots=True)
class Completed(Event):
    """The agent completed the interaction. `wrap_up_until_ms` is 0 without a wrap-up."""

    agent_id: str
    disposition: str
    assigned_at_ms: int
    wrap_up_until_ms: int


@dataclass(slots=True)
class WrapUpEnded(Event):
    """The wrap-up ended, and with it the agent's use of capacity."""

    agent_id: str


@dataclass(slots=True)
class Abandoned(Event):
    """The customer left before an agent accepted."""

    waited_ms: int


@dataclass(slots=True)
class Cancelled(Event):
    """The interaction was cancelled; `reason` says by what."""


@dataclass(slots=True)
class Changed(Event):
    """Attributes of the interaction changed."""


@dataclass(slots=True)
class AgentStateChanged:
    """An agent's state; `epoch` counts the events of this agent."""

    agent_id: str
    epoch: int
    reason: str
    before: AgentState
    after: AgentState
    used: int
    total: int


@dataclass(slots=True)
class Result:
    """The result of a command. `ok` is also true for a repetition of a command that was carried out."""

    command_id: str
    reply_to: ReplyTo | None
    ok: bool
    reason: str
    kind: str = ""
    repeated: bool = False


# Notices for a desk.


@dataclass(slots=True)
class OfferNotice:
    """An offer for the desk to show."""

    attributes: InteractionAttributes
    offer_id: str
    expires_at_ms: int
    offered_at_ms: int
    reason: str


@dataclass(slots=True)
class RevokedNotice:
    """An offer is no longer open."""

    offer_id: str
    reason: str


@dataclass(slots=True)
class AssignmentNotice:
    """An interaction that the agent holds, as it is now."""

    attributes: InteractionAttributes
    assigned_at_ms: int
    wrapping_up: bool = False
    wrap_up_until_ms: int = 0
    parked: bool = False
    customer_awaited: bool = False


@dataclass(slots=True)
class EndedNotice:
    """The agent no longer holds the interaction."""

    interaction_id: str
    reason: str


@dataclass(slots=True)
class CustomerNotice:
    """The customer wrote in an interaction that the agent holds, or left it. `automatic`: the contract's AutomaticKind."""

    interaction_id: str
    message_id: str
    left: bool
    automatic: int = 0


@dataclass(slots=True)
class ReplyNotice:
    """What became of a reply that the agent wrote. `state` is the contract's ReplyState."""

    interaction_id: str
    reply_id: str
    delivery_id: str
    state: int
    failure: str
    retryable: bool


@dataclass(slots=True)
class SnapshotNotice:
    """Everything that the desk must know at the beginning of a session. `used` and `total` are capacity."""

    state: AgentState
    session_id: str
    used: int
    total: int
    offers: tuple[OfferNotice, ...] = ()
    assignments: tuple[AssignmentNotice, ...] = ()


@dataclass(slots=True)
class StateNotice:
    """The agent's state or use of capacity changed."""

    before: AgentState
    after: AgentState
    used: int
    total: int


@dataclass(slots=True)
class SessionEndedNotice:
    """The shard no longer knows this session: SESSION_REPLACED, LEASE_EXPIRED, UNKNOWN_SESSION, AGENT_REMOVED or SIGNED_OUT."""

    reason: str


Notice = (
    OfferNotice
    | RevokedNotice
    | AssignmentNotice
    | EndedNotice
    | CustomerNotice
    | ReplyNotice
    | SnapshotNotice
    | StateNotice
    | SessionEndedNotice
)


@dataclass(slots=True)
class ToDesk:
    """A notice for one session at one gateway."""

    gateway: ReplyTo
    session_id: str
    agent_id: str
    notice: Notice


InteractionEvent = (
    Scheduled
    | Queued
    | Overflowed
    | Parked
    | Resumed
    | Offered
    | OfferEnded
    | Assigned
    | Replied
    | ReplyOutcome
    | CustomerMessaged
    | CustomerLeft
    | CustomerSilent
    | Transferred
    | Completed
    | WrapUpEnded
    | Abandoned
    | Cancelled
    | Changed
)


@dataclass(slots=True)
class HandedOver:
    """An interaction left this pool: `received` is the command for the other one."""

    pool: str
    received: ReceiveInteraction


Effect = InteractionEvent | AgentStateChanged | Result | ToDesk | HandedOver


@dataclass(frozen=True, slots=True)
class OfferRationale:
    """How the newest offer was decided: kept with the interaction for `explain`."""

    at_ms: int = 0
    eligible: int = 0
    considered: int = 0
    candidates: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = field(default=())
    matched: int = 0
    """How many others were in its batch; `total` is the skill score of the batch, and the first candidate is the agent who got this one."""
    total: float = 0.0
