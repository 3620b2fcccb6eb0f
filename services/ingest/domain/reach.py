"""Which conversations a caller may read.

- A caller with the right to all conversations of the tenant: supervisors, administrators, services.
- An agent: the conversations with an interaction that they hold or were the last to hold, and those with an interaction in one of their
  queues. What is out of reach does not exist for them: NOT_FOUND, not a refusal that would confirm the id.
- An agent whom the configuration does not name has no queues, so only their own conversations.
"""

from collections.abc import Mapping
from dataclasses import dataclass

READ_ALL = "conversations.read"
READ_OWN = "conversations.read.own"


@dataclass(frozen=True, slots=True)
class Reach:
    """What one caller may read of one tenant. `everything`: no further limit."""

    tenant: str
    everything: bool = False
    agent_id: str = ""
    queues: frozenset[str] = frozenset()

    @classmethod
    def whole(cls, tenant: str) -> "Reach":
        """All conversations of the tenant."""
        return cls(tenant, everything=True)


def reach_of(tenant: str, scopes: frozenset[str], agent_id: str, queues_of: Mapping[str, frozenset[str]]) -> Reach:
    """The reach of a caller with these scopes. `queues_of`: the queues of each agent of the tenant."""
    if READ_ALL in scopes:
        return Reach.whole(tenant)
    if READ_OWN in scopes and agent_id:
        return Reach(tenant, agent_id=agent_id, queues=queues_of.get(agent_id, frozenset()))
    return Reach(tenant)
