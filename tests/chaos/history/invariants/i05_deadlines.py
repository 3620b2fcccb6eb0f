"""I5: each deadline fires or is cancelled once per (interaction, target, number), never early, with bounded lateness.

- It is set once, and ends at most once: met, breached at the adequate level, or cancelled. Nothing follows its end. Each
  warning and each level passes once.
- A level never passes before its due time, and at most `Bounds.deadline_late_ms` after it. A message that waited in intake
  may arrive at the router with levels that are due already: then the bound begins with the router's first event.
- It is not breached when the router recorded the answer in time (a false breach), and not met without one. A correction
  takes a level back: it must follow a report of this level, and be right.
"""

from collections.abc import Iterator
from typing import Final

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from chapar.sla.v1 import sla_pb2
from tests.chaos.history.history import Deadline, History
from tests.chaos.history.model import Violation
from tests.chaos.history.topics import Logged

NAME = "I5"
ANSWERS: Final[dict[int, str]] = {
    config_pb2.TARGET_KIND_PICK_UP: "assigned",
    config_pb2.TARGET_KIND_FIRST_RESPONSE: "agent_replied",
    config_pb2.TARGET_KIND_NEXT_RESPONSE: "agent_replied",
    config_pb2.TARGET_KIND_RESOLUTION: "completed",
}
"""The routing event that meets each target (docs/sla.md)."""
_DUES: Final = frozenset(
    {
        sla_pb2.SLA_EVENT_KIND_DEADLINE_SET,
        sla_pb2.SLA_EVENT_KIND_PAUSED,
        sla_pb2.SLA_EVENT_KIND_RESUMED,
        sla_pb2.SLA_EVENT_KIND_CHANGED,
    }
)
_PAUSED: Final = frozenset({config_pb2.TARGET_KIND_RESOLUTION})
"""Targets whose clock a reply can pause: then a level can be taken back without an answer."""
_ENDS: Final = frozenset({sla_pb2.SLA_EVENT_KIND_MET, sla_pb2.SLA_EVENT_KIND_CANCELLED})
_PASSED: Final = frozenset({sla_pb2.SLA_EVENT_KIND_DESIRED_PASSED, sla_pb2.SLA_EVENT_KIND_BREACHED})
_FOLLOWS: Final = frozenset({sla_pb2.SLA_EVENT_KIND_ESCALATED, sla_pb2.SLA_EVENT_KIND_PREDICTED})
"""Escalations follow the event that caused them, also the end; forecasts are not part of a deadline's life."""


def check(history: History) -> Iterator[Violation]:
    """See the module's docstring."""
    for deadline, events in history.deadlines.items():
        kept, corrected, wrong = _corrected([event.value for event in events])
        yield from _judge(history, deadline, kept)
        subject = f"deadline {deadline[1]}/{deadline[2]} of {deadline[0]}"
        for _ in range(wrong):
            yield Violation(NAME, "false correction", subject, "it takes back a level that was not reported")
        for breach in corrected:
            if deadline[1] not in _PAUSED and not _answered(history, deadline, breach.adequate_at_ms):
                yield Violation(NAME, "false correction", subject, "the router recorded no answer in time")


def _corrected(events: list[sla_pb2.SlaEvent]) -> tuple[list[sla_pb2.SlaEvent], list[sla_pb2.SlaEvent], int]:
    """Return the events without levels that were taken back and their corrections, the breaches that were taken back, and the
    number of corrections of levels that had not been reported."""
    kept: list[sla_pb2.SlaEvent] = []
    corrected: list[sla_pb2.SlaEvent] = []
    wrong = 0
    for event in events:
        if event.kind != sla_pb2.SLA_EVENT_KIND_CORRECTED:
            kept.append(event)
            continue
        reported = [e for e in kept if e.kind in _PASSED and e.level == event.level]
        if not reported:
            wrong += 1
            continue
        kept.remove(reported[-1])
        if breaches(reported[-1]):
            corrected.append(reported[-1])
    return kept, corrected, wrong


def ends(event: sla_pb2.SlaEvent) -> bool:
    """Return whether an event ends its deadline."""
    return event.kind in _ENDS or breaches(event)


def breaches(event: sla_pb2.SlaEvent) -> bool:
    """Return whether an event is the breach: the adequate level passed."""
    return event.kind == sla_pb2.SLA_EVENT_KIND_BREACHED


