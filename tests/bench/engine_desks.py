"""Agents' sessions and gateways in the engine's bench: breaks, signing out and in, lost connections, credits, new
proficiencies, renewed leases."""

from collections.abc import Callable, Mapping
from typing import Final

from services.policy.model.routing import AgentProfile
from services.router.domain import commands as cmd
from services.router.domain.model import AgentState
from tests.bench.engine_agenda import Agenda, Habits
from tests.bench.engine_pool import FEW_CREDITS, gateway_of

RENEWAL_MS: Final = 5_000
"""How often a gateway renews its sessions' leases (`services/router/settings.py`)."""
Deed = Callable[[str], cmd.Command | None]


class Desks:
    """Actions of agents that do not concern interactions, each at random times."""

    def __init__(
        self, agenda: Agenda, habits: Habits, agents: Mapping[str, AgentProfile], sessions: Mapping[str, str]
    ) -> None:
        self._agenda, self._habits, self._rng = agenda, habits, agenda.rng
        self._profiles = {agent_id: agents[agent_id] for agent_id in sorted(agents)}
        self.agents = list(self._profiles)
        self._number_of = {agent_id: n for n, agent_id in enumerate(self.agents)}
        self._away: set[str] = set()
        self._opened = len(self.agents)
        self._sessions: list[dict[str, str]] = [{} for _ in range(gateway_of(len(self.agents) - 1).partition + 1)]
        for agent_id, session in sessions.items():
            self._at(agent_id)[agent_id] = session
        for gateway in range(len(self._sessions)):
            agenda.plan(self._rng.randrange(RENEWAL_MS), self._renew, gateway)
        for every, what in (
            (habits.break_every_ms, self._break),
            (habits.sign_out_every_ms, self._sign_out),
            (habits.reconnect_every_ms, self._disconnect),
            (habits.credits_every_ms, self._credits),
            (habits.trained_every_ms, self._train),
        ):
            agenda.plan(self._soon(every), self._anybody, every, what)

    def at_work(self, agent: str) -> bool:
        """Return whether the agent is signed in and not on a break."""
        return agent in self._at(agent) and agent not in self._away

    def not_responding(self, agent: str) -> None:
        """After an offer to the agent has expired, plan their return for some time later."""
        self._agenda.plan(self._rng.randrange(20_000, 40_000), self._back, agent)

    def _at(self, agent: str) -> dict[str, str]:
        return self._sessions[gateway_of(self._number_of[agent]).partition]

    def _anybody(self, every: int, what: Deed) -> cmd.Command | None:
        """Let a random agent do it, and plan the next time."""
        self._agenda.plan(self._soon(every), self._anybody, every, what)
        return what(self._rng.choice(self.agents))

    def _soon(self, every: int) -> int:
        return int(self._rng.expovariate(len(self.agents) / every)) + 1

    def _break(self, agent: str) -> cmd.Command | None:
        if not self.at_work(agent):
            return None
        self._away.add(agent)
        self._agenda.plan(self._rng.randrange(self._habits.break_ms // 2, 2 * self._habits.break_ms), self._back, agent)
        return self._agenda.command(cmd.SetAgentState, agent, AgentState.AWAY, "BREAK")

    def _back(self, agent: str) -> cmd.Command | None:
        if agent not in self._at(agent):
            if agent in self._away:
                self._agenda.plan(10_000, self._back, agent)
            return None
        self._away.discard(agent)
        return self._agenda.command(cmd.SetAgentState, agent, AgentState.AVAILABLE)

    def _sign_out(self, agent: str) -> cmd.Command | None:
        session = self._at(agent).pop(agent, "")
        if not session:
            return None
        self._away.discard(agent)
        self._agenda.plan(self._rng.randrange(20_000, 60_000), self._sign_in, agent, "")
        return self._agenda.command(cmd.CloseSession, agent, session, True)

    def _disconnect(self, agent: str) -> cmd.Command | None:
        session = self._at(agent).pop(agent, "")
        if not session:
            return None
        for_good = self._rng.random() < self._habits.lost
        after = self._rng.randrange(90_000, 120_000) if for_good else self._rng.randrange(1_000, 5_000)
        self._agenda.plan(after, self._sign_in, agent, "" if for_good else session)
        return self._agenda.command(cmd.CloseSession, agent, session, False)

    def _sign_in(self, agent: str, resumes: str) -> cmd.Command | None:
        if agent in self._at(agent):
            return None
        number = self._number_of[agent]
        self._at(agent)[agent] = session = f"5e551011-0000-5000-8000-{self._opened:012}"
        self._opened += 1
        if not resumes:
            self._away.discard(agent)
        credits = 2 if number % FEW_CREDITS == 0 else 0
        return self._agenda.command(cmd.SignIn, agent, session, resumes, credits, reply_to=gateway_of(number))

    def _credits(self, agent: str) -> cmd.Command | None:
        agent = self.agents[self._number_of[agent] // FEW_CREDITS * FEW_CREDITS]
        session = self._at(agent).get(agent)
        if session is None:
            return None
        return self._agenda.command(cmd.GrantCredits, agent, session, self._rng.choice((1, 2, 3)))

    def _train(self, agent: str) -> cmd.Command | None:
        """Let the agent learn something: another proficiency in one skill."""
        old = self._profiles[agent]
        skills = dict(old.skills)
        skill = self._rng.choice([name for name in skills if "=" not in name])
        skills[skill] = skills[skill] % 10 + 1
        new = AgentProfile(agent, old.display_name, tuple(sorted(skills.items())), old.capacity_profile, old.queues)
        self._profiles[agent] = new
        return self._agenda.command(cmd.UpsertAgent, new)

    def _renew(self, gateway: int) -> cmd.Command | None:
        self._agenda.plan(RENEWAL_MS, self._renew, gateway)
        alive = tuple(self._sessions[gateway].values())
        return cmd.RenewLeases(alive, reply_to=cmd.ReplyTo(f"gateway-{gateway}", gateway))
