"""The sender lane's state and output: deliveries, conversations, events, effects. All classes are values; the decisions are
in `sending`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from typing import Final

from services.ingest.domain.delivery_facts import DeliveryFact, DeliveryState, Facts, Verdict, verdict
from services.ingest.domain.messages import Route, SendRequest
from services.policy.model.intake import DAY_MS, AccountPolicy

NOT_ATTEMPTED: Final = "NOT_ATTEMPTED"
"""Reason of an attempt that was handed over and never started. Such an attempt does not count."""

MAX_LIVE: Final = 200
"""The maximum number of deliveries that wait in one conversation; more are refused."""

MAX_FAILED: Final = 50
"""The maximum number of failed deliveries whose attempt numbers a conversation keeps."""

MAX_SETTLED: Final = 20
"""The maximum number of settled deliveries that a conversation keeps; the oldest leave first."""

MAX_HELD: Final = 8
"""The maximum number of reports that wait for the native ids of an attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderLimits:
    """Limits of the sender. Times in ms."""

    duplicate_window_ms: int = 7 * DAY_MS
    duplicate_ids_most: int = 20_000
    idle_conversation_ms: int = 30 * DAY_MS
    orphan_grace_ms: int = 30_000
    """How long an outcome may still arrive after all records written before the takeover have been read."""
    late_outcome_ms: int = 600_000
    """How long an UNKNOWN delivery remains in memory, in case an outcome with more information arrives."""
    reports_kept_ms: int = 7 * DAY_MS
    """How long reports about a settled delivery are taken. Mail servers try for five days before they send a bounce."""
    first_halt_ms: int = 30_000
    last_halt_ms: int = 1_800_000
    max_in_flight: int = 500
    """The maximum number of attempts in flight in one partition."""
    max_in_flight_account: int = 8
    """The maximum number of attempts in flight of one account, so that the provider is not overloaded and no attempt
    waits for others."""


class Status(Enum):
    """The state of a delivery in memory."""

    WAITING = "WAITING"
    ATTEMPTING = "ATTEMPTING"
    ORPHANED = "ORPHANED"
    UNKNOWN = "UNKNOWN"
    SETTLED = "SETTLED"