def _judge(history: History, deadline: Deadline, events: list[sla_pb2.SlaEvent]) -> Iterator[Violation]:
    interaction_id, _, number = deadline
    subject = f"{config_pb2.TargetKind.Name(events[0].target).removeprefix('TARGET_KIND_').lower()} {number} of {interaction_id}"
    begun = [event for event in events if event.kind == sla_pb2.SLA_EVENT_KIND_DEADLINE_SET]
    if len(begun) != 1:
        yield Violation(NAME, "doubled" if begun else "never set", subject, f"it was set {len(begun)} times")
    fired: set[tuple[int, int, int]] = set()
    ended = False
    desired_ms = adequate_ms = 0
    for event in events:
        if event.kind in _FOLLOWS:
            continue
        if ended:
            kind = sla_pb2.SlaEventKind.Name(event.kind).removeprefix("SLA_EVENT_KIND_")
            yield Violation(NAME, "doubled", subject, f"{kind} after its end")
            continue
        if event.kind in _DUES:
            desired_ms, adequate_ms = event.desired_at_ms, event.adequate_at_ms
        if event.kind == sla_pb2.SLA_EVENT_KIND_WARNED or event.kind in _PASSED:
            if (once := (event.kind, event.level, event.warning)) in fired:
                yield Violation(NAME, "doubled", subject, "the same level or warning passed twice")
            fired.add(once)
        if event.kind in _PASSED:
            due_ms = adequate_ms if breaches(event) else desired_ms
            yield from _in_time(history, subject, event, due_ms, history.interactions.get(interaction_id, []))
        if breaches(event) and _answered(history, deadline, adequate_ms):
            yield Violation(NAME, "false breach", subject, "the router recorded the answer in time")
        if event.kind == sla_pb2.SLA_EVENT_KIND_MET and not _answered(history, deadline, adequate_ms):
            yield Violation(NAME, "false success", subject, "the router recorded no answer in time")
        ended = ends(event)
    latest_ms = max(adequate_ms, history.healed_at_ms) + history.bounds.deadline_late_ms
    if not ended and adequate_ms and history.read_at_ms > latest_ms:
        yield Violation(NAME, "never fired", subject, f"it was due at {adequate_ms}")


def _in_time(
    history: History, subject: str, event: sla_pb2.SlaEvent, due_ms: int, events: list[Logged[router_pb2.RoutingEvent]]
) -> Iterator[Violation]:
    if event.occurred_at_ms < due_ms:
        yield Violation(NAME, "early", subject, f"{due_ms - event.occurred_at_ms} ms")
    known_ms = max(due_ms, events[0].value.occurred_at_ms) if events else due_ms
    if event.occurred_at_ms > known_ms + history.bounds.deadline_late_ms:
        yield Violation(NAME, "late", subject, f"{event.occurred_at_ms - known_ms} ms")


def _answered(history: History, deadline: Deadline, adequate_ms: int) -> bool:
    """Return whether the router recorded the answer not after the adequate level. A paused deadline has no due time."""
    answered_ms = _answered_at_ms(history, deadline)
    return answered_ms is not None and (not adequate_ms or answered_ms <= adequate_ms)


def _answered_at_ms(history: History, deadline: Deadline) -> int | None:
    interaction_id, target, number = deadline
    events = [event.value for event in history.interactions.get(interaction_id, [])]
    if target == config_pb2.TARGET_KIND_NEXT_RESPONSE:
        replies = _replies_by_turn(events)
        return replies[number - 1] if number <= len(replies) else None
    times = [event.occurred_at_ms for event in events if event.WhichOneof("event") == ANSWERS[target]]
    if target == config_pb2.TARGET_KIND_FIRST_RESPONSE:
        responses = _responses(events)
        times = [event.occurred_at_ms for event in events if event.event_id in responses]
    if target == config_pb2.TARGET_KIND_PICK_UP:
        picked = pick_ups(events)
        return picked[number - 1] if number <= len(picked) else None
    which = 0 if target == config_pb2.TARGET_KIND_FIRST_RESPONSE else number - 1
    return times[which] if which < len(times) else None


def pick_ups(events: list[router_pb2.RoutingEvent]) -> list[int | None]:
    """Return when each wait for an agent ended: at the first assignment, and at the first one after each return to a queue. None: it
    was completed while it waited."""
    found: list[int | None] = []
    waits = True
    for event in events:
        kind = event.WhichOneof("event")
        if waits and kind in {"assigned", "completed"}:
            found.append(event.occurred_at_ms if kind == "assigned" else None)
        if kind in {"queued", "assigned", "completed"}:
            waits = kind == "queued"
    return found


def _responses(events: list[router_pb2.RoutingEvent]) -> set[str]:
    """Return the ids of the events with which a reply became a response: when it was sent, or when the interaction was
    completed while it was on its way. A reply whose outcome is not reported is one at once."""
    found: set[str] = set()
    unsent: set[str] = set()
    for event in events:
        replied, outcome = event.agent_replied, event.reply_outcome
        match event.WhichOneof("event"):
            case "agent_replied" if replied.awaits_outcome:
                unsent.add(replied.reply_id)
            case "agent_replied":
                found.add(event.event_id)
            case "reply_outcome":
                unsent.discard(outcome.reply_id)
                if outcome.state == router_pb2.REPLY_STATE_SENT:
                    found.add(event.event_id)
            case "completed" if unsent:
                found.add(event.event_id)
                unsent.clear()
            case _:
                pass
    return found


def _replies_by_turn(events: list[router_pb2.RoutingEvent]) -> list[int | None]:
    """Return the time of the reply that ended each turn; None if it has none. A turn begins with the customer's first message after a
    reply, or after they had left; it also ends when they leave."""
    turns: list[int | None] = []
    responses = _responses(events)
    over = waits = False
    for event in events:
        kind = event.WhichOneof("event")
        if kind == "customer_message_recorded" and over and not (waits or event.customer_message_recorded.automatic):
            turns.append(None)
            waits = True
        elif kind == "customer_left":
            over, waits = True, False
        elif event.event_id in responses:
            if waits:
                turns[-1] = event.occurred_at_ms
            over, waits = True, False
    return turns
