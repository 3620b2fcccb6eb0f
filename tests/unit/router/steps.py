"""Make commands of the bytes of a game's steps, depending on what exists at their time. See `strategies`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.policy.model.routing import Selector
from services.router.domain import commands as cmd
from services.router.domain.model import AgentState, InteractionAttributes
from tests.unit.router.oracle import Oracle
from tests.unit.router.oracle_state import Phase
from tests.unit.router.strategies import QUEUES, Dice, Feature, requirements
from tests.unit.router.world import GATEWAY


def moves(features: frozenset[Feature]) -> Sequence[str]:
    """Return the possible steps, each as often as it should occur."""
    usual = {
        "wait": 10,
        "enqueue": 14,
        "accept": 12,
        "complete": 8,
        "back": 4,
        "decline": 3,
        "transfer": 3,
        "sign in": 2,
        "end wrap-up": 1,
        "left": 1,
        "cancel": 1,
        "message": 1,
        "reply": 1,
        "label": 1,
        "reprioritise": 2,
        "reroute": 2,
        "state": 2,
        "credits": 1,
        "learn": 1,
        "hang up": 2,
    }
    more = {
        Feature.LOST: {"renew": 4, "long wait": 3},
        Feature.WARM: {"warm": 5, "recall": 1},
        Feature.ASSIGN: {"pick": 3, "assign": 3},
        Feature.CALLBACK: {"callback": 4},
        Feature.ADAPTIVE: {"minute": 4},
        Feature.RECONFIGURED: {"reconfigure": 3},
        Feature.AWAITED: {"reply": 8, "outcome": 3, "message": 4},
    }
    for feature in sorted(features & set(more), key=lambda feature: feature.value):
        usual.update(more[feature])
    return [name for name, times in usual.items() for _ in range(times)]


@dataclass
class Steps:
    """Makes commands of steps, depending on the oracle's state."""

    oracle: Oracle
    features: frozenset[Feature]
    count: int = 0

    def __post_init__(self) -> None:
        self.moves = moves(self.features)
        self.config = self.oracle.config

    def fresh(self, prefix: str) -> str:
        """Return a new id."""
        self.count += 1
        return f"{prefix}{self.count}"

    def pick(self, n: int, *phases: Phase) -> tuple[str, str]:
        """Return an interaction in one of these phases and its holder, or an unknown one."""
        found = sorted((j.id, j.holder) for j in self.oracle.jobs.values() if not phases or j.phase in phases)
        return found[n % len(found)] if found else ("unknown", "a")

    def agent(self, n: int) -> str:
        """Return an agent; rarely an unknown one."""
        known = sorted(self.oracle.people)
        return "nobody" if n == 255 else known[n % len(known)]

    def session(self, n: int) -> tuple[str, str]:
        """Return an agent and their session."""
        agent = self.agent(n)
        person = self.oracle.people.get(agent)
        return agent, (person.session_id if person is not None else "") or "none"

    def offer(self, n: int, other: bool = False) -> tuple[str, str]:
        """Return agent and offer: an open one, or (other) an earlier one, or one of another agent."""
        found = sorted((o.agent_id, o.offer_id) for job in self.oracle.jobs.values() for o in job.offers)
        if found and not other:
            return found[n % len(found)]
        ended = sorted((agent, offer_id) for offer_id, (agent, _) in self.oracle.ended.items())
        if ended:
            return ended[n % len(ended)]
        return ("a", found[n % len(found)][1]) if found else ("a", "unknown.1")

    def command(self, numbers: bytes, now: int) -> cmd.Command | int:
        """Return the command of a step, or how long to wait. A step that does not apply mostly becomes another one."""
        dice = Dice(numbers)
        name, n = dice.of(*self.moves), dice.number()
        phases = [job.phase for job in self.oracle.jobs.values()]
        if name in ("complete", "transfer", "warm", "reply") and Phase.HELD not in phases:
            name = "accept"
        if name in ("accept", "decline") and not any(job.offers for job in self.oracle.jobs.values()):
            name = "back" if Phase.WAITING in phases else "enqueue"
        match name:
            case "wait":
                return dice.of(1, 500, 1_000, 2_000, 2_000, 4_000, 6_000)
            case "long wait":
                return dice.of(11_000, 15_000, 31_000)
            case "minute":
                return 60_000
            case "reconfigure":
                return self.reconfigure(n)
            case "enqueue":
                return self.enqueue(dice, now)
            case "accept":
                return cmd.AcceptOffer(*self.offer(n, other=dice.one_in(12)))
            case "decline":
                return cmd.DeclineOffer(*self.offer(n), "", dice.of(0, 3_000))
            case "complete":
                return cmd.CompleteInteraction(*reversed(self.pick(n, Phase.HELD)))
            case "end wrap-up":
                return cmd.EndWrapUp(*reversed(self.pick(n, Phase.WRAP_UP)))
            case "transfer":
                return self.transfer(n, dice)
            case "warm":
                held, holder = self.pick(n, Phase.HELD)
                to = dice.of("", self.agent(dice.number()))
                return cmd.TransferInteraction(holder, held, dice.of("", *QUEUES), to, warm=True)
            case "recall":
                handed = sorted(j.id for j in self.oracle.jobs.values() if j.phase is Phase.WAITING and j.holder)
                waiting, holder = self.pick(n, Phase.WAITING)
                name = handed[n % len(handed)] if handed else waiting
                return cmd.RecallTransfer(self.oracle.jobs[name].holder if handed else holder or "a", name)
            case _:
                return self.from_outside(name, n, dice, now)

    def reconfigure(self, n: int) -> cmd.Command:
        """Return the next version: some of the first version's queues, in its order, without rules that move to another one."""
        kept = [queue for k, queue in enumerate(self.config.queues) if n >> k & 1] or list(self.config.queues)
        names = {"", *(queue.name for queue in kept)}
        queues = tuple(replace(q, overflow=tuple(r for r in q.overflow if r.queue in names)) for q in kept)
        return cmd.ActivateConfiguration(replace(self.config, version=self.oracle.config.version + 1, queues=queues))

    def from_outside(self, name: str, n: int, dice: Dice, now: int) -> cmd.Command:
        """Return a command of customers, supervisors or other systems."""
        job, holder = self.pick(n)
        match name:
            case "pick":
                return cmd.AssignInteraction(self.pick(n, Phase.WAITING)[0], self.agent(dice.number()), picked=True)
            case "assign":
                interaction = dice.of(self.pick(n, Phase.WAITING)[0], job)
                return cmd.AssignInteraction(interaction, self.agent(dice.number()), force=dice.of(False, True))
            case "callback":
                at = dice.of(0, 5_000, 3_000)
                return cmd.RequestCallback(self.pick(n, Phase.WAITING)[0], now + at if at else 0)
            case "left":
                return cmd.CustomerLeft(job)
            case "cancel":
                return cmd.CancelInteraction(job)
            case "message":
                return cmd.CustomerMessaged(job, "m", dice.of(0, 0, 0, 1))
            case "reply":
                return cmd.RecordReply(holder or "a", job, dice.of("r", "s"), dice.of(False, False, True))
            case "outcome":
                return cmd.RecordReplyOutcome(job, holder or "a", dice.of("r", "s"), "d", dice.of(1, 1, 2, 3))
            case "label":
                return cmd.UpdateInteraction(job, (("tier", "gold"),))
            case "reprioritise":
                due = dice.of(0, -9_000, 20_000) if Feature.ORDER in self.features else 0
                return cmd.Reprioritise(job, dice.of(1, 3), due_at_ms=now + due if due else 0)
            case "reroute":
                asked = requirements(dice, self.features)
                interaction, _ = self.pick(n, Phase.WAITING, Phase.HELD)
                return cmd.Reroute(interaction, dice.of("", *QUEUES, "gone"), dice.of(None, None, asked))
            case _:
                return self.of_agents(name, n, dice)

    def of_agents(self, name: str, n: int, dice: Dice) -> cmd.Command:
        """Return a command about states, sessions or skills."""
        match name:
            case "sign in":
                agent, person = self.agent(n), self.oracle.people.get(self.agent(n))
                before = dice.of("", (person.session_id or person.lost[0]) if person is not None else "")
                state = dice.of(AgentState.UNSPECIFIED, AgentState.UNSPECIFIED, AgentState.AVAILABLE, AgentState.AWAY)
                return cmd.SignIn(agent, self.fresh("s"), before, dice.of(0, 0, 1, 2), state, reply_to=GATEWAY)
            case "back":
                away = sorted(p.id for p in self.oracle.people.values() if self.oracle.absence(p))
                agent = away[n % len(away)] if away else self.agent(n)
                if not away or self.oracle.people[agent].session_id in self.oracle.desks:
                    return cmd.SetAgentState(agent, AgentState.AVAILABLE)
                return cmd.SignIn(agent, self.fresh("s"), reply_to=GATEWAY)
            case "state":
                return cmd.SetAgentState(self.agent(n), dice.of(*reversed(AgentState)))
            case "credits":
                return cmd.GrantCredits(*self.session(n), dice.of(0, 1, 2))
            case "hang up":
                return cmd.CloseSession(*self.session(n), dice.of(False, True))
            case "renew":
                return cmd.RenewLeases(tuple(self.session(k)[1] for k in range(6) if n >> k & 1))
            case _:
                profile = self.oracle.people[sorted(self.oracle.people)[n % len(self.oracle.people)]].profile
                skills = {**dict(profile.skills), "french": dice.of(1.0, 3.0, 5.0)}
                return cmd.UpsertAgent(replace(profile, skills=tuple(sorted(skills.items()))))

    def enqueue(self, dice: Dice, now: int) -> cmd.Command:
        """Return a new interaction."""
        name = self.fresh("i")
        age = dice.of(0, 0, 1_000, 30_000, -5_000)
        start = dice.of(0, 0, 3_000) if Feature.SCHEDULE in self.features else 0
        due = dice.of(0, 5_000, -2_000) if Feature.ORDER in self.features else 0
        attributes = InteractionAttributes(
            name,
            f"c-{name}",
            f"p{dice.of(0, 1, 2)}",
            channel=dice.of("chat", "mail", "voice", "chat"),
            queue=dice.of(*QUEUES),
            priority=dice.of(0, 0, 0, 1, 2),
            requirements=requirements(dice, self.features),
            arrived_at_ms=now - age if age else 0,
            start_at_ms=now + start if start else 0,
            due_at_ms=now + due if due else 0,
            preferred_agent=dice.of("", "", "", "a", "b"),
            preferred_team=dice.of("", "red") if Feature.TEAMS in self.features else "",
        )
        return cmd.Enqueue(attributes)

    def transfer(self, n: int, dice: Dice) -> cmd.Command:
        """Return a transfer by the holder or a supervisor, to a queue or to an agent."""
        held, holder = self.pick(n, Phase.HELD)
        any_job, _ = self.pick(n, Phase.HELD, Phase.WAITING)
        transferring_agent, job = dice.of((holder, held), (holder, held), (holder, held), ("", held), ("", any_job))
        to_agent = self.agent(dice.number()) if dice.of(False, True) else ""
        own: tuple[Selector, ...] | None = None
        labels: tuple[tuple[str, str], ...] = ()
        if Feature.REQUIREMENTS_HANDED_ON in self.features:
            asked = requirements(dice, self.features)
            own, labels = dice.of(None, asked), dice.of((), (("tier", "gold"),))
        queue = dice.of("", *QUEUES, "gone") if dice.one_in(5) else dice.of("", *QUEUES)
        return cmd.TransferInteraction(transferring_agent, job, queue, to_agent, own, labels)
