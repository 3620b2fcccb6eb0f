"""Run replications in parallel: a process for each core, which gets one replication at a time.

A worker ends when its pipe closes, so no worker remains however the main process ends; and workers leave Ctrl-C to the main process. A small amount
of work is done in the main process, because starting workers costs a second.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Final

from services.router.simulation import scenario as sc
from services.router.simulation.customers import draw
from services.router.simulation.floor import Floor
from services.router.simulation.measures import Observed, observe
from services.router.simulation.plan import Plan, make
from services.router.simulation.policy import Policy
from services.router.simulation.recorded import Recording
from services.router.simulation.shortcut import refusal
from services.router.simulation.shortcut import run as go_around

FEW_CUSTOMERS: Final = 8_000
"""Up to this number of customers one process is faster."""
_ENDING_S: Final = 5.0
Progress = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Case:
    """One variant: a policy (index in `Question.policies`) and the groups whose size differs from the scenario's."""

    policy: int = 0
    sizes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """The common part of all cases. A policy of None is made from the scenario's types."""

    scenario: sc.Scenario
    policies: tuple[Policy | None, ...] = (None,)
    recording: Recording | None = None
    shortcut: bool = False
    """Whether to decide without the engine where the plan is plain."""

    def plan(self, case: Case) -> Plan:
        """Return the plan of a case. Raises ScenarioError, ValueError."""
        policy = self.policies[case.policy]
        pool = policy.to_pool() if policy is not None else None
        return make(self.scenario, pool, sizes=dict(case.sizes), recording=self.recording)

    def customers(self) -> float:
        """Return the expected number of customers in a replication."""
        recorded = len(self.recording.times) if self.recording is not None else 0
        return recorded + sum(sc.expected_arrivals(self.scenario, kind) for kind in self.scenario.types.values())


class WorkerError(Exception):
    """A worker ended before its work did, for example because there was not enough memory."""


class DisagreementError(Exception):
    """The shortcut's result differs from the engine's: a bug of the shortcut."""


def replicate(plan: Plan, replication: int, *, shortcut: bool = False) -> Observed:
    """Run one replication in this process. Raises DisagreementError, in the first replication only."""
    customers = draw(plan, replication)
    if not shortcut or refusal(plan):
        return observe(plan, Floor(plan, customers, replication).run())
    log = go_around(plan, customers)
    if not replication and log != Floor(plan, customers, replication).run():
        raise DisagreementError("the shortcut and the engine disagree, which is a bug: run it with --no-shortcut")
    return observe(plan, log)


class Laboratory:
    """Runs cases of a question. Use it in a `with` statement: workers live that long."""

    def __init__(self, question: Question, processes: int | None = None, few: float = FEW_CUSTOMERS) -> None:
        """`processes` None: one for each core that is available. Up to `few` customers, no workers are started."""
        self._few = few
        self.question = question
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._processes = max(1, min(processes or cores, cores))
        self._plans: dict[Case, Plan] = {}
        self._workers: dict[Connection, SpawnProcess] = {}
        self._told: dict[Connection, Question] = {}
        """The question that each worker has received."""

    def __enter__(self) -> Laboratory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._workers:
            connection.close()
        for worker in self._workers.values():
            if kind is not None:
                worker.terminate()
            worker.join()

    def ask(self, question: Question) -> None:
        """Set another question for the same workers."""
        self.question = question
        self._plans.clear()

    def run(
        self, cases: Sequence[Case], replications: int | None = None, done: Progress = lambda: None, first: int = 0
    ) -> list[list[Observed]]:
        """Return for each case its replications in order, from the `first`. Raises ScenarioError, WorkerError, RefusedError."""
        count = replications or self.question.scenario.replications
        for case in cases:
            self.plan(case)  # contradictions are reported before any work is done
        jobs = [(place, replication) for replication in range(first, count) for place in range(len(cases))]
        alone = self._processes == 1 or len(jobs) == 1
        if alone or (not self._workers and self.question.customers() * len(jobs) <= self._few):
            found = {}
            for place, replication in jobs:
                found[place, replication] = replicate(
                    self.plan(cases[place]), replication, shortcut=self.question.shortcut
                )
                done()
        else:
            found = self._spread(cases, jobs, done)
        return [[found[place, replication] for replication in range(first, count)] for place in range(len(cases))]

    def plan(self, case: Case) -> Plan:
        """Return the plan of a case. Raises ScenarioError."""
        if case not in self._plans:
            self._plans[case] = self.question.plan(case)
        return self._plans[case]

    def _start(self, wanted: int) -> None:
        context = multiprocessing.get_context("spawn")
        while len(self._workers) < min(wanted, self._processes):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(theirs,), daemon=True)
            worker.start()
            theirs.close()
            self._workers[ours] = worker

    def _spread(
        self, cases: Sequence[Case], jobs: Sequence[tuple[int, int]], done: Progress
    ) -> dict[tuple[int, int], Observed]:
        self._start(len(jobs))
        left = iter(jobs)
        found: dict[tuple[int, int], Observed] = {}
        under_way: dict[Connection, tuple[int, int]] = {}

        def give(connection: Connection) -> None:
            job = next(left, None)
            if job is not None:
                under_way[connection] = job
                if self._told.get(connection) is not self.question:
                    self._told[connection] = self.question
                    connection.send(self.question)
                connection.send((cases[job[0]], job[1]))

        for connection in self._workers:
            give(connection)
        while under_way:
            for ready in wait(list(under_way)):
                assert isinstance(ready, Connection)
                try:
                    answer = ready.recv()
                except (EOFError, ConnectionError):
                    self._workers[ready].join(_ENDING_S)
                    code = self._workers[ready].exitcode
                    raise WorkerError(f"a worker ended with code {code}: perhaps there was too little memory") from None
                if isinstance(answer, BaseException):
                    raise answer
                found[under_way.pop(ready)] = answer
                done()
                give(ready)
        return found


def _work(connection: Connection) -> None:
    """Run in the worker: receive a question and its cases, send observations."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    question: Question | None = None
    plans: dict[Case, Plan] = {}
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        if isinstance(message, Question):
            question = message
            plans.clear()
            continue
        assert question is not None  # the question comes before its cases
        case, replication = message
        try:
            if case not in plans:
                plans[case] = question.plan(case)
            answer: Observed | Exception = replicate(plans[case], replication, shortcut=question.shortcut)
        except Exception as error:  # noqa: BLE001  # raised again in the main process
            answer = error
        try:
            connection.send(answer)
        except BrokenPipeError:
            return  # the main process is gone
