"""The agents of open interactions, in the survey lane: a completed event names the last agent only.

One entry of the changelog per interaction that an agent was assigned to ("h/"), until its end.
"""

from typing import Final

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.kafka.lane import InvalidRecord, Outbox
from services.feedback.domain.reasons import Reason
from services.feedback.translate import kept

MOST_AGENTS: Final = 20
"""If an interaction has had more agents, the first ones are left out."""
_ENTRY: Final = b"h/"


class InteractionAgents:
    """Agents of the open interactions of one partition."""

    def __init__(self) -> None:
        self._agents: dict[bytes, tuple[str, ...]] = {}

    def restore(self, key: bytes, value: bytes) -> bool:
        """Restore an entry; returns False for an entry of another kind."""
        if not key.startswith(_ENTRY):
            return False
        self._agents[key] = kept.decode_agents(value)
        return True

    def handle(self, command: pb.FeedbackCommand, tenant: str, outbox: Outbox) -> bool:
        """Handle a command. Returns True if it was only about the agents of an interaction. `tenant`: of the record's key."""
        which = command.WhichOneof("command")
        if which not in ("assignment", "interaction_end"):
            return False
        about = command.assignment if which == "assignment" else command.interaction_end
        if not about.interaction_id:
            raise InvalidRecord(Reason.UNDECODABLE, "interaction_id is empty")
        if command.tenant != tenant:
            raise InvalidRecord(Reason.TENANT_MISMATCH, "the key belongs to another tenant")
        if which == "interaction_end":
            self._forget(tenant, about.interaction_id, outbox)
            return True
        entry = _entry(tenant, about.interaction_id)
        agents = with_agent(self._agents.get(entry, ()), command.assignment.agent_id)
        if agents != self._agents.get(entry, ()):
            outbox.put(entry, kept.encode(agents))
            self._agents[entry] = agents
        return True

    def complete(self, command: pb.FeedbackCommand) -> None:
        """Name all agents of a completed interaction in the command, which names the last one; other commands stay."""
        if command.WhichOneof("command") != "consider":
            return
        subject = command.consider.subject
        agents = self._agents.get(_entry(command.tenant, subject.interaction_id), ())
        for agent_id in subject.agent_ids:
            agents = with_agent(agents, agent_id)
        del subject.agent_ids[:]
        subject.agent_ids.extend(agents)

    def forget_completed(self, command: pb.FeedbackCommand, outbox: Outbox) -> None:
        """Forget a completed interaction, after its command was decided."""
        if command.WhichOneof("command") == "consider":
            self._forget(command.tenant, command.consider.subject.interaction_id, outbox)

    def _forget(self, tenant: str, interaction_id: str, outbox: Outbox) -> None:
        entry = _entry(tenant, interaction_id)
        if entry in self._agents:
            outbox.delete(entry)
            del self._agents[entry]


def with_agent(agents: tuple[str, ...], agent_id: str) -> tuple[str, ...]:
    """Return the agents with one more at the end; each is listed once, at the latest place."""
    if not agent_id:
        return agents
    return (*(each for each in agents if each != agent_id), agent_id)[-MOST_AGENTS:]


def _entry(tenant: str, interaction_id: str) -> bytes:
    return _ENTRY + f"{len(tenant)}:{tenant}/{interaction_id}".encode("utf-8", "surrogatepass")
