"""I5 from sla.events.v1: each deadline is set once, ends once, is never breached early, and never although it was kept."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from chapar.config.v1 import config_pb2 as config
from chapar.sla.v1 import sla_pb2 as pb
from tests.simulation.invariants.routing import PUNCTUAL_MS, Routing
from tests.simulation.world import World

Key = tuple[str, int, int]
"""Interaction, target, and number of the deadline."""
KEPT_MEANS_KEPT: Final = False
"""Whether a pick-up in time may never be breached. Today a lane that was stopped, or that waits for a slow commit of the router, may
fire a deadline before it has read the event that kept it. Such breaches are counted as a rare path until then."""


def sla(world: World, routing: Routing) -> Iterator[str]:
    """Yield the violations."""
    lives: dict[Key, list[pb.SlaEvent]] = defaultdict(list)
    ids: Counter[str] = Counter()
    for record in world.log.of("sla.events.v1"):
        event = pb.SlaEvent.FromString(record.value or b"")
        ids[event.event_id] += 1
        lives[event.interaction_id, event.target, event.epoch].append(event)
    yield from (f"I5 event {event_id} was written {times} times" for event_id, times in ids.items() if times > 1)
    for key, events in lives.items():
        yield from _life(world, key, events)
    for interaction_id, story in routing.stories.items():
        for target in (config.TARGET_KIND_PICK_UP, config.TARGET_KIND_RESOLUTION):
            if not any(key[:2] == (interaction_id, target) for key in lives):
                yield f"I5 interaction {interaction_id} of {story.tenant} has no deadline {target}"
        for late in _kept(interaction_id, lives, routing):
            world.reached["a pick-up in time was breached"] += 1
            if KEPT_MEANS_KEPT:
                yield late


def _life(world: World, key: Key, events: list[pb.SlaEvent]) -> Iterator[str]:
    kinds = Counter((event.kind, event.level) for event in events)
    sets = sum(times for (kind, _), times in kinds.items() if kind == pb.SLA_EVENT_KIND_DEADLINE_SET)
    if sets != 1:
        yield f"I5 deadline {key} was set {sets} times"
    for level in (pb.SLA_LEVEL_DESIRED, pb.SLA_LEVEL_ADEQUATE):
        if kinds[pb.SLA_EVENT_KIND_BREACHED, level] > 1:
            yield f"I5 deadline {key} was breached twice at level {level}"
    ends = [
        event
        for event in events
        if event.kind in (pb.SLA_EVENT_KIND_MET, pb.SLA_EVENT_KIND_CANCELLED)
        or (event.kind == pb.SLA_EVENT_KIND_BREACHED and event.level == pb.SLA_LEVEL_ADEQUATE)
    ]
    if len(ends) != 1:
        yield f"I5 deadline {key} ended {len(ends)} times: {[pb.SlaEventKind.Name(event.kind) for event in events]}"
    for event in events:
        world.reached["a deadline was met"] += event.kind == pb.SLA_EVENT_KIND_MET
        if event.kind == pb.SLA_EVENT_KIND_BREACHED:
            world.reached["a deadline was breached"] += 1
            due = event.desired_at_ms if event.level == pb.SLA_LEVEL_DESIRED else event.adequate_at_ms
            late_ms = event.occurred_at_ms - due
            if late_ms < 0:
                yield f"I5 deadline {key} was breached {-late_ms} ms too early"
            if late_ms > PUNCTUAL_MS and world.calm(due):
                yield f"I5 deadline {key} was breached {late_ms} ms late"


def _kept(interaction_id: str, lives: dict[Key, list[pb.SlaEvent]], routing: Routing) -> Iterator[str]:
    """A pick-up in time is not breached."""
    assigned = routing.stories[interaction_id].first("assigned")
    if assigned is None:
        return
    for (named, target, _), events in lives.items():
        if named != interaction_id or target != config.TARGET_KIND_PICK_UP:
            continue
        for event in events:
            due = event.desired_at_ms if event.level == pb.SLA_LEVEL_DESIRED else event.adequate_at_ms
            if event.kind == pb.SLA_EVENT_KIND_BREACHED and assigned.occurred_at_ms < due:
                yield f"I5 the pick-up of {interaction_id} was in time and is breached, {due - assigned.occurred_at_ms} ms"
