"""How an interaction's story shows amended responses, first contacts and recoveries."""

import pytest

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.kafka.records import Record
from services.ingest.adapters.history.fold import Rows
from services.ingest.adapters.history.mapping import FEEDBACKS, fact
from services.ingest.adapters.history.rows import Fact
from tests.fakes.privacy import MemoryKeys

ABOUT = pb.Subject(interaction_id="i1", conversation_id="c1", person_id="p1")


def told(at_ms: int, **which: object) -> Fact:
    record = pb.FeedbackRecord(event_id=f"e{at_ms}", tenant="acme", person_id="p1", occurred_at_ms=at_ms, **which)  # type: ignore[arg-type] # one of the oneof
    found = fact(Record(FEEDBACKS, 0, at_ms, at_ms, b"p1", record.SerializeToString(), ()), MemoryKeys())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("which", "kind", "reason"),
    [
        ({"settled": pb.ContactSettled(subject=ABOUT, resolved=True)}, "FirstContactSettled", "RESOLVED"),
        ({"settled": pb.ContactSettled(subject=ABOUT)}, "FirstContactSettled", "CAME_AGAIN"),
        ({"recovery_due": pb.RecoveryDue(subject=ABOUT, rule="bad")}, "RecoveryFellDue", "bad"),
        ({"recovery_opened": pb.RecoveryOpened(subject=ABOUT, interaction_id="i2")}, "RecoveryOpened", ""),
    ],
)
def test_each_event_is_in_the_story_of_the_scored_interaction(which: dict[str, object], kind: str, reason: str) -> None:
    """With its kind and reason; the recovery names the interaction that was opened."""
    event = told(1, **which).event
    assert (event.kind, event.reason, event.interaction_id, event.conversation_id) == (kind, reason, "i1", "c1")
    if kind == "RecoveryOpened":
        assert event.details["recovery"] == "i2"


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0), (1, 0, 1)])
def test_the_amended_answer_is_the_one_that_is_shown(order: tuple[int, ...]) -> None:
    """Whichever record comes first, and however often."""
    first = pb.ResponseCounted(invitation_id="v", kind=1, score=1, subject=ABOUT, revision=1)  # type: ignore[arg-type] # CSAT
    second = pb.ResponseCounted(invitation_id="v", kind=1, score=5, subject=ABOUT, revision=2)  # type: ignore[arg-type] # CSAT
    facts = [told(1, answered=first), told(2, amended=pb.ResponseAmended(response=second, before=first))]
    rows = Rows()
    for index in order:
        rows.fold([facts[index]])
    (row,) = rows.invitations.values()
    assert (row.state, row.score, row.answered_at_ms) == ("answered", 5, 2)
