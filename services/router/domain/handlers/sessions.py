"""Sessions of agents: sign-in, sign-out, and lost connections.

A session lives as long as its gateway renews its lease. The offers of a lost session are revoked at once. What the agent holds waits for them
for the pool's grace period and is then routed again. A second session of an agent replaces the first.
"""

from services.policy.model.routing import PoolConfig
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.assignment.ledger import snapshot_notice
from services.router.domain.assignment.parking import resume
from services.router.domain.assignment.waiting import look_again, place
from services.router.domain.handlers.agent_state import revoke_offers, set_state, take_back
from services.router.domain.handlers.transfers import requeue_held
from services.router.domain.model import AgentState
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.state import Agent, Interaction, Session
from services.router.domain.pool.timers import Timer
from services.router.domain.reasons import Reason

_FOR_DESKS = (AgentState.AVAILABLE, AgentState.AWAY)
TAKEOVER_MS = 5_000


def _config(core: PoolState) -> PoolConfig:
    assert core.config is not None  # there are no agents before a configuration
    return core.config


def sign_in(core: PoolState, command: cmd.SignIn) -> str:
    """Open a session, new or resumed."""
    if core.config is None:
        return Reason.NO_CONFIGURATION
    agent = core.agents.get(command.agent_id)
    if agent is None:
        return Reason.UNKNOWN_AGENT
    if command.reply_to is None:
        return Reason.NO_GATEWAY
    taken: list[Interaction] = []
    before = core.sessions.get(agent.session_id)
    resumed = before is not None and before.session_id == command.resumes
    if before is not None:
        if not resumed:
            core.notify(agent, fx.SessionEndedNotice(Reason.SESSION_REPLACED))
        reason = "SESSION_RESUMED" if resumed else Reason.SESSION_REPLACED
        _forget(core, agent, before)
        core.update_rank(agent)
        taken = take_back(core, agent, reason)
    lease = core.now + _config(core).lease_ms
    session = Session(command.session_id, agent.id, command.reply_to, max(0, command.credits), lease)
    core.sessions[session.session_id] = session
    agent.session_id = session.session_id
    agent.grace_until = 0
    core.arm_leases((session.session_id,), lease)
    core.dirty["s", session.session_id] = None
    core.dirty["a", agent.id] = None
    wanted = command.state if command.state in _FOR_DESKS else AgentState.UNSPECIFIED
    if not resumed and command.resumes and command.resumes == agent.lost[0]:
        # Late, after the lease: the agent gets their state back, and what they declined stays declined.
        resumed, wanted = True, wanted or AgentState(agent.lost[1])
    if not resumed:
        agent.sign_in += 1
        wanted = wanted or AgentState.AVAILABLE
    agent.lost = ("", 0)
    if wanted and wanted is not agent.state:
        set_state(core, agent, wanted, "SESSION_RESUMED" if resumed else "SIGNED_IN")
    core.update_rank(agent, freed=True)
    for (
        interaction
    ) in taken:  # after the agent has a session again, so that interactions reserved for them stay reserved
        place(core, interaction)
    core.notify(agent, snapshot_notice(core, agent))
    return ""


def _forget(core: PoolState, agent: Agent, session: Session) -> None:
    del core.sessions[session.session_id]
    core.dirty["s", session.session_id] = None
    if agent.session_id == session.session_id:
        agent.session_id = ""


def close(core: PoolState, command: cmd.CloseSession) -> str:
    """Close a session: the agent signed out, or the connection was lost and only the lease still holds the session."""
    session = core.sessions.get(command.session_id)
    if session is None or session.agent_id != command.agent_id:
        return Reason.UNKNOWN_SESSION
    agent = core.agents[session.agent_id]
    if command.signed_out:
        _sign_out(core, agent, session, Reason.SIGNED_OUT)
    elif session.attached:
        session.attached = False
        core.dirty["s", session.session_id] = None
        core.update_rank(agent)
        revoke_offers(core, agent, "CONNECTION_LOST")
        look_again(core, agent)
    return ""


def _sign_out(core: PoolState, agent: Agent, session: Session, reason: str) -> None:
    set_state(core, agent, AgentState.OFFLINE, reason)
    core.notify(agent, fx.SessionEndedNotice(reason))
    _forget(core, agent, session)
    agent.grace_until = 0
    core.dirty["a", agent.id] = None
    core.update_rank(agent)
    requeue_held(core, agent, reason)


def remove(core: PoolState, agent: Agent) -> None:
    """Remove an agent from the pool: their session ends, and what they hold or are offered is routed again, with its old age."""
    session = core.sessions.get(agent.session_id)
    if session is not None:
        _sign_out(core, agent, session, Reason.AGENT_REMOVED)
    else:
        requeue_held(core, agent, Reason.AGENT_REMOVED)
    core.forget_agent(agent)


def renew(core: PoolState, command: cmd.RenewLeases) -> str:
    """Renew the leases of sessions that are alive at a gateway."""
    until = core.now + _config(core).lease_ms if core.config is not None else core.now
    sessions = core.sessions
    renewed: list[str] = []
    for session_id in command.session_ids:
        session = sessions.get(session_id)
        if session is not None and session.attached:
            session.lease_until = until
            renewed.append(session_id)
        elif session is None and command.reply_to is not None:
            core.effects.append(
                fx.ToDesk(command.reply_to, session_id, "", fx.SessionEndedNotice(Reason.UNKNOWN_SESSION))
            )
    if renewed:
        core.arm_leases(tuple(renewed), until)
    return ""


