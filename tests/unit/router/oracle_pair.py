"""The engine and the oracle side by side: the same commands and clocks, and a comparison after each.

Compared are who gets what and when, what is refused, and what each agent has; not the order of effects within a step, positions or reasons.
The oracle names the offers here, and the names are translated for the engine.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from services.policy.model.routing import PoolConfig
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.engine import Engine
from services.router.domain.model import Stage
from tests.unit.router.oracle import Decided, Oracle
from tests.unit.router.oracle_state import Phase
from tests.unit.router.world import START

_PHASES = {
    Stage.WAITING: Phase.WAITING,
    Stage.OFFERED: Phase.WAITING,
    Stage.ASSIGNED: Phase.HELD,
    Stage.WRAP_UP: Phase.WRAP_UP,
    Stage.SCHEDULED: Phase.SCHEDULED,
}
_TOLD_ONLY_BY_ORACLE = ("queued again",)
_TABLE = {
    *(
        "SCHEDULED",
        "DELAYED",
        "MATCH_WINDOW",
        "QUEUE_NOT_SERVED",
        "SKILL_MISSING",
        "SKILL_TOO_LOW",
        "KEPT_FOR_ANOTHER_AGENT",
    ),
    *(
        "DECLINED",
        "NOT_ANSWERED",
        "TAKEN_AWAY",
        "ALREADY_OFFERED",
        "TRANSFERRING_AGENT",
        "OFFLINE",
        "AWAY",
        "NOT_RESPONDING",
        "CONNECTION_LOST",
        "NO_CREDITS",
    ),
    *(
        "RESTING",
        "HAS_PARKED_INTERACTION",
        "NO_CAPACITY",
        "CHANNEL_FULL",
        "EXCLUSIVE_CHANNEL",
        "CHANNEL_NOT_SERVED",
        "KEPT_FREE",
    ),
}


def decisions(effects: Iterable[fx.Effect]) -> list[Decided]:
    """Return what the engine decided, in the oracle's terms."""
    return [told for effect in effects if (told := _told(effect))]


def _told(effect: fx.Effect) -> Decided:  # noqa: C901 - one line for each kind of effect
    match effect:
        case fx.Queued(attributes=f, again=False):
            return "queued", f.interaction_id, f.queue
        case fx.Scheduled(attributes=f, start_at_ms=start):
            return "scheduled", f.interaction_id, start
        case fx.Overflowed(attributes=f, from_queue=queue, rule=rule):
            return "overflowed", f.interaction_id, queue, rule, f.queue, f.priority
        case fx.Parked(attributes=f, agent_id=agent, by=by):
            return "parked", f.interaction_id, agent, by
        case fx.Resumed(attributes=f, agent_id=agent):
            return "resumed", f.interaction_id, agent
        case fx.Offered(attributes=f, agent_id=agent, expires_at_ms=expires, offer_id=offer_id):
            return "offered", f.interaction_id, agent, expires, offer_id
        case fx.OfferEnded(attributes=f, agent_id=agent, end=end):
            return "offer ended", f.interaction_id, agent, end.name
        case fx.Assigned(attributes=f, agent_id=agent, waited_ms=waited, over_capacity=over):
            return "assigned", f.interaction_id, agent, waited, over
        case fx.Replied(attributes=f, agent_id=agent, first=first):
            return "replied", f.interaction_id, agent, first
        case fx.ReplyOutcome(attributes=f, agent_id=agent, state=state):
            return "outcome", f.interaction_id, agent, state
        case fx.CustomerMessaged(attributes=f, message_id=message):
            return "customer", f.interaction_id, message
        case fx.CustomerSilent(attributes=f):
            return "silent", f.interaction_id
        case fx.CustomerLeft(attributes=f):
            return "customer", f.interaction_id, ""
        case fx.Transferred(attributes=f, from_agent_id=transferring_agent, queue=queue, to_agent_id=to):
            return "transferred", f.interaction_id, transferring_agent, queue, to
        case fx.Completed(attributes=f, agent_id=agent, wrap_up_until_ms=until):
            return "completed", f.interaction_id, agent, until
        case fx.WrapUpEnded(attributes=f, agent_id=agent):
            return "wrap-up ended", f.interaction_id, agent
        case fx.Abandoned(attributes=f, waited_ms=waited):
            return "abandoned", f.interaction_id, waited
        case fx.Cancelled(attributes=f):
            return "cancelled", f.interaction_id
        case fx.AgentStateChanged(agent_id=agent, before=before, after=after):
            return "agent", agent, before.name, after.name
        case fx.Result(ok=ok, reason=reason):
            return "result", ok, reason
    return ()


def _short(value: Any) -> str:
    """Return a command, or a part of it, without values that are defaults."""
    if not is_dataclass(value) or isinstance(value, type):
        return repr(value) if not isinstance(value, tuple) else f"({', '.join(_short(v) for v in value)})"
    usual = {f.name: f.default for f in fields(value)}
    told = [
        f"{name}={_short(v)}" for name in usual if (v := getattr(value, name)) != usual[name] and name != "reply_to"
    ]
    return f"{type(value).__name__}({', '.join(told)})"


def _compared(decided: Iterable[Decided]) -> list[Decided]:
    """Return decisions in the form in which they are compared.

    Left out are: names of offers; the code of an answer to an offer that has ended (how long the engine remembers them is not specified); and which
    condition of the table refused a pick (`explain` is compared for that).
    """
    found: list[Decided] = []
    for what in decided:
        if what[0] == "offered":
            found.append(what[:4])
        elif what[0] == "result" and "OFFER" in what[2]:
            found.append(("result", what[1], "OFFER"))
        elif what[0] == "result" and what[2] in _TABLE:
            found.append(("result", what[1], "NOT_ELIGIBLE"))
        elif what[0] not in _TOLD_ONLY_BY_ORACLE:
            found.append(what)
    return sorted(found, key=repr)


