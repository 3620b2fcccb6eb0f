"""The floor: simulated customers and agents around the live engine, on a virtual clock.

The clock runs in milliseconds with fractions, and all measures use it. The engine, which knows whole milliseconds, gets the time rounded down; so
decisions follow the exact order of events, and waits and handling are not rounded. Only events of the engine's own timers (the end of wrap-up, of
offers, relaxation) come up to 1 ms early, .5 ms on average.

Customers leave while they wait or while an offer rings, never while they are served. Agents accept at once unless their group has another rule.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any, Final

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.engine import Engine
from services.router.domain.model import AgentState, InteractionAttributes
from services.router.simulation.attempts import SERVED, TAKEN, WAITING, Attempts
from services.router.simulation.customers import Customers, draw_one, lot
from services.router.simulation.log import ABANDONED, BLOCKED, CANCELLED, Log
from services.router.simulation.plan import FOREVER, Plan

START: Final = 1_700_000_000_000
"""When the virtual clock starts, for the engine: any time is good."""
_DESKS: Final = cmd.ReplyTo("simulation", 0)
_FORGET_EVERY: Final = 65_536
_LONGEST_END_MS: Final = 86_400_000.0
"""How long customers who still wait are followed after the last arrival."""

# The kinds of events.
_END, _ON, _OFF, _ANSWER, _BACK, _LEAVE, _AGAIN = range(7)


class RefusedError(Exception):
    """The engine refused a command that the simulator expected it to accept: one of the two has a bug."""


class Floor:
    """One replication. It is not used again after `run`."""

    def __init__(self, plan: Plan, customers: Customers, replication: int, engine: Engine | None = None) -> None:
        """`engine`: one that has no state yet; by default one that makes only what is read here."""
        self._plan = plan
        self._replication = replication
        self._arrivals = customers.arrived
        self._kinds = [kind.attributes for kind in plan.kinds]
        self._attempts = Attempts(plan, customers, replication)
        self._log = self._attempts.log
        self._engine = engine or Engine(quiet=True)
        self._now = 0.0
        self._heap: list[tuple[float, int, int, Any, Any]] = []
        self._pushed = 0
        self._effects: list[fx.Effect] = []
        """Effects that are still to be processed."""
        self._agent_ids = [desk.agent_id for desk in plan.desks]
        self._agents = {agent_id: number for number, agent_id in enumerate(self._agent_ids)}
        self._group_of = [desk.group for desk in plan.desks]
        groups = [plan.scenario.groups.get(name) for name in plan.groups]
        self._answering = [group.answering if group is not None else None for group in groups]
        self._at_shift_end = [group.at_shift_end if group is not None else "finish" for group in groups]
        self._load = [0] * len(plan.desks)
        """Number of interactions that each agent has, including wrap-up."""
        self._busy_since = [0.0] * len(plan.desks)
        self._at_work = 0
        """Agents who have any interaction."""
        self._on_duty: set[int] = set()
        self._leaving: dict[int, float] = {}
        """Agents who finish their interactions after the end of a shift, and since when."""
        self._serving: dict[int, tuple[int, float, str]] = {}
        """Agent, end of service and id, by interaction in service."""
        self._parked_with: dict[int, tuple[int, float]] = {}
        """Agent and remaining time of parked interactions."""
        self._left: dict[int, float] = {}
        """Remaining time of interactions that were handed over."""
        self._offers: dict[str, tuple[int, str]] = {}
        """Offers that an agent has not yet answered: attempt and agent."""
        self._asked: dict[int, int] = {}

    def run(self) -> Log:
        """Run from the first shift until every customer is served or gone. Raises RefusedError."""
        self._open()
        arrived, heap, engine, attempts = self._arrivals, self._heap, self._engine, self._attempts
        first, number, forever = len(arrived), 0, FOREVER
        until: float = self._plan.scenario.duration + _LONGEST_END_MS
        while True:
            at = arrived[number] if number < first else forever
            due = heap[0][0] if heap else forever
            now = due if due <= at else at
            wake = engine.next_wakeup()
            wakes = forever if wake is None else float(wake - START)
            if wakes <= now and wake is not None:
                if wakes > until:
                    break
                self._wake(wakes)
                continue
            if now > until or (number >= first and not (attempts.open or attempts.returning or self._at_work)):
                break
            self._now = now
            if due <= at:
                _, _, what, one, other = heappop(heap)
                self._happen(what, one, other)
            else:
                self._arrive(number)
                number += 1
                if not number % _FORGET_EVERY:
                    engine.core.dirty.clear()  # a shard writes these to its changelog; here they would only accumulate
        self._close()
        return self._log

    # The engine

    def _tell(self, command: cmd.Command) -> None:
        self._log.commands += 1
        self._effects.extend(self._engine.handle(command, START + int(self._now)))

    def _settle(self) -> None:
        """Process the engine's effects, and the effects of the commands that follow from them."""
        effects, place = self._effects, 0
        while place < len(effects):
            effect = effects[place]
            place += 1
            match effect:
                case fx.Offered():
                    self._offered(effect)
                case fx.Assigned():
                    self._assigned(effect)
                case fx.Completed():
                    self._completed(effect)
                case fx.WrapUpEnded():
                    self._freed(self._agents[effect.agent_id])
                case fx.Queued():
                    self._queued(effect)
                case fx.Parked():
                    self._pause(int(effect.attributes.interaction_id))
                case fx.Resumed():
                    self._resumed(effect)
                case fx.OfferEnded():
                    self._offers.pop(effect.offer_id, None)
                case fx.Cancelled():
                    self._cancelled(effect)
                case fx.AgentStateChanged():
                    self._state_changed(effect)
                case fx.Result():
                    if not effect.ok:
                        raise RefusedError(f"{effect.kind}: {effect.reason}")
                case _:
                    pass  # for readers of the log and for desks, which a floor does not have
        effects.clear()

    def _happen(self, what: int, one: Any, other: Any) -> None:
        """Do what was planned."""
        if what == _END:
            self._end(one, other)
        elif what == _ON:
            self._come(one)
        elif what == _OFF:
            self._shift_over(one)
        elif what == _ANSWER:
            self._answer(one, other)
        elif what == _BACK:
            self._back(one)
        elif what == _LEAVE:
            self._leave(one, other)
        else:
            self._again(one, other)

    def _wake(self, wakes: float) -> None:
        self._now = max(self._now, wakes)
        self._effects.extend(self._engine.advance(START + int(self._now)))
        self._settle()

    def _plan_at(self, at: float, what: int, one: Any, other: Any = None) -> None:
        self._pushed += 1
        heappush(self._heap, (at, self._pushed, what, one, other))

    def _open(self) -> None:
        self._tell(cmd.ActivateConfiguration(self._plan.config))
        self._settle()
        end = self._plan.scenario.duration
        for number, desk in enumerate(self._plan.desks):
            for start, stop in desk.shifts:
                if start < end:
                    self._plan_at(start, _ON, number)
                if stop < end:
                    self._plan_at(stop, _OFF, number)

    def _close(self) -> None:
        self._log.end = self._now
        self._attempts.close(self._now)
        for agent, since in enumerate(self._busy_since):
            if self._load[agent]:
                self._log.busy.append((agent, since, self._now))
        for agent, since in self._leaving.items():
            self._log.overtime.append((agent, since, self._now))

    # Customers

    def _arrive(self, number: int) -> None:
        attempts, now = self._attempts, self._now
        kind = self._kinds[self._log.kind[number]]
        name = f"{number:09d}"  # interactions of the same millisecond are served in the order of their ids
        attempts.enter(number)
        if attempts.has_no_line(number):
            self._give_up(number, BLOCKED, None)
            return
        first = attempts.person(number)
        self._tell(cmd.Enqueue(_attributes(kind, name, name if first == number else f"{first:09d}", START + int(now))))
        self._settle()
        if attempts.stage[number] != WAITING:
            return
        if attempts.is_one_too_many(number):
            self._give_up(number, BLOCKED, cmd.CancelInteraction(name, "NO_PLACE"))
        elif attempts.patience(number) < FOREVER:
            self._plan_at(now + attempts.patience(number), _LEAVE, number, 0)

    def _leave(self, number: int, turn: int) -> None:
        """End the customer's patience, if they still wait in the same turn."""
        attempts = self._attempts
        if attempts.stage[number] == WAITING and attempts.turn.get(number, 0) == turn:
            self._give_up(number, ABANDONED, cmd.CustomerLeft(f"{number:09d}"))

    def _give_up(self, number: int, outcome: int, command: cmd.Command | None) -> None:
        """Let a customer go. `command` None: the engine does not know them."""
        lost = self._attempts.go(number, outcome, self._now)
        if command is not None:
            self._tell(command)
            self._settle()
        again = self._attempts.comes_again(number) if lost else None
        if again is not None:
            after, person, attempt = again
            self._plan_at(self._now + after, _AGAIN, person, attempt)

    def _again(self, person: int, attempt: int) -> None:
        self._arrive(self._attempts.again(person, attempt, self._now))

    # Agents

    def _come(self, agent: int) -> None:
        agent_id = self._agent_ids[agent]
        self._on_duty.add(agent)
        since = self._leaving.pop(agent, None)
        if since is not None:  # the agent still finishes the shift before
            self._log.overtime.append((agent, since, self._now))
            self._tell(cmd.SetAgentState(agent_id, AgentState.AVAILABLE))
        else:
            session = f"{agent_id}@{int(self._now)}"
            self._tell(cmd.SignIn(agent_id, session, reply_to=_DESKS, state=AgentState.AVAILABLE))
        self._settle()

    def _shift_over(self, agent: int) -> None:
        self._on_duty.discard(agent)
        state = AgentState.OFFLINE
        if self._at_shift_end[self._group_of[agent]] == "finish" and self._load[agent]:
            self._leaving[agent] = self._now
            state = AgentState.AWAY
        self._tell(cmd.SetAgentState(self._agent_ids[agent], state))
        self._settle()

    def _answer(self, offer_id: str, declines: bool) -> None:
        found = self._offers.pop(offer_id, None)
        if found is None:
            return  # it expired, or the customer left
        number, agent_id = found
        if declines:
            answering = self._answering[self._group_of[self._agents[agent_id]]]
            retry = round(answering.retry_after) if answering is not None else 0
            self._tell(cmd.DeclineOffer(agent_id, offer_id, retry_after_ms=retry))
        elif self._attempts.stage[number] == WAITING:
            self._attempts.stage[number] = TAKEN
            self._tell(cmd.AcceptOffer(agent_id, offer_id))
        self._settle()

    def _end(self, number: int, turn: int) -> None:
        """End a service, unless it was interrupted in the meantime."""
        if self._attempts.turn.get(number, 0) != turn or self._attempts.stage[number] != SERVED:
            return
        agent, _, name = self._serving.pop(number)
        self._attempts.end(number)
        self._tell(cmd.CompleteInteraction(self._agent_ids[agent], name))
        self._settle()

    def _back(self, agent: int) -> None:
        """Make an agent who did not respond available again, if their shift still lasts."""
        if agent in self._on_duty:
            self._tell(cmd.SetAgentState(self._agent_ids[agent], AgentState.AVAILABLE))
            self._settle()

    def _freed(self, agent: int) -> None:
        """Record that an agent has one interaction less."""
        self._load[agent] -= 1
        if self._load[agent]:
            return
        self._at_work -= 1
        self._log.busy.append((agent, self._busy_since[agent], self._now))
        since = self._leaving.pop(agent, None)
        if since is not None:
            self._log.overtime.append((agent, since, self._now))
            self._tell(cmd.SetAgentState(self._agent_ids[agent], AgentState.OFFLINE))

    # Effects of the engine

    def _offered(self, offer: fx.Offered) -> None:
        number = int(offer.attributes.interaction_id)
        if self._attempts.stage[number] != WAITING:
            return  # another agent who was asked has accepted it
        answering = self._answering[self._group_of[self._agents[offer.agent_id]]]
        if answering is None:
            self._attempts.stage[number] = TAKEN
            self._tell(cmd.AcceptOffer(offer.agent_id, offer.offer_id))
            return
        nth = self._asked[number] = self._asked.get(number, 0) + 1
        numbers = lot(self._plan.scenario.seed, self._replication, "answer", number, nth)
        ignores, declines = numbers.random() < answering.ignore, numbers.random() < answering.decline
        if not ignores:
            self._offers[offer.offer_id] = (number, offer.agent_id)
            delay = draw_one(answering.delay, numbers) if answering.delay is not None else 0.0
            self._plan_at(self._now + delay, _ANSWER, offer.offer_id, declines)

    def _assigned(self, event: fx.Assigned) -> None:
        name, agent, now = event.attributes.interaction_id, self._agents[event.agent_id], self._now
        number = int(name)
        attempts = self._attempts
        attempts.answer(number, now)
        handling = self._left.pop(number, None)
        if handling is None:
            handling = attempts.handling(number, self._group_of[agent])
        if not self._load[agent]:
            self._busy_since[agent] = now
            self._at_work += 1
        self._load[agent] += 1
        self._serving[number] = (agent, now + handling, name)
        self._plan_at(now + handling, _END, number, attempts.turn.get(number, 0))

    def _completed(self, event: fx.Completed) -> None:
        if not event.wrap_up_until_ms:
            self._freed(self._agents[event.agent_id])

    def _queued(self, event: fx.Queued) -> None:
        """Record an interaction that returns to the queue from an agent who left before it was done. Other arrivals are known already."""
        if not event.again:
            return
        number, attempts = int(event.attributes.interaction_id), self._attempts
        if number in self._serving:
            self._pause(number)
        if number not in self._parked_with:
            return
        agent, left = self._parked_with.pop(number)
        if self._at_shift_end[self._group_of[agent]] == "hand_over_resume":
            self._left[number] = left
        self._log.handed_over += 1
        attempts.wait(number)
        if attempts.patience(number) < FOREVER:
            self._plan_at(self._now + attempts.patience(number), _LEAVE, number, attempts.turn[number])
        self._freed(agent)

    def _pause(self, number: int) -> None:
        agent, end, _ = self._serving.pop(number)
        self._attempts.turn[number] = self._attempts.turn.get(number, 0) + 1
        self._parked_with[number] = (agent, end - self._now)

    def _resumed(self, event: fx.Resumed) -> None:
        name = event.attributes.interaction_id
        number = int(name)
        agent, left = self._parked_with.pop(number)
        self._serving[number] = (agent, self._now + left, name)
        self._plan_at(self._now + left, _END, number, self._attempts.turn[number])

    def _cancelled(self, event: fx.Cancelled) -> None:
        """Record a cancellation by the policy; those of the simulator itself are recorded already."""
        number = int(event.attributes.interaction_id)
        if self._attempts.stage[number] == WAITING:
            self._attempts.go(number, CANCELLED, self._now)

    def _state_changed(self, event: fx.AgentStateChanged) -> None:
        if event.after is AgentState.NOT_RESPONDING:
            agent = self._agents[event.agent_id]
            answering = self._answering[self._group_of[agent]]
            self._plan_at(self._now + (answering.back_after if answering is not None else 0.0), _BACK, agent)


def _attributes(kind: InteractionAttributes, name: str, person: str, at_ms: int) -> InteractionAttributes:
    """Return the attributes of an interaction of a kind: a constructor's call is compiled, `dataclasses.replace` is not."""
    return InteractionAttributes(
        name,
        name,
        person,
        "",
        kind.channel,
        "",
        kind.language,
        kind.queue,
        kind.priority,
        kind.requirements,
        kind.labels,
        at_ms,
    )