class Outcome(IntEnum):
    """The outcome of an attempt. The numbers are those of the contract."""

    UNSPECIFIED = 0
    ACCEPTED = 1
    RETRY = 2
    REJECTED = 3
    UNREACHABLE = 4
    UNKNOWN = 5
    HALTED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A fact about a delivery that is stated after an attempt, by a status report or a bounce.

    `delivery`: the delivery's id, or at least its first 12 hexadecimal digits. If it is empty, `native_id` names the
    part. `parts`: number of parts of the message; 0: not known.
    """

    fact: DeliveryFact
    delivery: str = ""
    native_id: str = ""
    parts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One thing to send. Times in ms.

    `number` numbers all attempts and never goes back. `tried` counts only the attempts that count against the maximum.
    """

    delivery_id: str
    request: SendRequest
    asked_at_ms: int
    status: Status = Status.WAITING
    due_ms: int = 0
    number: int = 0
    tried: int = 0
    halted_ms: int = 0
    owner: str = ""
    """The process run that performs the attempt."""
    native_ids: tuple[str, ...] = ()
    reason: str = ""
    facts: Facts = ()
    parts: int = 0
    """The number of parts that a report has stated; 0: none has."""
    recorded: bool = False
    """Whether the message is part of the conversation."""
    unreachable: bool = False
    """Whether the provider says that nothing can reach this customer."""
    held: tuple[Reported, ...] = ()
    """Reports by native id that came while the attempt's own native ids were not known."""

    @property
    def verdict(self) -> Verdict | None:
        """Return what became of the delivery, by the facts so far."""
        return verdict(self.facts, max(self.parts, len(self.native_ids)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderConversation:
    """The sender's state of a conversation."""

    conversation_id: str
    tenant: str
    active_at_ms: int
    route: Route | None = None
    migrated_from: str = ""
    """The address that the provider has replaced. A route that still names it is corrected."""
    deliveries: tuple[Delivery, ...] = ()
    failed: Mapping[str, int] = field(default_factory=dict)
    """Failed deliveries with the number of their last attempt. Only these can be replayed. A replayed delivery continues
    this numbering, so that no two attempts have the same number."""
    address_failed: bool = False
    """Whether the customer's lane was notified that nothing reaches the address, and not that something does again."""
    settled: tuple[Delivery, ...] = ()
    """Deliveries about which reports may still arrive, without their texts; the oldest first."""

    @property
    def place(self) -> str:
        """The key of this state."""
        return place_of(self.tenant, self.conversation_id)

    @property
    def key_owner(self) -> str:
        """The owner of the key that seals this state."""
        # Only a conversation without a route uses its own key: an erasure of the identity may not find that key.
        return self.route.identity.identity_id if self.route is not None else self.conversation_id

    @property
    def head(self) -> Delivery | None:
        """Return the delivery that is sent next."""
        for delivery in self.deliveries:
            if delivery.status is not Status.UNKNOWN:
                return delivery
        return None

    def find(self, delivery_id: str) -> Delivery | None:
        """Return a delivery that is in memory, by its id."""
        return next((d for d in self.deliveries if d.delivery_id == delivery_id), None)

    def having(self, delivery: Delivery) -> "SenderConversation":
        """Return the conversation with the newest version of this delivery."""
        changed = tuple(delivery if d.delivery_id == delivery.delivery_id else d for d in self.deliveries)
        return replace(self, deliveries=changed)

    def without(self, delivery_id: str) -> "SenderConversation":
        """Return the conversation without this delivery."""
        return replace(self, deliveries=tuple(d for d in self.deliveries if d.delivery_id != delivery_id))


def place_of(tenant: str, conversation_id: str) -> str:
    """Return the key of a tenant's conversation: equal ids of different tenants have different keys."""
    return f"{tenant}/{conversation_id}"


@dataclass(frozen=True, slots=True)
class SendingRequested:
    """A request to send something; its id is new here."""

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


Event = Route | SendingRequested | Finished | Reported

# ---- effects


@dataclass(frozen=True, slots=True)
class DeliveryChanged:
    """Publish the state of a delivery."""

    delivery: Delivery
    state: DeliveryState
    reason: str
    verdict: Verdict | None = None
    """The verdict that gives the state; None while the sender still works on it."""


@dataclass(frozen=True, slots=True)
class ReplyOutcomeChanged:
    """Report to the router whether an agent's reply was sent, failed, or may have been sent."""

    delivery: Delivery
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class InvitationFailed:
    """Report to feedback that a survey invitation did not arrive."""

    delivery: Delivery
    reason: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """Perform this attempt once this record is durable. `number` and the number of completed parts say where to start."""

    delivery: Delivery
    route: Route


@dataclass(frozen=True, slots=True)
class MessageRecorded:
    """The message becomes part of the conversation: it was sent, or an agent must see that it was not."""

    delivery: Delivery
    route: Route
    state: DeliveryState


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Write a dead letter. The delivery's id may be used again."""

    delivery: Delivery
    reason: str


@dataclass(frozen=True, slots=True)
class DeliveryNoticed:
    """Report to the lane of the customer that a reply or an address has failed, or that the address works again."""

    delivery: Delivery
    route: Route
    state: DeliveryState
    reason: str
    address_failed: bool


@dataclass(frozen=True, slots=True)
class ReportUnmatched:
    """Count a report about a delivery that this conversation does not know, or no longer."""

    report: Reported


Effect = (
    DeliveryChanged
    | ReplyOutcomeChanged
    | InvitationFailed
    | Attempt
    | MessageRecorded
    | GivenUp
    | DeliveryNoticed
    | ReportUnmatched
)


@dataclass(frozen=True, slots=True)
class SendingDecision:
    """The conversation's new state, the effects to write, and whether the delivery was blocked because too many attempts are
    in flight."""

    conversation: SenderConversation
    effects: tuple[Effect, ...] = ()
    blocked: bool = False


def default_account(channel: str, account: str) -> AccountPolicy:
    """Return an account that is not configured."""
    return AccountPolicy(channel=channel, account=account)


@dataclass(frozen=True, slots=True)
class Gate:
    """The conditions that apply to the whole partition.

    Whether there is room for one more attempt, the time until which an account is halted (0: not halted), the time that
    the limits of account and recipient allow, and the id of this process run.
    """

    room: Callable[[Route], bool] = field(compare=False)
    halted_until: Callable[[str, str], int] = field(compare=False)
    turn: Callable[["Delivery", Route], int] = field(compare=False)
    """Returns the time at which this attempt may leave, ms. The time does not change while the delivery waits for it."""
    owner: str = ""
    account: Callable[[str, str], AccountPolicy] = field(default=default_account, compare=False)
    """Returns the configuration of an account, by channel and name."""
