"""How many agents are at work for each queue: signed in and AVAILABLE, however busy, with the skills that the queue requires.

A connection that is lost for a moment does not count: until the lease ends, the agent is signed in.
"""

from services.policy.model.routing import QueueConfig
from services.router.domain.model import AgentState
from services.router.domain.pool.index import AgentGroup
from services.router.domain.pool.roster import Roster
from services.router.domain.pool.state import Agent


class Staffing:
    """Counts agents in their groups, and remembers the sums of queues until a count changes."""

    __slots__ = ("_sums", "changed")

    def __init__(self) -> None:
        self._sums: dict[str, int] = {}
        self.changed = False
        """Whether a count has changed since rules on staffing were asked."""

    def update(self, agent: Agent) -> None:
        """Count an agent whose session or state may have changed."""
        at_work = bool(agent.session_id) and agent.state is AgentState.AVAILABLE
        if at_work is not agent.at_work:
            agent.at_work = at_work
            agent.group.at_work += 1 if at_work else -1
            self.clear()

    def join(self, agent: Agent, group: AgentGroup) -> None:
        """Count an agent who has come into a group."""
        group.at_work += agent.at_work
        self.clear()

    def leave(self, agent: Agent, group: AgentGroup) -> None:
        """Stop counting an agent in a group."""
        group.at_work -= agent.at_work
        self.clear()

    def clear(self) -> None:
        """Forget the sums."""
        self._sums.clear()
        self.changed = True

    def of(self, queue: QueueConfig, roster: Roster) -> int:
        """Return the number of agents at work who serve a queue and meet its own requirements."""
        found = self._sums.get(queue.name)
        if found is None:
            groups = roster.serving(queue.name, ())
            found = sum(
                group.at_work for group in groups if group.at_work and group.serves(queue.name, queue.requirements)
            )
            self._sums[queue.name] = found
        return found
