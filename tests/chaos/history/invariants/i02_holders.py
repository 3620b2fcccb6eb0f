"""I2: assignment intervals of one interaction never overlap, and no lower epoch comes after a higher one.

- An agent holds an interaction from `assigned` until it is transferred, queued again, scheduled, completed, cancelled or
  abandoned. No other agent is assigned in between. (A warm transfer whose agent was lost says so by `changed`.)
- The epoch of an interaction, which counts its events, rises with every event.
- The number of the ownership that wrote a record (`lane-epoch`) never falls within one lane's output partition.
- The time of a pool's decisions never falls in a partition.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Final

from chapar.router.v1 import records_pb2 as router_pb2
from tests.chaos.history.history import ENDS, History
from tests.chaos.history.model import Violation
from tests.chaos.history.topics import Logged

NAME = "I2"
RELEASES: Final = ENDS | {"queued", "scheduled", "transferred"}
LOST_AGENT: Final = frozenset({"AGENT_LOST", "SIGNED_OUT"})
"""Reasons of `changed` when the transferring agent of a warm transfer is gone."""


def check(history: History) -> Iterator[Violation]:
    """See the module's docstring."""
    for interaction_id, events in history.interactions.items():
        yield from _holders(interaction_id, [event.value for event in events])
        epochs = [event.value.epoch for event in events]
        for before, after in pairwise(epochs):
            if after <= before:
                yield Violation(NAME, "epoch back", f"interaction {interaction_id}", f"{after} comes after {before}")
    yield from _ownerships(history)
    yield from _times(history)


def _holders(interaction_id: str, events: Iterable[router_pb2.RoutingEvent]) -> Iterator[Violation]:
    holder = ""
    for event in events:
        kind = event.WhichOneof("event")
        if kind == "assigned":
            if holder:
                detail = f"{holder} holds it, {event.assigned.agent_id} is assigned"
                yield Violation(NAME, "overlap", f"interaction {interaction_id}", detail)
            holder = event.assigned.agent_id
        elif kind in RELEASES or (kind == "changed" and event.reason in LOST_AGENT):
            holder = ""


def _ownerships(history: History) -> Iterator[Violation]:
    newest: dict[tuple[str, int, str], int] = defaultdict(int)
    for event in history.topics.routing:
        yield from _rises(newest, event, f"{event.value.tenant}/{event.value.pool}")
    followers: list[Logged[Any]] = [*history.topics.sla, *history.topics.responses]
    for record in followers:
        yield from _rises(newest, record, "")


def _rises(newest: dict[tuple[str, int, str], int], record: Logged[Any], lane: str) -> Iterator[Violation]:
    topic, partition, offset = record.record.place
    epoch = int(record.header("lane-epoch") or 0)
    if epoch < newest[topic, partition, lane]:
        detail = f"ownership {epoch} wrote after {newest[topic, partition, lane]}"
        yield Violation(NAME, "late write", f"{topic}/{partition}@{offset}", detail)
    newest[topic, partition, lane] = max(epoch, newest[topic, partition, lane])


def _times(history: History) -> Iterator[Violation]:
    newest: dict[tuple[int, str], int] = defaultdict(int)
    for event in history.topics.routing:
        line = (event.record.partition, f"{event.value.tenant}/{event.value.pool}")
        if event.value.occurred_at_ms < newest[line]:
            detail = f"{event.value.occurred_at_ms} after {newest[line]}"
            yield Violation(NAME, "time back", f"event {event.value.event_id}", detail)
        newest[line] = max(newest[line], event.value.occurred_at_ms)
