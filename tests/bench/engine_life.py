"""Customers, agents, gateways and supervisors that produce the commands of the engine's bench: a closed loop on a
virtual clock.

Their next actions follow from the engine's effects alone, so equal decisions produce equal commands.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, Final

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState, InteractionAttributes
from tests.bench.engine_agenda import Agenda, Habits
from tests.bench.engine_desks import Desks
from tests.bench.engine_fill import Filled
from tests.bench.engine_pool import Plan, attributes_of

_TALK: Final = (0.15, 0.3, 0.5, 0.7, 1.0)
"""Times as shares of the handling time: customer, agent, customer, agent, end."""
_REFUSED_RETRY_MS: Final = 5_000
_MOST_ARRIVALS: Final = 20
"""Most arrivals in one batch: the first ones are spread over time, so that not everything expires at once."""


class Where(IntEnum):
    """State of an interaction, as customers and agents know it."""

    WAITING = 1
    OFFERED = 2
    HELD = 3
    WRAP_UP = 4


class Open:
    """An open interaction as customers and agents know it. `turn` counts its moves: an action planned for an earlier
    turn is void."""

    __slots__ = ("agent", "attributes", "offer", "turn", "where")

    def __init__(self, attributes: InteractionAttributes) -> None:
        self.attributes = attributes
        self.where = Where.WAITING
        self.agent = self.offer = ""
        self.turn = 0


class Life:
    """See the module. `due(now)` returns the commands of a batch, `saw(effects)` takes their effects."""

    def __init__(self, plan: Plan, start: Filled, habits: Habits, seed: int = 1) -> None:
        self.plan, self.habits = plan, habits
        self.agenda = Agenda(seed, start.now)
        self._rng = self.agenda.rng
        self.desks = Desks(self.agenda, habits, plan.agents, start.sessions)
        self.open: dict[str, Open] = {}
        self.count: Counter[Where] = Counter()
        self.refused: Counter[tuple[str, str]] = Counter()
        self._owed: deque[str] = deque()
        self._arrived = len(start.open)
        for attributes, agent in start.open.values():
            self._adopt(attributes, agent)

    # Interface for the bench

    def due(self, now: int) -> list[cmd.Command]:
        """Return the commands of the batch at `now`, arrivals last."""
        made = self.agenda.due(now)
        made.extend(self._arrival() for _ in range(min(self.lacking(), _MOST_ARRIVALS)))
        self._owed.clear()
        return made

    def lacking(self) -> int:
        """Return how many open, or waiting, interactions are missing."""
        if self.habits.open:
            return self.habits.open - len(self.open)
        return self.plan.size.waiting - self.count[Where.WAITING]

    def saw(self, effects: Iterable[fx.Effect]) -> None:
        """Take the engine's effects."""
        for effect in effects:
            look = _SAW.get(type(effect))
            if look is not None:
                look(self, effect)

    def idle_share(self) -> float:
        """Return the share of the agents who hold nothing and are offered nothing."""
        busy = {known.agent for known in self.open.values() if known.agent}
        return 1 - len(busy) / len(self.desks.agents)

    # Arrivals

    def _arrival(self) -> cmd.Command:
        """Return an arrival in the queue from which an interaction was taken, so that no queue becomes empty or
        grows."""
        queue = self._owed.popleft() if self._owed else self.plan.any_queue(self._rng)
        attributes = attributes_of(
            self._rng.choice(self.plan.intents[queue]), self._arrived, self.agenda.now, self._rng
        )
        self._arrived += 1
        self._adopt(attributes, "")
        return self.agenda.command(cmd.Enqueue, attributes)

    def _adopt(self, attributes: InteractionAttributes, agent: str) -> None:
        known = self.open[attributes.interaction_id] = Open(attributes)
        if agent:
            known.where, known.agent = Where.HELD, agent
            self._talk(known, self._rng.random())
        else:
            self._fate(attributes.interaction_id)
        self.count[known.where] += 1

    def _fate(self, name: str) -> None:
        """Plan at most one event from outside for an interaction."""
        chance, habits = self._rng.random(), self.habits
        fates = (
            (habits.left, self._leave),
            (habits.warned, self._warn),
            (habits.rerouted, self._reroute),
            (habits.cancelled, self._cancel),
        )
        for share, act in fates:
            if chance < share:
                self.agenda.plan(self._rng.randrange(1_000, habits.regret_ms), act, name)
                return
            chance -= share

    # Actions of customers, the SLA service and supervisors

    def _leave(self, name: str) -> cmd.Command | None:
        known = self.open.get(name)
        return self.agenda.command(cmd.CustomerLeft, name) if known and known.where is not Where.WRAP_UP else None

    def _cancel(self, name: str) -> cmd.Command | None:
        known = self.open.get(name)
        return self.agenda.command(cmd.CancelInteraction, name) if known and known.where is not Where.WRAP_UP else None

    def _warn(self, name: str) -> cmd.Command | None:
        known = self.open.get(name)
        if known is None or known.where is not Where.WAITING:
            return None
        return self.agenda.command(cmd.Reprioritise, name, 5, "SLA_WARNING", supervisor=True)

    def _reroute(self, name: str) -> cmd.Command | None:
        known = self.open.get(name)
        if known is None or known.where is not Where.WAITING or not (queues := self.plan.moves(known.attributes)):
            return None
        return self.agenda.command(cmd.Reroute, name, self._rng.choice(queues), None, supervisor=True)

    # Actions of agents on an interaction

    def _current(self, name: str, turn: int, where: Where) -> Open | None:
        known = self.open.get(name)
        return known if known is not None and known.turn == turn and known.where is where else None

    def _answer(self, name: str, turn: int) -> cmd.Command | None:
        known = self._current(name, turn, Where.OFFERED)
        if known is None:
            return None
        if self._rng.random() < self.habits.declined:
            return self.agenda.command(
                cmd.DeclineOffer, known.agent, known.offer, "BUSY", self._rng.choice((0, 60_000))
            )
        return self.agenda.command(cmd.AcceptOffer, known.agent, known.offer)

    def _talk(self, known: Open, so_far: float = 0.0) -> None:
        """Plan the next step of the handling, of which a share is already over."""
        whole = int(self.habits.handle_ms * self._rng.uniform(0.4, 1.6))
        step = next(n for n, share in enumerate(_TALK) if share > so_far)
        after = int(whole * (_TALK[step] - so_far))
        self.agenda.plan(after, self._step, known.attributes.interaction_id, known.turn, step, whole)

    def _step(self, name: str, turn: int, step: int, whole: int) -> cmd.Command | None:
        known = self._current(name, turn, Where.HELD)
        if known is None:
            return None
        if step + 1 < len(_TALK):
            self.agenda.plan(int(whole * (_TALK[step + 1] - _TALK[step])), self._step, name, turn, step + 1, whole)
            if step % 2 == 0:
                return self.agenda.command(cmd.CustomerMessaged, name, f"{name}.m{step}")
            return self.agenda.command(cmd.RecordReply, known.agent, name, f"{name}.r{step}")
        if self._rng.random() < self.habits.transferred and (command := self._hand_on(known)) is not None:
            self.agenda.plan(_REFUSED_RETRY_MS, self._step, name, turn, step, whole)  # void unless it is refused
            return command
        return self.agenda.command(cmd.CompleteInteraction, known.agent, name, "solved")

    def _hand_on(self, known: Open) -> cmd.Command | None:
        name = known.attributes.interaction_id
        if self._rng.random() < self.habits.to_agent:
            team = self.plan.colleagues[self.plan.team_of[known.agent]]
            others = [agent for agent in team if agent != known.agent and self.desks.at_work(agent)]
            if not others:
                return None
            return self.agenda.command(cmd.TransferInteraction, known.agent, name, "", self._rng.choice(others))
        queues = self.plan.moves(known.attributes)
        if not queues:
            return None
        return self.agenda.command(cmd.TransferInteraction, known.agent, name, self._rng.choice(queues))

    def _label(self, name: str, turn: int) -> cmd.Command | None:
        known = self._current(name, turn, Where.HELD)
        return None if known is None else self.agenda.command(cmd.UpdateInteraction, name, (("topic", "invoice"),))

    def _end_wrap_up(self, name: str, turn: int) -> cmd.Command | None:
        known = self._current(name, turn, Where.WRAP_UP)
        return None if known is None else self.agenda.command(cmd.EndWrapUp, known.agent, name)

    # Effects that customers and agents see

    def _queued(self, effect: fx.Queued) -> None:
        known = self.open[effect.attributes.interaction_id]
        known.attributes = effect.attributes
        self._moved(known, Where.WAITING)

    def _offered(self, effect: fx.Offered) -> None:
        name = effect.attributes.interaction_id
        known = self.open[name]
        self._moved(known, Where.OFFERED, effect.agent_id)
        known.offer = effect.offer_id
        if self._rng.random() >= self.habits.unanswered:
            after = self._rng.randrange(self.habits.answer_ms // 3, 2 * self.habits.answer_ms)
            self.agenda.plan(after, self._answer, name, known.turn)

    def _offer_ended(self, effect: fx.OfferEnded) -> None:
        self._moved(self.open[effect.attributes.interaction_id], Where.WAITING)

    def _assigned(self, effect: fx.Assigned) -> None:
        name = effect.attributes.interaction_id
        known = self.open[name]
        self._moved(known, Where.HELD, effect.agent_id)
        self._talk(known)
        if self._rng.random() < self.habits.labelled:
            self.agenda.plan(10_000, self._label, name, known.turn)

    def _completed(self, effect: fx.Completed) -> None:
        if not effect.wrap_up_until_ms:
            self._gone(effect)
            return
        name = effect.attributes.interaction_id
        known = self.open[name]
        self._moved(known, Where.WRAP_UP, known.agent)
        if self._rng.random() < 0.5:
            after = (effect.wrap_up_until_ms - self.agenda.now) // 2
            self.agenda.plan(after, self._end_wrap_up, name, known.turn)

    def _gone(self, effect: fx.Event) -> None:
        known = self.open.pop(effect.attributes.interaction_id)
        self.count[known.where] -= 1
        if self.habits.open or known.where is Where.WAITING:
            self._owed.append(known.attributes.queue)

    def _moved(self, known: Open, where: Where, agent: str = "") -> None:
        if known.where is Where.WAITING and where is not Where.WAITING and not self.habits.open:
            self._owed.append(known.attributes.queue)
        self.count[known.where] -= 1
        self.count[where] += 1
        known.where, known.agent = where, agent
        known.turn += 1

    def _state_changed(self, effect: fx.AgentStateChanged) -> None:
        if effect.after is AgentState.NOT_RESPONDING:
            self.desks.not_responding(effect.agent_id)

    def _result(self, effect: fx.Result) -> None:
        if not effect.ok:
            self.refused[effect.kind, effect.reason] += 1


_SAW: Final[dict[type, Callable[[Life, Any], None]]] = {
    fx.Queued: Life._queued,
    fx.Offered: Life._offered,
    fx.OfferEnded: Life._offer_ended,
    fx.Assigned: Life._assigned,
    fx.Completed: Life._completed,
    fx.WrapUpEnded: Life._gone,
    fx.Abandoned: Life._gone,
    fx.Cancelled: Life._gone,
    fx.AgentStateChanged: Life._state_changed,
    fx.Result: Life._result,
}
