"""A million armed deadlines in one process: `python -m tests.bench.sla_engine [deadlines]`; a part by itself: `… fill
FILE`, `… serve FILE`.

- **fill**: events of the router come in as protobuf records, as in the lane, until `deadlines` deadlines run (three per
  interaction). `deadline_bytes` is the growth of the process's resident set, divided by their number. The lane's
  changelog entries go into a file.
- **serve**, in a process of its own: `sla_restore_s` is the time to read all entries of that file through the lane's
  restore, up to the first batch. Then 5,000 events a second come in for some time (whole lives of new interactions, and
  facts about the old ones), while milestones of the million fall due. `deadline_late_p99_ms` is how much later than due
  a milestone was reported: from its due time to the end of the batch that reported it, with its record made. Batches
  are timed as in the service: it settles for 50 ms, waits 100 ms for more records or until a timer is due, and takes 64
  records at most; there is no broker.

All times are wall-clock times of this machine: on a busy one they are not valid.
"""

import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import BinaryIO, Final

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as router
from services.chassis.kafka.lane import LaneContext, Record
from services.policy.model.sla import PolicyList
from services.policy.reading.business_calendar import caching_calendars
from services.policy.reading.sla import policies_of
from services.sla.domain.facts import Occurrence
from services.sla.lanes.deadlines import DeadlineProcessor, factory
from services.sla.ports import OnCommitted
from services.sla.wiring import FETCH_PAUSE_S, MOST_RECORDS
from tests.bench.figures import tell

GOAL_BYTES, GOAL_LATE_MS, GOAL_RESTORE_S = 600, 100, 30
ARMED: Final = 1_000_000
EVENTS_A_SECOND: Final = 5_000
SECONDS: Final = float(os.environ.get("CHAPAR_BENCH_SLA_SECONDS", "20"))
_SETTLE_MS: Final = 50
_SPREAD_MS: Final = 3_600_000
"""Time over which the interactions were queued, so their milestones fall due over the same time."""
_QUEUES: Final = ("sales", "support", "billing", "returns")
_CHANNELS: Final = ("webchat", "email", "telegram")


def sla_policies() -> Mapping[str, PolicyList]:
    """Return pick-up, first response and resolution in business time, with a warning and an escalation each."""
    calendar = config_pb2.Calendar(name="always")
    hours = calendar.hours.add(days=["sat", "sun", "mon", "tue", "wed", "thu", "fri"], to="24:00")
    setattr(hours, "from", "00:00")
    kinds = (config_pb2.TARGET_KIND_PICK_UP, config_pb2.TARGET_KIND_FIRST_RESPONSE, config_pb2.TARGET_KIND_RESOLUTION)
    policy = config_pb2.SlaPolicy(name="all", calendar="always", pause_while_customer_awaited=True)
    for kind in kinds:
        target = policy.targets.add(
            kind=kind, desired_ms=_SPREAD_MS, adequate_ms=2 * _SPREAD_MS, warn_at=[0.75], escalate_priority=5
        )
        target.escalations.add(at=config_pb2.ESCALATION_POINT_BREACH, supervisor=True)
    document = config_pb2.TenantConfiguration(
        tenant="acme", version=1, time_zone="Asia/Tehran", calendars=[calendar], sla_policies=[policy]
    )
    return {"acme": policies_of(document)}


class Outbox:
    """Counts what a batch writes, and keeps the changelog if requested."""

    def __init__(self, changelog: BinaryIO | None = None) -> None:
        self.changelog = changelog
        self.sent = 0

    def send(self, topic: str, key: bytes, value: bytes, headers: object = (), partition: int | None = None) -> None:
        self.sent += 1

    def put(self, key: bytes, value: bytes) -> None:
        if self.changelog is not None:
            self.changelog.write(len(key).to_bytes(4, "big") + len(value).to_bytes(4, "big") + key + value)

    def delete(self, key: bytes) -> None:
        """Do nothing: no entry of the file is ever deleted."""

    def after_commit(self, effect: object) -> None:
        effect()  # type: ignore[operator]  # a callable without arguments

    def digest(self) -> bytes:
        return b""