def leases_due(core: PoolState, due: int) -> None:
    """Handle the leases that were to end at a time: each was renewed since, or its session is lost."""
    sessions, ended = core.sessions, set[str]()
    for group in core.leases.pop(due):
        for session_id in group:
            session = sessions.get(session_id)
            if session is not None and session.lease_until <= due:
                ended.add(session_id)
    core.dirty["l", str(due)] = None
    for session_id in sorted(ended):
        _lose(core, sessions[session_id])


def _lose(core: PoolState, session: Session) -> None:
    agent = core.agents[session.agent_id]
    core.notify(agent, fx.SessionEndedNotice(Reason.LEASE_EXPIRED))
    agent.lost = (session.session_id, int(agent.state))
    _forget(core, agent, session)
    core.update_rank(agent)
    revoke_offers(core, agent, Reason.LEASE_EXPIRED)
    set_state(core, agent, AgentState.OFFLINE, Reason.LEASE_EXPIRED)
    core.dirty["a", agent.id] = None
    if agent.held:
        agent.grace_until = core.now + _config(core).grace_ms
        core.timers.arm(agent.grace_until, Timer.GRACE, agent.id)


def grace_due(core: PoolState, agent: Agent) -> None:
    """End the grace period: the agent did not come back."""
    agent.grace_until = 0
    core.dirty["a", agent.id] = None
    requeue_held(core, agent, "AGENT_LOST")


def grant_credits(core: PoolState, command: cmd.GrantCredits) -> str:
    """Set how many offers the desk can show."""
    session = core.sessions.get(command.session_id)
    if session is None or session.agent_id != command.agent_id:
        return Reason.UNKNOWN_SESSION
    session.credits = max(0, command.credits)
    core.dirty["s", session.session_id] = None
    core.update_rank(core.agents[session.agent_id], freed=True)
    return ""


def set_agent_state(core: PoolState, command: cmd.SetAgentState) -> str:
    """Set an agent's state, by the agent or by a supervisor."""
    agent = core.agents.get(command.agent_id)
    if agent is None:
        return Reason.UNKNOWN_AGENT if core.config is not None else Reason.NO_CONFIGURATION
    session = core.sessions.get(agent.session_id)
    if command.state is AgentState.OFFLINE:
        if session is None:
            return "" if agent.state is AgentState.OFFLINE else Reason.UNKNOWN_SESSION
        _sign_out(core, agent, session, command.reason or Reason.SIGNED_OUT)
        return ""
    if command.state in (AgentState.UNSPECIFIED, AgentState.NOT_RESPONDING):
        return Reason.INVALID_STATE
    if session is None:
        return Reason.AGENT_NOT_SIGNED_IN
    if agent.state is command.state and command.reason and command.reason != agent.state_reason:
        agent.state_reason = command.reason
        core.dirty["a", agent.id] = None
    set_state(core, agent, command.state, command.reason or ("SUPERVISOR" if command.supervisor else "AGENT"))
    return ""


def upsert_agent(core: PoolState, command: cmd.UpsertAgent) -> str:
    """Add or change an agent."""
    if core.config is None:
        return Reason.NO_CONFIGURATION
    if not command.profile.agent_id:
        return Reason.UNKNOWN_AGENT
    if command.profile.agent_id not in core.agents and len(core.agents) >= core.limits.agents:
        return Reason.TOO_MANY_AGENTS
    agent = core.adopt_profile(command.profile)
    resume(core, agent)
    core.update_rank(agent, freed=True)
    look_again(core, agent)
    return ""


def extend(core: PoolState) -> None:
    """Begin all leases again, and extend grace periods and offers: after the shard got another owner, or the log was out of reach.

    Meanwhile no session could renew its lease, no agent could come back, and no offer could be answered: all get the time again. No lease is
    longer than that, so one that a wrong clock has given ends too.
    """
    if core.config is None:
        return
    lease = core.now + core.config.lease_ms
    extended: list[str] = []
    for session in core.sessions.values():
        if session.lease_until != lease:
            session.lease_until = lease
            extended.append(session.session_id)
    if extended:
        core.arm_leases(tuple(extended), lease)
    for agent in core.agents.values():
        if agent.grace_until and agent.grace_until < lease:
            agent.grace_until = lease
            core.timers.arm(lease, Timer.GRACE, agent.id)
            core.dirty["a", agent.id] = None
    soonest = core.now + TAKEOVER_MS
    for interaction in core.interactions.values():
        for offer in interaction.offers.values():
            if offer.expires_at < soonest:
                offer.expires_at = soonest
                core.timers.arm(soonest, Timer.OFFER, offer.offer_id)
                core.dirty["i", interaction.id] = None
        if 0 < interaction.silence_at < soonest:  # the customer could not be heard either
            interaction.silence_at = soonest
            core.timers.arm(soonest, Timer.SILENCE, interaction.id)
