"""An agent's state, and what follows when the agent leaves AVAILABLE."""

from services.router.domain import effects as fx
from services.router.domain.assignment.ledger import end_offer
from services.router.domain.assignment.waiting import leave_line, look_again, place
from services.router.domain.model import AgentState, OfferEnd
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Agent, Interaction


def set_state(core: PoolState, agent: Agent, state: AgentState, reason: str) -> None:
    """Change an agent's state, and report it. Leaving AVAILABLE revokes the agent's offers and ends reservations for them."""
    before = agent.state
    if before is state:
        return
    agent.state = state
    agent.state_since = core.now
    agent.state_reason = reason
    agent.epoch += 1
    core.dirty["a", agent.id] = None
    if state is AgentState.AVAILABLE:
        agent.ranked_since = core.now
        core.update_rank(agent, freed=True)
    else:
        core.update_rank(agent)
        revoke_offers(core, agent, reason)
        look_again(core, agent)
    used, total = core.used_total(agent)
    core.effects.append(fx.AgentStateChanged(agent.id, agent.epoch, reason, before, state, used, total))
    core.notify(agent, fx.StateNotice(before, state, used, total))


def revoke_offers(core: PoolState, agent: Agent, reason: str) -> None:
    """Revoke everything that is offered to the agent. The interactions wait again at their old places."""
    for interaction in take_back(core, agent, reason):
        place(core, interaction)


def take_back(core: PoolState, agent: Agent, reason: str) -> list[Interaction]:
    """Revoke everything that is offered to the agent, and return it. The caller places the interactions."""
    taken = [core.interactions[interaction_id] for interaction_id in sorted(agent.offers)]
    for interaction in taken:
        end_offer(core, interaction, agent.id, OfferEnd.REVOKED, reason)
        leave_line(core, interaction)
    return taken