def a_lane(on_committed: OnCommitted) -> DeadlineProcessor:
    """Return the processor as the service makes it."""
    in_force = sla_policies()
    make = factory(caching_calendars(), lambda: in_force, on_committed, forget_after_ms=600_000, settle_ms=_SETTLE_MS)
    made = make(LaneContext(0, 1))
    assert isinstance(made, DeadlineProcessor)
    return made


def nobody(occurrences: list[Occurrence]) -> None:
    """Ignore the occurrences."""


def an_event(number: int, epoch: int, at_ms: int, what: str, **of: object) -> Record:
    """Return an event as the router writes it; ids are UUIDs."""
    name = f"8f14e45f-ceea-5167-a1b2-{number:012d}"
    event = router.RoutingEvent(
        event_id=f"{epoch:08x}-{name[9:]}", tenant="acme", pool="default", occurred_at_ms=at_ms, epoch=epoch
    )
    attributes = event.interaction
    attributes.interaction_id, attributes.conversation_id = name, f"c{name[1:]}"
    attributes.queue, attributes.channel = _QUEUES[number % 4], _CHANNELS[number % 3]
    attributes.arrived_at_ms, attributes.language = at_ms, "fa"
    attributes.labels["tier"] = "gold" if number % 10 == 0 else "silver"
    getattr(event, what).SetInParent()
    getattr(event, what).MergeFrom(getattr(event, what).__class__(**of))
    return Record("routing.events.v1", 0, 0, at_ms, attributes.conversation_id.encode(), event.SerializeToString(), ())


def resident() -> int:
    """Return the bytes of memory in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def fill(path: Path, armed: int) -> None:
    """Arm the deadlines; report their memory."""
    lane = a_lane(nobody)
    interactions = -(-armed // 3)
    begin = int(time.time() * 1000) - _SPREAD_MS
    with path.open("wb") as changelog:
        outbox = Outbox(changelog)
        lane.start(begin, outbox)
        gc.collect()
        gc.freeze()
        before, started, lost = resident(), time.process_time(), 0.0
        for first in range(0, interactions, 1_000):
            numbers = range(first, min(interactions, first + 1_000))
            making = time.process_time()
            records = [an_event(n, 1, begin + n * _SPREAD_MS // interactions, "queued") for n in numbers]
            lost += time.process_time() - making
            lane.begin(records[-1].timestamp_ms)
            for record in records:
                lane.handle(record, outbox)
            lane.end(outbox)
        took = time.process_time() - started - lost
    del records
    gc.collect()
    open_ = sum(lane.tracked.open_by_target.values())
    bytes_each = (resident() - before) / open_
    tell("deadline_bytes", round(bytes_each), "B", f"<={GOAL_BYTES}", armed=open_)
    tell(
        "sla_queued_us", round(took / interactions * 1e6, 1), "us"
    )  # decoded, three deadlines set, three events and an entry written


def entries(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield entries as the lane reads its changelog."""
    with path.open("rb") as changelog:
        while head := changelog.read(8):
            key = changelog.read(int.from_bytes(head[:4], "big"))
            yield key, changelog.read(int.from_bytes(head[4:], "big"))


def lives(draw: Random, interactions: int) -> Iterator[tuple[int, int, str, dict[str, object]]]:
    """Yield events without end: (interaction, epoch, what, of). New interactions live for eight events; one event in
    eight is about an old interaction."""
    steps: tuple[tuple[str, dict[str, object]], ...] = (
        ("queued", {}),
        ("offered", {"agent_id": "sara"}),
        ("assigned", {"agent_id": "sara"}),
        ("agent_replied", {"agent_id": "sara"}),
        ("customer_message_recorded", {}),
        ("agent_replied", {"agent_id": "sara"}),
        ("completed", {"agent_id": "sara"}),
        ("wrap_up_ended", {}),
    )
    open_: list[list[int]] = []
    number = interactions
    while True:
        if draw.random() < 1 / 8:
            yield draw.randrange(interactions), 2, "assigned", {"agent_id": "reza"}
        if len(open_) < 2_000:
            open_.append([number, 0])
            number += 1
        at = draw.randrange(len(open_))
        life = open_[at]
        what, of = steps[life[1]]
        life[1] += 1
        yield life[0], life[1], what, of
        if life[1] == len(steps):
            open_[at] = open_[-1]
            open_.pop()


