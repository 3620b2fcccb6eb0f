"""What the engine can be told. Every command names its id (idempotency key) and where its result goes."""

from dataclasses import dataclass

from services.router.domain.model import AgentProfile, AgentState, Facts, PoolConfig, Selector


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """The gateway that waits, and the partition that it reads."""

    gateway_id: str
    partition: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What all commands have. An empty `command_id` is never remembered.

    `expected_epoch`, on commands about one interaction: refused when the interaction has had another number of events; 0 does not ask.
    """

    command_id: str = ""
    reply_to: ReplyTo | None = None
    supervisor: bool = False
    expected_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Enqueue(Command):
    facts: Facts


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
    """`credits`: offers that the desk can show at once, 0 as capacity allows. `state` UNSPECIFIED: as it was, AVAILABLE when new."""

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
    """An empty agent means that a supervisor transfers. `requirements` None keeps the interaction's own; `labels` are the context handed on.

    Warm: the giver holds it until somebody has accepted.
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
    """The giver of a warm transfer takes it back."""

    agent_id: str
    interaction_id: str


@dataclass(frozen=True, slots=True)
class AssignInteraction(Command):
    """Give work to an agent without an offer: a supervisor's order, or the agent picks it from the queue himself (`picked`).

    `force` goes over capacity, state and skills; it is counted.
    """

    interaction_id: str
    agent_id: str
    force: bool = False
    picked: bool = False


@dataclass(frozen=True, slots=True)
class RequestCallback(Command):
    """The customer hangs up and keeps his place; `at_ms` 0 means when it is his turn, otherwise not before that."""

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
    """`requirements` None keeps the interaction's own; `added` come on top. `waiting_only` leaves alone what an agent holds."""

    interaction_id: str
    queue: str = ""
    requirements: tuple[Selector, ...] | None = None
    added: tuple[Selector, ...] = ()
    waiting_only: bool = False


@dataclass(frozen=True, slots=True)
class Reprioritise(Command):
    """`due_at_ms` 0 leaves the deadline as it is."""

    interaction_id: str
    add: int
    reason: str = ""
    due_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class ActivateConfiguration(Command):
    config: PoolConfig
