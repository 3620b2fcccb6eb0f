"""The state of every customer.

An *attempt* is one interaction: the first attempts have the numbers of `Customers`, later ones follow in the order in which they arrive.
"""

from __future__ import annotations

from typing import Final

from services.router.simulation.customers import Customers, draw_one, lot, patience_of
from services.router.simulation.log import ANSWERED, UNSERVED, Log
from services.router.simulation.plan import Plan

WAITING, TAKEN, SERVED, GONE = range(4)
"""TAKEN: an agent has accepted, and the engine has not yet confirmed it."""
_UNBOUNDED: Final = float("inf")


class Attempts:
    """State of the customers of one replication, and their part of the log."""

    def __init__(self, plan: Plan, customers: Customers, replication: int) -> None:
        self._plan = plan
        self._replication = replication
        self._first = len(customers.arrived)
        self._handling = customers.handling
        self._patience = list(customers.patience)
        self._type_of = [kind.type_index for kind in plan.kinds]
        self._later: list[tuple[int, int]] = []
        """First attempt, and how many attempts came after it; by number, from the first later one."""
        types = [plan.scenario.types.get(name) for name in plan.types]
        bounds = [kind.waiting_places if kind is not None else None for kind in types]
        self._places = [_UNBOUNDED if bound is None else bound for bound in bounds]
        bound = plan.scenario.waiting_places
        self._places_in_all = _UNBOUNDED if bound is None else bound
        lines = [kind.lines if kind is not None else None for kind in types]
        self._lines = [_UNBOUNDED if bound is None else bound for bound in lines]
        self._lines_in_all = _UNBOUNDED if plan.scenario.lines is None else plan.scenario.lines
        self._open_by_type = [0] * len(types)
        self._retrials = [kind.retrials if kind is not None else None for kind in types]
        self._waiting = 0
        self._waiting_by_type = [0] * len(types)
        self.stage = [WAITING] * self._first
        self.turn: dict[int, int] = {}
        """How often an attempt's service was interrupted; 0 without an entry. Events that were planned in an earlier turn do not happen."""
        self.open = 0
        """Number of customers who are present: waiting or served."""
        self.returning = 0
        """Number of customers who will come again."""
        self.log = Log(list(customers.kind), list(customers.arrived), [UNSERVED] * self._first, [0.0] * self._first)

    def type_of(self, number: int) -> int:
        """Return the index of the attempt's type."""
        return self._type_of[self.log.kind[number]]

    def person(self, number: int) -> int:
        """Return the first attempt of the same customer."""
        return number if number < self._first else self._later[number - self._first][0]

    def patience(self, number: int) -> float:
        """Return how long this attempt waits, ms."""
        return self._patience[number]

    def handling(self, number: int, group: int) -> float:
        """Return how long an agent of a group needs for it, ms."""
        return self._handling[group][self.person(number)]

    def enter(self, number: int) -> None:
        """Record that the customer is present."""
        self._count(number, 1)
        self.wait(number)

    def _count(self, number: int, change: int) -> None:
        self.open += change
        self._open_by_type[self.type_of(number)] += change

    def has_no_line(self, number: int) -> bool:
        """Whether there is no line for a customer who is present already."""
        kind = self.type_of(number)
        return self.open > self._lines_in_all or self._open_by_type[kind] > self._lines[kind]

    def wait(self, number: int) -> None:
        """Record that the customer waits, for the first time or again."""
        self.stage[number] = WAITING
        self._waiting += 1
        self._waiting_by_type[self.type_of(number)] += 1

    def _wait_no_more(self, number: int) -> None:
        self._waiting -= 1
        self._waiting_by_type[self.type_of(number)] -= 1

    def is_one_too_many(self, number: int) -> bool:
        """Whether there is no waiting place for a customer who waits already."""
        kind = self.type_of(number)
        return self._waiting > self._places_in_all or self._waiting_by_type[kind] > self._places[kind]

    def answer(self, number: int, now: float) -> None:
        """Record that an agent serves the customer; only the first time counts as the answer."""
        self._wait_no_more(number)
        self.stage[number] = SERVED
        self._note(number, ANSWERED, now)

    def end(self, number: int) -> None:
        """Record that service is over."""
        self.stage[number] = GONE
        self._count(number, -1)

    def go(self, number: int, outcome: int, now: float) -> bool:
        """Record that the customer leaves without service.

        Returns whether this is the outcome: it is not if the customer was answered before a hand-over.
        """
        self._wait_no_more(number)
        self.stage[number] = GONE
        self._count(number, -1)
        return self._note(number, outcome, now)

    def _note(self, number: int, outcome: int, now: float) -> bool:
        log = self.log
        if log.outcome[number] != UNSERVED:
            return False
        log.outcome[number] = outcome
        log.waited[number] = now - log.arrived[number]
        return True

    def comes_again(self, number: int) -> tuple[float, int, int] | None:
        """Return the delay in ms, the first attempt, and the number of the next attempt after it; None when the customer gives up."""
        retrials = self._retrials[self.type_of(number)]
        person, attempt = (number, 0) if number < self._first else self._later[number - self._first]
        if retrials is None or attempt >= retrials.most:
            return None
        numbers = lot(self._plan.scenario.seed, self._replication, "again", person, attempt)
        if numbers.random() >= retrials.share:
            return None
        self.returning += 1
        return draw_one(retrials.delay, numbers), person, attempt + 1

    def again(self, person: int, attempt: int, now: float) -> int:
        """Add another attempt for the same purpose. Returns its number."""
        self.returning -= 1
        log, scenario = self.log, self._plan.scenario
        kind = log.kind[person]
        of_type = scenario.types.get(self._plan.types[self._type_of[kind]])
        if of_type is not None and of_type.retrials is not None and of_type.retrials.same_patience:
            self._patience.append(self._patience[person])
        else:
            numbers = lot(scenario.seed, self._replication, "patience again", person, attempt)
            self._patience.append(draw_one(patience_of(scenario, of_type, now), numbers))
        self._later.append((person, attempt))
        self.stage.append(WAITING)
        log.kind.append(kind)
        log.arrived.append(now)
        log.outcome.append(UNSERVED)
        log.waited.append(0.0)
        log.retries += 1
        return len(log.kind) - 1

    def close(self, now: float) -> None:
        """End the log: customers who still wait have waited until now."""
        for number, outcome in enumerate(self.log.outcome):
            if outcome == UNSERVED:
                self.log.waited[number] = now - self.log.arrived[number]