def serve(path: Path) -> None:
    """Restore; serve in real time; report how late milestones are."""
    on_committed: list[Occurrence] = []
    lane, outbox = a_lane(lambda occurrences: on_committed.extend(occurrences)), Outbox()
    started = time.perf_counter()
    gc.disable()  # as the lane does while it restores
    for key, value in entries(path):
        lane.restore(key, value)
    gc.enable()
    gc.freeze()
    now = int(time.time() * 1000)
    lane.start(now, outbox)
    took = time.perf_counter() - started
    armed = sum(lane.tracked.open_by_target.values())
    interactions = len(lane.tracked.interactions)
    tell("sla_restore_s", round(took, 2), "s", f"<={GOAL_RESTORE_S}", armed=armed)
    draw = Random(7)
    coming = lives(draw, interactions)
    made = [next(coming) for _ in range(int(EVENTS_A_SECOND * SECONDS))]
    # Milestones that fell due meanwhile are reported before the measurement starts, as after any restart.
    for _ in range(20):
        time.sleep(0.1)
        lane.begin(int(time.time() * 1000))
        lane.end(outbox)
    on_committed.clear()
    late, took_in, busy = run(lane, outbox, on_committed, made)
    late.sort()
    print(
        f"{took_in} events and {len(late)} milestones in {SECONDS:g} s, {outbox.sent} records written, "
        f"{busy / SECONDS:.0%} of the time busy; late p50 {late[len(late) // 2]} ms, most {late[-1]} ms"
    )
    tell(
        "deadline_late_p99_ms",
        late[int(len(late) * 0.99)],
        "ms",
        f"<={GOAL_LATE_MS}",
        milestones=len(late),
        events_a_second=round(took_in / SECONDS),
        armed=armed,
    )


def run(
    lane: DeadlineProcessor,
    outbox: Outbox,
    on_committed: list[Occurrence],
    made: list[tuple[int, int, str, dict[str, object]]],
) -> tuple[list[int], int, float]:
    """Run batches in real time, as the lane's runner takes them: at once for a timer, after a short wait for
    records."""
    begin = time.time()
    until, taken, busy = begin + SECONDS, 0, 0.0
    late: list[int] = []
    # Making a record is the router's work: records are made ahead, in portions, while the lane waits.
    ready: list[Record] = []
    while (now := time.time()) < until:
        there = min(len(made), int((now - begin) * EVENTS_A_SECOND)) - taken
        due = lane.next_wakeup()
        if there <= 0 and (due is None or due / 1000 > now):
            time.sleep(max(0.0, min(0.001, (due or 0) / 1000 - now)))
            continue
        if there > 0:
            time.sleep(FETCH_PAUSE_S if due is None else max(0.0, min(FETCH_PAUSE_S, due / 1000 - now)))
        now = time.time()
        there = min(len(made), int((now - begin) * EVENTS_A_SECOND), taken + MOST_RECORDS) - taken
        ready = [an_event(n, e, int(now * 1000), what, **of) for n, e, what, of in made[taken : taken + there]]
        taken += there
        started = time.time()
        lane.begin(int(started * 1000))
        for record in ready:
            lane.handle(record, outbox)
        lane.end(outbox)
        ended = time.time()
        busy += ended - started
        # The records were made in the lane's time: that time does not count as lateness of the lane.
        making = started - now
        late += [int((ended - making) * 1000 - o.due_ms) for o in on_committed if o.due_ms]
        on_committed.clear()
    return late, taken, busy


def main() -> None:
    """Run both parts, each in a process of its own."""
    given = sys.argv[1:]
    if given[:1] == ["fill"]:
        fill(Path(given[1]), int(given[2]) if len(given) > 2 else ARMED)
    elif given[:1] == ["serve"]:
        serve(Path(given[1]))
    else:
        with tempfile.TemporaryDirectory() as home:
            file = str(Path(home) / "changelog")
            for part in (["fill", file, *given[:1]], ["serve", file]):
                subprocess.run([sys.executable, "-m", "tests.bench.sla_engine", *part], check=True)


if __name__ == "__main__":
    main()
