"""I6 from feedback.responses.v1: one invitation or one reason for each completed interaction, one counted response."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from chapar.feedback.v1 import feedback_pb2 as pb
from tests.simulation.invariants.routing import Routing
from tests.simulation.world import World

_ENDS = ("answered", "expired", "withdrawn")


def surveys(world: World, routing: Routing) -> Iterator[str]:
    """Yield the violations."""
    about: Counter[str] = Counter()
    lives: dict[str, list[str]] = defaultdict(list)
    ids: Counter[str] = Counter()
    for record in world.log.of("feedback.responses.v1"):
        found = pb.FeedbackRecord.FromString(record.value or b"")
        kind = found.WhichOneof("record") or ""
        ids[found.event_id] += 1
        part = getattr(found, kind)
        match kind:
            case "invited":
                about[part.subject.interaction_id] += 1
                lives[part.invitation_id].append(kind)
            case "skipped":
                about[part.interaction_id] += 1
                world.reached["an invitation was skipped"] += 1
            case "due" | "reminder" | "withdrawn":
                lives[part.invitation.invitation_id].append(kind)
                world.reached[f"a survey was {kind}"] += 1
            case "answered" | "expired":
                lives[part.invitation_id].append(kind)
                world.reached[f"a survey was {kind}"] += 1
    yield from (f"I6 event {event_id} was written {times} times" for event_id, times in ids.items() if times > 1)
    for interaction_id, story in routing.stories.items():
        expected = 1 if story.end == "completed" else 0
        if about[interaction_id] != expected:
            yield f"I6 interaction {interaction_id} ({story.end}) was considered {about[interaction_id]} times"
    for invitation_id, events in lives.items():
        if events[0] != "invited" or sum(event in _ENDS for event in events) != 1 or len(events) != len(set(events)):
            yield f"I6 invitation {invitation_id} has the life {events}"
