"""`chapar explain` for an interaction that the router has forgotten: it shows all decisions from history."""

from __future__ import annotations

import pytest

from chapar.ingest.v1 import ingest_pb2
from services.cli.closed_interactions import past


def entry(kind: str, at_ms: int, reason: str = "", service: str = "router", **details: str) -> ingest_pb2.StoryEntry:
    made = ingest_pb2.StoryEntry(service=service, kind=kind, reason=reason, details=details)
    made.occurred_at.FromMilliseconds(at_ms)
    return made


def view(state: str) -> ingest_pb2.InteractionView:
    return ingest_pb2.InteractionView(interaction_id="i-1", queue="sales", channel="webchat", state=state)


STORY = [
    entry("MessageReceived", 1, service="ingest"),
    entry("InteractionQueued", 1_000, "NEW", position="1"),
    entry("InteractionOffered", 1_100, "LONGEST_IDLE", agent="omid", eligible="2", considered="4"),
    entry("OfferDeclined", 2_000, "DECLINED", agent="omid"),
    entry("InteractionOffered", 2_100, "LONGEST_IDLE", agent="sara", eligible="1", considered="4"),
    entry("InteractionAssigned", 4_200, "ACCEPTED", agent="sara", waited_ms="3200"),
    entry("TargetMet", 4_200, service="sla"),
    entry("InteractionCompleted", 9_000, "RESOLVED", agent="sara"),
]


def test_the_choice_of_the_agent_is_explained() -> None:
    """The agent, the wait and the number of candidates are shown, and each earlier decision of the router, in order."""
    found = past(view("completed"), STORY)
    assert (
        found.summary
        == "Completed; sara had it, 3.2 s after it was queued, chosen from 1 of 4 agents who could take it."
    )
    assert (found.agent_id, found.reason, found.considered, found.decided_at_ms) == ("sara", "LONGEST_IDLE", 4, 2_100)
    assert [one.kind for one in found.decisions] == [each.kind for each in STORY if each.service == "router"]
    assert found.over


def test_a_forced_assignment_has_no_counts() -> None:
    """A supervisor assigned the interaction without an offer."""
    found = past(view("completed"), [entry("InteractionAssigned", 5, "FORCED", agent="ali", waited_ms="400")])
    assert found.summary == "Completed; ali had it, 400 ms after it was queued."
    assert (found.reason, found.considered) == ("FORCED", 0)


@pytest.mark.parametrize(
    ("state", "last", "summary"),
    [
        (
            "abandoned",
            entry("InteractionAbandoned", 9, "CUSTOMER_LEFT", waited_ms="61000"),
            "Abandoned after 1 min 1 s without an agent (CUSTOMER_LEFT).",
        ),
        ("cancelled", entry("InteractionCancelled", 9, "SPAM"), "Cancelled without an agent (SPAM)."),
    ],
)
def test_an_interaction_without_an_agent_shows_why_it_ended(
    state: str, last: ingest_pb2.StoryEntry, summary: str
) -> None:
    """The summary shows the wait and the reason of the end."""
    found = past(view(state), [*STORY[:2], last])
    assert found.summary == summary
    assert (found.agent_id, found.reason) == ("", last.reason)


@pytest.mark.parametrize("story", [STORY[:5], [], STORY[:1]])
def test_an_interaction_without_an_end_in_history_is_not_reported_as_closed(story: list[ingest_pb2.StoryEntry]) -> None:
    """The interaction is in another pool, or history is a moment behind: the summary shows the known state only."""
    found = past(view("offered"), story)
    assert not found.over
    assert "its state in history is offered" in found.summary
    assert "--pool" in found.summary