@dataclass
class Pair:
    """Both engines; see the module. Raises AssertionError when they differ; `story` holds the steps before."""

    config: PoolConfig
    now: int = START
    engine: Engine = field(default_factory=Engine)
    oracle: Oracle = field(default_factory=Oracle)
    offer_ids: dict[str, str] = field(default_factory=dict)
    story: list[str] = field(default_factory=list)
    log: list[tuple[int, cmd.Command]] = field(default_factory=list)
    """The commands that the engine received, and when."""

    def __post_init__(self) -> None:
        self.tell(cmd.ActivateConfiguration(self.config))

    def tell(self, command: cmd.Command) -> None:
        """Send a command to both; timers that are due have been served."""
        if not isinstance(command, cmd.ActivateConfiguration):
            self.story.append(f"+{(self.now - START) / 1000:g} s  {_short(command)}")
        theirs = command
        if isinstance(command, cmd.AcceptOffer | cmd.DeclineOffer):
            theirs = replace(command, offer_id=self.offer_ids.get(command.offer_id, command.offer_id))
        self.log.append((self.now, theirs))
        self._same(decisions(self.engine.handle(theirs, self.now)), self.oracle.handle(command, self.now))

    def wait(self, ms: int) -> None:
        """Let time pass. Each engine is woken when it wants to be: one that forgets a timer acts late, and they differ."""
        until = self.now + ms
        while (due := self._next()) is not None and due <= until:
            self.now = due
            engine_due, oracle_due = self.engine.next_wakeup(), self.oracle.next_wakeup()
            theirs = decisions(self.engine.advance(due)) if engine_due is not None and engine_due <= due else []
            ours = self.oracle.advance(due) if oracle_due is not None and oracle_due <= due else []
            self._same(theirs, ours)
        self.now = until

    def _next(self) -> int | None:
        times = [due for side in (self.engine, self.oracle) if (due := side.next_wakeup()) is not None]
        return max(self.now, min(times)) if times else None

    def _same(self, theirs: list[Decided], ours: list[Decided]) -> None:
        theirs_seen, ours_seen = visible_in_engine(self.engine), visible_in_oracle(self.oracle)
        told, known = _lasting(_compared(theirs), theirs_seen), _lasting(_compared(ours), ours_seen)
        if told != known or theirs_seen != ours_seen:
            only_engine = [str(d) for d in told if d not in known] + _without(theirs_seen, ours_seen)
            only_oracle = [str(d) for d in known if d not in told] + _without(ours_seen, theirs_seen)
            story = [*self.story, f"+{(self.now - START) / 1000:g} s"]
            lines = ["", *story, "engine alone:", *only_engine, "oracle alone:", *only_oracle]
            raise AssertionError("\n  ".join(lines))
        offered = sorted(d for d in ours if d[0] == "offered"), sorted(d for d in theirs if d[0] == "offered")
        self.offer_ids.update({our[4]: their[4] for our, their in zip(*offered, strict=True)})


def _lasting(decided: list[Decided], seen: dict[str, Any]) -> list[Decided]:
    """Leave out interactions that were resumed for a moment, before they were taken from the same agent or parked again."""
    return [d for d in decided if d[0] != "resumed" or seen.get(f"interaction {d[1]}", [""] * 8)[6:8] == (d[2], False)]


def _without(seen: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [f"{name}: {what}" for name, what in seen.items() if other.get(name) != what]


def visible_in_engine(engine: Engine) -> dict[str, Any]:
    """Return what is visible of the engine: where each interaction is, and each agent."""
    core = engine.core
    seen: dict[str, Any] = {}
    for interaction in core.interactions.values():
        offers = [(offer.agent_id, offer.expires_at) for offer in interaction.offers.values()]
        attributes = interaction.attributes
        seen[f"interaction {interaction.id}"] = (
            _PHASES[interaction.stage],
            attributes.queue,
            attributes.priority,
            attributes.arrived_at_ms,
            [label for label in attributes.labels if label[0] != "callback"],
            attributes.due_at_ms,
            interaction.agent_id,
            interaction.parked,
            sorted(offers),
        )
    for agent in core.agents.values():
        seen[f"agent {agent.id}"] = (agent.state, agent.session_id, agent.profile)
    seen |= {
        f"shift {name}": round(each.shift_ms, 1) for name, each in core.histories.items() if abs(each.shift_ms) > 0.1
    }
    return seen


def visible_in_oracle(oracle: Oracle) -> dict[str, Any]:
    """Return the same of the oracle."""
    seen: dict[str, Any] = {}
    for job in oracle.jobs.values():
        offers = [(offer.agent_id, offer.expires_at) for offer in job.offers]
        attributes = job.attributes
        seen[f"interaction {job.id}"] = (
            job.phase,
            attributes.queue,
            attributes.priority,
            attributes.arrived_at_ms,
            list(attributes.labels),
            attributes.due_at_ms,
            job.holder,
            job.parked,
            sorted(offers),
        )
    for person in oracle.people.values():
        seen[f"agent {person.id}"] = (person.state, person.session_id, person.profile)
    seen |= {
        f"shift {name}": round(each.shift_ms, 1) for name, each in oracle.histories.items() if abs(each.shift_ms) > 0.1
    }
    return seen
