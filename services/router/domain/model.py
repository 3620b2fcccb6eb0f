"""The value types of the engine's state: interactions, agents' states, offers.

Times are milliseconds since the Unix epoch, durations milliseconds. Numbers of the enumerations equal those of the contracts.
"""

from dataclasses import dataclass
from enum import IntEnum

from services.policy.model.routing import Selector


class AgentState(IntEnum):
    """What an agent is doing, as far as routing needs to know."""

    UNSPECIFIED = 0
    OFFLINE = 1
    AVAILABLE = 2
    AWAY = 3
    NOT_RESPONDING = 4


class OfferEnd(IntEnum):
    """How an offer ended without an assignment."""

    UNSPECIFIED = 0
    DECLINED = 1
    EXPIRED = 2
    REVOKED = 3


class ExclusionReason(IntEnum):
    """Why an agent is not asked about an interaction. `explain` and refusals give the names."""

    DECLINED = 1
    NOT_ANSWERED = 2
    TAKEN_AWAY = 3
    TRANSFERRING_AGENT = 4


class Stage(IntEnum):
    """The stage of an open interaction. Closed interactions are not kept."""

    WAITING = 1
    OFFERED = 2
    ASSIGNED = 3
    WRAP_UP = 4
    SCHEDULED = 5


@dataclass(frozen=True, slots=True)
class InteractionAttributes:
    """An interaction as the router knows it: ids and attributes, without text and names. Labels are sorted by name.

    `due_at_ms` is the latest time at which an agent should pick it up; 0 means as its queue says. `start_at_ms` is the earliest time of an
    offer; 0 means at once. `preferred_agent` and `preferred_team` are asked first, for the queue's `sticky_ms` and `sticky_team_ms`.
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
    automatic: int = 0
    """The contract's AutomaticKind of the message that opened it; 0: a person wrote it. The router only passes it on."""
