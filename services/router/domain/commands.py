"""The commands of the engine. Every command has an id (idempotency key) and says where its result goes."""

from dataclasses import dataclass

from services.policy.model.routing import AgentProfile, PoolConfig, Selector
from services.router.domain.model import AgentState, InteractionAttributes


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """The gateway that waits for the result, and the partition that it reads."""

    gateway_id: str
    partition: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The fields of all commands. An empty `command_id` is never remembered.

    `expected_epoch`, for commands about one interaction: the command is refused when the interaction has had another number of events; 0
    means no check.
    """

    command_id: str = ""
    reply_to: ReplyTo | None = None
    supervisor: bool = False
    expected_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Enqueue(Command):
    facts: InteractionAttributes


@dataclass(frozen=True, slots=True)
class UpdateInteraction(Command):
    interaction_id: str
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CustomerMessaged(Command):
    interaction_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class CustomerLeft(Command):
    interaction_id: str


@dataclass(frozen=True, slots=True)
class CancelInteraction(Command):
    interaction_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SignIn(Command):
    """`credits`: offers that the desk can show at once; 0 means as capacity allows. `state` UNSPECIFIED keeps it; a new agent is AVAILABLE."""

    agent_id: str
    session_id: str
    resumes: str = ""
    credits: int = 0
    state: AgentState = AgentState.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class CloseSession(Command):
    agent_id: str
    session_id: str
    signed_out: bool = False


@dataclass(frozen=True, slots=True)
class RenewLeases(Command):
    session_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GrantCredits(Command):
    agent_id: str
    session_id: str
    credits: int


@dataclass(frozen=True, slots=True)
class SetAgentState(Command):
    agent_id: str
    state: AgentState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AcceptOffer(Command):
    agent_id: str
    offer_id: str


@dataclass(frozen=True, slots=True)
class DeclineOffer(Command):
    agent_id: str
    offer_id: str
    reason: str = ""
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True)
class RecordReply(Command):
    agent_id: str
    interaction_id: str
    reply_id: str


@dataclass(frozen=True, slots=True)
class CompleteInteraction(Command):
    agent_id: str
    interaction_id: str
    disposition: str = ""


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class RecallTransfer(Command):
    """Take back a warm transfer, by the transferring agent."""

    agent_id: str
    interaction_id: str


@dataclass(frozen=True, slots=True)
class AssignInteraction(Command):
    """Assign an interaction to an agent without an offer: a supervisor assigns it, or the agent picks it from the queue (`picked`).

    `force` ignores capacity, state and skills; forced assignments are counted.
    """

    interaction_id: str
    agent_id: str
    force: bool = False
    picked: bool = False


@dataclass(frozen=True, slots=True)
class RequestCallback(Command):
    """Request a callback: the customer hangs up and keeps their place. `at_ms` 0 means when it is their turn; otherwise not before that time."""

    interaction_id: str
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class EndWrapUp(Command):
    agent_id: str
    interaction_id: str


@dataclass(frozen=True, slots=True)
class UpsertAgent(Command):
    profile: AgentProfile


@dataclass(frozen=True, slots=True)
class Reroute(Command):
    """`requirements` None keeps the interaction's own; `added` are added to them. `waiting_only` ignores interactions that an agent holds."""

    interaction_id: str
    queue: str = ""
    requirements: tuple[Selector, ...] | None = None
    added: tuple[Selector, ...] = ()
    waiting_only: bool = False


@dataclass(frozen=True, slots=True)
class Reprioritise(Command):
    """`due_at_ms` 0 keeps the deadline."""

    interaction_id: str
    add: int
    reason: str = ""
    due_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class ActivateConfiguration(Command):
    config: PoolConfig
