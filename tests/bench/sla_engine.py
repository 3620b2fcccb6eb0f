"""What an armed deadline takes in memory, and what an event costs the engine: `python -m tests.bench.sla_engine [interactions]`.

Memory is the growth of the process's resident set over the engine's state, divided by the deadlines armed in it (three an interaction);
times are CPU time of this process, without Kafka and protobuf.
"""

import gc
import os
import sys
import time
from pathlib import Path

from services.sla.domain.book import Book
from services.sla.domain.calendar import RoundTheClock
from services.sla.domain.engine import Engine
from services.sla.domain.facts import Fact, FactKind
from services.sla.domain.policy import Plan, Policy, Target, TargetPlan
from tests.bench.figures import tell

GOAL_BYTES = 600
T0 = 1_700_000_000_000
POLICY = Policy(
    Plan(
        "acme/1/all",
        "all",
        1,
        tuple(
            TargetPlan.of(target, 600_000, 1_200_000, (0.75,), 5)
            for target in (Target.PICK_UP, Target.FIRST_RESPONSE, Target.RESOLUTION)
        ),
    )
)


def a_fact(kind: FactKind, number: int, at_ms: int) -> Fact:
    """As it comes from the router: ids are UUIDs, names are shared."""
    name = f"8f14e45f-ceea-5167-a1b2-{number:012d}"
    return Fact(kind, f"e-{name}", "acme", "default", name, f"c{name[1:]}", "sales", "webchat", "", at_ms, at_ms)


def resident() -> int:
    """Bytes of memory in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Prints the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    book = Book(lambda _spec: RoundTheClock(), 600_000)
    engine = Engine(book)
    gc.collect()
    before, begun = resident(), time.process_time()
    for number in range(count):
        engine.handle(a_fact(FactKind.QUEUED, number, T0 + number), (POLICY,), T0 + number)
        if number % 1000 == 0:
            book.take_changes()  # as a batch does
    queued_us = (time.process_time() - begun) / count * 1e6
    book.take_changes()
    gc.collect()
    deadline_bytes = (resident() - before) / (3 * count)
    begun = time.process_time()
    for number in range(count):
        engine.handle(a_fact(FactKind.ASSIGNED, number, T0 + count + number), (POLICY,), T0 + count + number)
    assigned_us = (time.process_time() - begun) / count * 1e6
    begun = time.process_time()
    fired = len(engine.advance(T0 + 10_000_000, T0 + 10_000_000))
    fired_us = (time.process_time() - begun) / fired * 1e6
    tell("deadline_bytes", round(deadline_bytes), "B", f"<={GOAL_BYTES}", armed=3 * count)
    tell("sla_queued_us", round(queued_us, 1), "us")  # three deadlines set
    tell("sla_assigned_us", round(assigned_us, 1), "us")  # one met
    tell("sla_fired_us", round(fired_us, 1), "us", fired=fired)  # one milestone


if __name__ == "__main__":
    main()
