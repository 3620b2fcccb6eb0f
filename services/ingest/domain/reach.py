"""The conversations that a caller may read.

- Supervisors, administrators and services have the right to all conversations of the tenant.
- An agent may read the conversations with an interaction that they hold or were the last to hold, and those with an interaction in
  one of their queues. For any other conversation the answer is NOT_FOUND: a refusal would confirm that the id exists.
- An agent whom the configuration does not name has no queues, so they may read only their own conversations.
"""

from collections.abc import Mapping
from dataclasses import dataclass

READ_ALL = "conversations.read"
READ_OWN = "conversations.read.own"


@dataclass(frozen=True, slots=True)
class Reach:
    """The conversations of one tenant that one caller may read. `everything`: all of them."""

    tenant: str
    everything: bool = False
    agent_id: str = ""
    queues: frozenset[str] = frozenset()

    @classmethod
    def whole(cls, tenant: str) -> "Reach":
        """Return the reach of all conversations of the tenant."""
        return cls(tenant, everything=True)


def reach_of(tenant: str, scopes: frozenset[str], agent_id: str, queues_of: Mapping[str, frozenset[str]]) -> Reach:
    """Return the reach of a caller with these scopes. `queues_of`: the queues of each agent of the tenant."""
    if READ_ALL in scopes:
        return Reach.whole(tenant)
    if READ_OWN in scopes and agent_id:
        return Reach(tenant, agent_id=agent_id, queues=queues_of.get(agent_id, frozenset()))
    return Reach(tenant)
