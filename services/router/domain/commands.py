"""The commands of the engine. Every command has an id (idempotency key) and says where its result goes.

Commands are not changed once they are made. They are not frozen because one is made for every record, and a frozen one takes three times as
long to make (decision 0035).
"""

from dataclasses import dataclass

from services.policy.model.routing import AgentProfile, PoolConfig, Selector
from services.router.domain.model import AgentState, InteractionAttributes


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """The gateway that waits for the result, and the partition that it reads."""

    gateway_id: str
    partition: int


@dataclass(slots=True, kw_only=True)
class Command:
    """The fields of all commands. An empty `command_id` is never remembered.

    `expected_epoch`, for commands about one interaction: the command is refused when the interaction has had another number of events; 0
    means no check.
    """

    command_id: str = ""
    reply_to: ReplyTo | None = None
    supervisor: bool = False
    expected_epoch: int = 0


@dataclass(slots=True)
class Enqueue(Command):
    """Put a new interaction into its queue."""

    attributes: InteractionAttributes


@dataclass(slots=True)
class UpdateInteraction(Command):
    """Set labels of an interaction; other labels stay."""

    interaction_id: str
    labels: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class CustomerMessaged(Command):
    """The customer wrote a message that belongs to an open interaction. `automatic`: the contract's AutomaticKind."""

    interaction_id: str
    message_id: str
    automatic: int = 0


@dataclass(slots=True)
class CustomerLeft(Command):
    """The customer left: a waiting interaction is abandoned, and the agent of a held one is notified."""

    interaction_id: str


@dataclass(slots=True)
class CancelInteraction(Command):
    """Cancel an interaction, whether it waits or an agent holds it."""

    interaction_id: str
    reason: str = ""


@dataclass(slots=True)
class SignIn(Command):
    """`credits`: offers that the desk can show at once; 0 means as capacity allows. `state` UNSPECIFIED keeps it; a new agent is AVAILABLE."""

    agent_id: str
    session_id: str
    resumes: str = ""
    credits: int = 0
    state: AgentState = AgentState.UNSPECIFIED


@dataclass(slots=True)
class CloseSession(Command):
    """End a session of an agent. Not `signed_out`: the connection was lost, and the agent has a grace period to resume."""

    agent_id: str
    session_id: str
    signed_out: bool = False


@dataclass(slots=True)
class RenewLeases(Command):
    """Renew the leases of sessions whose desks are still connected."""

    session_ids: tuple[str, ...]


@dataclass(slots=True)
class GrantCredits(Command):
    """Set the number of unanswered offers that the desk can show."""

    agent_id: str
    session_id: str
    credits: int


@dataclass(slots=True)
class SetAgentState(Command):
    """Set an agent's state. `reason` is the agent's own word for it, such as a break."""

    agent_id: str
    state: AgentState
    reason: str = ""


@dataclass(slots=True)
class AcceptOffer(Command):
    """Accept an offer: the agent gets the interaction."""

    agent_id: str
    offer_id: str


@dataclass(slots=True)
class DeclineOffer(Command):
    """Decline an offer. The interaction is not offered to this agent for `retry_after_ms`; 0 means until the next sign-in."""

    agent_id: str
    offer_id: str
    reason: str = ""
    retry_after_ms: int = 0


@dataclass(slots=True)
class RecordReply(Command):
    """Record that the agent replied to the customer. The text takes another way and is not here."""

    agent_id: str
    interaction_id: str
    reply_id: str
    awaits_outcome: bool = False


@dataclass(slots=True)
class RecordReplyOutcome(Command):
    """Record what became of a reply. `state` is the contract's ReplyState, `failure` the sender's reason code."""

    interaction_id: str
    agent_id: str
    reply_id: str
    delivery_id: str
    state: int
    failure: str = ""
    retryable: bool = False


@dataclass(slots=True)
class CompleteInteraction(Command):
    """Complete an interaction; its wrap-up begins if the queue has one."""

    agent_id: str
    interaction_id: str
    disposition: str = ""


@dataclass(slots=True)
class TransferInteraction(Command):
    """An empty agent means that a supervisor transfers. `requirements` None keeps the interaction's own; `labels` are the context passed on.

    In a warm transfer the transferring agent holds the interaction until another agent has accepted it.
    """

    agent_id: str
    interaction_id: str
    queue: str = ""
    to_agent_id: str = ""
    requirements: tuple[Selector, ...] | None = None
    labels: tuple[tuple[str, str], ...] = ()
    warm: bool = False


@dataclass(slots=True)
class RecallTransfer(Command):
    """Take back a warm transfer, by the transferring agent."""

    agent_id: str
    interaction_id: str


@dataclass(slots=True)
class AssignInteraction(Command):
    """Assign an interaction to an agent without an offer: a supervisor assigns it, or the agent picks it from the queue (`picked`).

    `force` ignores capacity, state and skills; forced assignments are counted.
    """

    interaction_id: str
    agent_id: str
    force: bool = False
    picked: bool = False


@dataclass(slots=True)
class RequestCallback(Command):
    """Request a callback: the customer hangs up and keeps their place. `at_ms` 0 means when it is their turn; otherwise not before that time."""

    interaction_id: str
    at_ms: int = 0


@dataclass(slots=True)
class EndWrapUp(Command):
    """End the wrap-up of a completed interaction before its time."""

    agent_id: str
    interaction_id: str


@dataclass(slots=True)
class UpsertAgent(Command):
    """Add an agent, or replace their profile."""

    profile: AgentProfile


@dataclass(slots=True)
class Reroute(Command):
    """`requirements` None keeps the interaction's own; `added` are added to them. `waiting_only` ignores interactions that an agent holds."""

    interaction_id: str
    queue: str = ""
    requirements: tuple[Selector, ...] | None = None
    added: tuple[Selector, ...] = ()
    waiting_only: bool = False


@dataclass(slots=True)
class Reprioritise(Command):
    """`due_at_ms` 0 keeps the deadline."""

    interaction_id: str
    add: int
    reason: str = ""
    due_at_ms: int = 0


@dataclass(slots=True)
class ActivateConfiguration(Command):
    """Put a new configuration of the pool into force."""

    config: PoolConfig


@dataclass(slots=True)
class ReceiveInteraction(Command):
    """Take an interaction over from another pool, because its queue is in this one now. The fields are those of `state.Interaction`.

    `version`: the configuration by which the other pool decided. `epoch` 0: it is new, and the other pool never had it in a queue.
    """

    attributes: InteractionAttributes
    reason: str
    version: int
    epoch: int
    enqueued_at: int
    waiting_since: int
    waited: int = 0
    replied: bool = False
    callback: bool = False
    not_before: int = 0
    overflowed: tuple[str, ...] = ()
    answered_in: str = ""
