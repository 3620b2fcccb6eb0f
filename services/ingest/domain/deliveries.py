"""What the sender lane remembers and says: deliveries, threads, events, effects. All values; the decisions are in `sending`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from typing import Final

from services.ingest.domain.messages import Route, SendRequest
from services.ingest.domain.policy import DAY_MS

NOT_ATTEMPTED: Final = "NOT_ATTEMPTED"
"""Reason of an attempt that was handed over and never began: it does not count."""

MAX_LIVE: Final = 200
"""Deliveries that wait in one conversation; more are refused."""

MAX_FAILED: Final = 50
"""Given-up deliveries whose numbers a conversation remembers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderLimits:
    """Times in ms."""

    duplicate_window_ms: int = 7 * DAY_MS
    duplicate_ids_most: int = 20_000
    idle_thread_ms: int = 30 * DAY_MS
    orphan_grace_ms: int = 30_000
    """How long an outcome may still arrive after everything written before the takeover has been read."""
    late_outcome_ms: int = 600_000
    """How long an UNKNOWN delivery stays in memory for an outcome that says more."""
    first_halt_ms: int = 30_000
    last_halt_ms: int = 1_800_000
    max_in_flight: int = 500
    """Attempts under way at once, a partition."""
    max_in_flight_account: int = 8
    """The same by one account: the provider is asked as often as it can answer, and no attempt waits behind others."""


class Status(Enum):
    """Where a delivery stands in memory."""

    WAITING = "WAITING"
    ATTEMPTING = "ATTEMPTING"
    ORPHANED = "ORPHANED"
    UNKNOWN = "UNKNOWN"


class Outcome(IntEnum):
    """What an attempt came to; the numbers are the contract's."""

    UNSPECIFIED = 0
    ACCEPTED = 1
    RETRY = 2
    REJECTED = 3
    UNREACHABLE = 4
    UNKNOWN = 5
    HALTED = 6


class DeliveryState(IntEnum):
    """What others are told of a delivery; the numbers are the contract's."""

    PENDING = 1
    SENT = 2
    FAILED = 3
    UNKNOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One thing to send. `number` counts attempts for good, `tried` those that count against the most allowed. Times in ms."""

    delivery_id: str
    request: SendRequest
    asked_at_ms: int
    status: Status = Status.WAITING
    due_ms: int = 0
    number: int = 0
    tried: int = 0
    halted_ms: int = 0
    owner: str = ""
    """Which run of which process attempts it."""
    native_ids: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A conversation as the sender knows it."""

    conversation_id: str
    tenant: str
    active_at_ms: int
    route: Route | None = None
    migrated_from: str = ""
    """The address that the provider has replaced; a route that still names it is corrected."""
    deliveries: tuple[Delivery, ...] = ()
    failed: Mapping[str, int] = field(default_factory=dict)
    """Deliveries that were given up, and the number of their last attempt: replayed, they count on, so that no attempt has
    the number of an earlier one."""

    @property
    def place(self) -> str:
        """Where it is kept."""
        return place_of(self.tenant, self.conversation_id)

    @property
    def head(self) -> Delivery | None:
        """The delivery whose turn it is."""
        for delivery in self.deliveries:
            if delivery.status is not Status.UNKNOWN:
                return delivery
        return None

    def find(self, delivery_id: str) -> Delivery | None:
        """A live delivery."""
        return next((d for d in self.deliveries if d.delivery_id == delivery_id), None)

    def having(self, delivery: Delivery) -> "Thread":
        """With this delivery in its newest form."""
        changed = tuple(delivery if d.delivery_id == delivery.delivery_id else d for d in self.deliveries)
        return replace(self, deliveries=changed)

    def without(self, delivery_id: str) -> "Thread":
        """Without this delivery."""
        return replace(self, deliveries=tuple(d for d in self.deliveries if d.delivery_id != delivery_id))


def place_of(tenant: str, conversation_id: str) -> str:
    """The tenant's conversation: ids of another tenant are other places."""
    return f"{tenant}/{conversation_id}"


@dataclass(frozen=True, slots=True)
class Asked:
    """Something is to be sent; its id is new here."""

    delivery_id: str
    request: SendRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """An attempt ended."""

    delivery_id: str
    attempt: int
    outcome: Outcome
    reason: str = ""
    native_ids: tuple[str, ...] = ()
    retry_after_ms: int = 0
    migrated_to: str = ""


Event = Route | Asked | Finished

# ---- effects


@dataclass(frozen=True, slots=True)
class DeliveryChanged:
    """Tell others where a delivery stands."""

    delivery: Delivery
    state: DeliveryState
    reason: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """Attempt it once this is durable. `number` and the delivery's parts done say where to begin."""

    delivery: Delivery
    route: Route


@dataclass(frozen=True, slots=True)
class MessageSent:
    """It belongs to the conversation now."""

    delivery: Delivery
    route: Route


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A dead letter; its id may come again."""

    delivery: Delivery
    reason: str


Effect = DeliveryChanged | Attempt | MessageSent | GivenUp


@dataclass(frozen=True, slots=True)
class ThreadDecision:
    """The thread from now on, what to write, and whether its turn came while too much was under way."""

    thread: Thread
    effects: tuple[Effect, ...] = ()
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Gate:
    """What holds for the partition: room for a further attempt, until when an account is halted (0: it is not), whose turn it
    is by the limits of account and recipient, who we are."""

    room: Callable[[Route], bool] = field(compare=False)
    halted_until: Callable[[str, str], int] = field(compare=False)
    turn: Callable[["Delivery", Route], int] = field(compare=False)
    """When this attempt may leave, ms. The same moment for as long as the delivery waits for it."""
    owner: str = ""
