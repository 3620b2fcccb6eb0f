"""I5 from sla.events.v1: each deadline is set once, ends once, is never breached early, and never although it was kept."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from chapar.config.v1 import config_pb2 as config
from chapar.sla.v1 import sla_pb2 as pb
from tests.chaos.history.invariants.i05_deadlines import pick_ups
from tests.simulation.invariants.routing import PUNCTUAL_MS, Routing
from tests.simulation.world import World

Key = tuple[str, int, int]
"""Interaction, target, and number of the deadline."""


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
        yield from _kept(interaction_id, lives, routing)


def _standing(events: list[pb.SlaEvent]) -> list[pb.SlaEvent]:
    """Return the events without the breaches that a later event has withdrawn."""
    found: list[pb.SlaEvent] = []
    for event in events:
        if event.kind == pb.SLA_EVENT_KIND_CORRECTED:
            last = next(each for each in reversed(found) if _passes(each) and each.level == event.level)
            found.remove(last)
        else:
            found.append(event)
    return found


def _passes(event: pb.SlaEvent) -> bool:
    return event.kind in (pb.SLA_EVENT_KIND_DESIRED_PASSED, pb.SLA_EVENT_KIND_BREACHED)


def _life(world: World, key: Key, events: list[pb.SlaEvent]) -> Iterator[str]:
    corrections = sum(event.kind == pb.SLA_EVENT_KIND_CORRECTED for event in events)
    world.reached["a breach was corrected"] += corrections
    if corrections > sum(_passes(event) for event in events):
        yield f"I5 deadline {key} has more corrections than breaches"
        return
    names = [pb.SlaEventKind.Name(event.kind) for event in events]
    if sum(event.kind == pb.SLA_EVENT_KIND_DEADLINE_SET for event in events) != 1:
        yield f"I5 deadline {key} was not set once: {names}"
    standing = _standing(events)
    levels = Counter(event.level for event in standing if _passes(event))
    if any(times > 1 for times in levels.values()):
        yield f"I5 deadline {key} was breached twice at one level: {names}"
    ends = [
        event
        for event in standing
        if event.kind in (pb.SLA_EVENT_KIND_MET, pb.SLA_EVENT_KIND_CANCELLED)
        or event.kind == pb.SLA_EVENT_KIND_BREACHED
    ]
    if len(ends) != 1:
        yield f"I5 deadline {key} ended {len(ends)} times: {names}"
    for event in events:
        world.reached["a deadline was met"] += event.kind == pb.SLA_EVENT_KIND_MET
        if _passes(event):
            world.reached["a deadline was breached"] += 1
            late_ms = event.occurred_at_ms - _due(event)
            if late_ms < 0:
                yield f"I5 deadline {key} was breached {-late_ms} ms too early"
            if late_ms > PUNCTUAL_MS and world.calm(_due(event)):
                yield f"I5 deadline {key} was breached {late_ms} ms late"


def _due(event: pb.SlaEvent) -> int:
    return event.desired_at_ms if event.level == pb.SLA_LEVEL_DESIRED else event.adequate_at_ms


def _kept(interaction_id: str, lives: dict[Key, list[pb.SlaEvent]], routing: Routing) -> Iterator[str]:
    """A pick-up in time is not breached, or the breach is corrected."""
    picked_up = pick_ups(routing.stories[interaction_id].events)
    for (named, target, number), events in lives.items():
        if named != interaction_id or target != config.TARGET_KIND_PICK_UP:
            continue
        picked_up_ms = picked_up[number - 1] if number <= len(picked_up) else None
        for event in filter(_passes, _standing(events)):
            if picked_up_ms is not None and picked_up_ms < _due(event):
                early_ms = _due(event) - picked_up_ms
                yield f"I5 pick-up {number} of {interaction_id} was {early_ms} ms in time, and is breached"
