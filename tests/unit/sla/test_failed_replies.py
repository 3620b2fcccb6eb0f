"""A reply that did not arrive is not a response: the target runs again with its original clock."""

import pytest

from services.policy.model.sla import Target
from services.sla.domain.deadlines import State
from services.sla.domain.facts import RoutingFactKind
from tests.unit.sla.builders import MINUTE, T0, Watched, a_policy, a_target

QUEUED, WRITTEN, REPLIED = RoutingFactKind.QUEUED, RoutingFactKind.REPLY_WRITTEN, RoutingFactKind.REPLY_SENT
MESSAGED, FAILED = RoutingFactKind.CUSTOMER_MESSAGED, RoutingFactKind.REPLY_FAILED
COMPLETED = RoutingFactKind.COMPLETED
FIRST, NEXT, RESOLUTION = Target.FIRST_RESPONSE, Target.NEXT_RESPONSE, Target.RESOLUTION


def first_response(*more: Target) -> Watched:
    """Desired 10 minutes, adequate 20, a warning at 15, for each target."""
    watched = Watched(a_policy(*(a_target(each) for each in (FIRST, *more))))
    watched.happens(QUEUED)
    return watched


def totals(watched: Watched, target: Target) -> tuple[int, int, int]:
    """Return how many were met at the desired level, at the adequate level, and breached."""
    found = [tally for key, tally in watched.tracked.tallies.items() if key.target is target]
    return (
        sum(tally.met_desired for tally in found),
        sum(tally.met_adequate for tally in found),
        sum(tally.breached for tally in found),
    )


def test_the_clock_runs_as_if_it_had_never_stopped() -> None:
    """Met in minute 3, failed in minute 5: the levels pass at their original times."""
    watched = first_response()
    assert watched.happens(REPLIED, T0 + 3 * MINUTE, reply_id="r1") == ["FIRST_RESPONSE MET DESIRED"]
    assert totals(watched, FIRST) == (1, 0, 0)
    assert watched.happens(FAILED, T0 + 5 * MINUTE, reply_id="r1", reason="BOUNCED_5_1_1") == ["FIRST_RESPONSE REARMED"]
    assert (watched.reported[-1].reason, watched.reported[-1].adequate_at_ms) == ("BOUNCED_5_1_1", T0 + 20 * MINUTE)
    assert totals(watched, FIRST) == (0, 0, 0)
    assert watched.clock(T0 + 10 * MINUTE) == ["FIRST_RESPONSE DESIRED_PASSED DESIRED"]
    assert watched.clock(T0 + 20 * MINUTE)[-1] == "FIRST_RESPONSE BREACHED ADEQUATE"
    assert watched.reported[-1].used_ms == 20 * MINUTE
    assert totals(watched, FIRST) == (0, 0, 1)


def test_what_was_due_in_between_is_reported_with_the_failure() -> None:
    """The bounce comes after an hour. The lane was not late for the levels that had passed."""
    watched = first_response()
    watched.happens(REPLIED, T0 + 3 * MINUTE, reply_id="r1")
    assert watched.happens(FAILED, T0 + 60 * MINUTE, reply_id="r1") == [
        "FIRST_RESPONSE REARMED",
        "FIRST_RESPONSE DESIRED_PASSED DESIRED",
        "FIRST_RESPONSE WARNED 0.75",
        "FIRST_RESPONSE BREACHED ADEQUATE",
    ]
    assert [each.due_ms for each in watched.reported[-3:]] == [0, 0, 0]
    assert watched.clock(T0 + 999 * MINUTE) == []


def test_the_next_reply_meets_it_again() -> None:
    """At the level that the whole time allows."""
    watched = first_response()
    watched.happens(REPLIED, T0 + 3 * MINUTE, reply_id="r1")
    watched.happens(FAILED, T0 + 5 * MINUTE, reply_id="r1")
    assert watched.happens(REPLIED, T0 + 8 * MINUTE, reply_id="r2") == ["FIRST_RESPONSE MET DESIRED"]
    assert watched.reported[-1].used_ms == 8 * MINUTE
    assert totals(watched, FIRST) == (1, 0, 0)


def test_another_reply_that_arrived_keeps_the_target_met() -> None:
    """Two replies in a row, of which one fails; then the other one too."""
    watched = first_response()
    watched.happens(REPLIED, T0 + 3 * MINUTE, reply_id="r1")
    watched.happens(REPLIED, T0 + 4 * MINUTE, reply_id="r2")
    assert watched.happens(FAILED, T0 + 5 * MINUTE, reply_id="r1") == []
    assert watched.happens(FAILED, T0 + 6 * MINUTE, reply_id="r2") == ["FIRST_RESPONSE REARMED"]


@pytest.mark.parametrize("reply_id", ["", "another"])
def test_a_failure_of_another_reply_changes_nothing(reply_id: str) -> None:
    """An acknowledgement, a reply that was never sent, a record without an id."""
    watched = first_response()
    watched.happens(REPLIED, T0 + 3 * MINUTE, reply_id="r1")
    assert watched.happens(FAILED, T0 + 5 * MINUTE, reply_id=reply_id) == []


def test_a_reply_that_was_never_sent_meets_nothing() -> None:
    """The clock did not stop, so that there is nothing to begin again."""
    watched = first_response()
    assert watched.happens(WRITTEN, T0 + 3 * MINUTE, reply_id="r1") == []
    assert watched.happens(FAILED, T0 + 5 * MINUTE, reply_id="r1") == []
    assert watched.clock(T0 + 10 * MINUTE) == ["FIRST_RESPONSE DESIRED_PASSED DESIRED"]


def test_the_customers_next_message_ends_the_doubt() -> None:
    """They wrote again, and the next response is awaited: a late bounce of an earlier reply is about the past."""
    watched = first_response(NEXT)
    watched.happens(REPLIED, T0 + 3 * MINUTE, reply_id="r1")
    assert watched.happens(MESSAGED, T0 + 5 * MINUTE) == ["NEXT_RESPONSE SET"]
    assert watched.happens(FAILED, T0 + 6 * MINUTE, reply_id="r1") == []


def test_a_next_response_runs_again_too() -> None:
    """And the first response, which an earlier reply met, stays met."""
    watched = first_response(NEXT)
    watched.happens(REPLIED, T0 + 3 * MINUTE, reply_id="r1")
    watched.happens(MESSAGED, T0 + 5 * MINUTE)
    assert watched.happens(REPLIED, T0 + 6 * MINUTE, reply_id="r2") == ["NEXT_RESPONSE MET DESIRED"]
    assert watched.happens(FAILED, T0 + 7 * MINUTE, reply_id="r2") == ["NEXT_RESPONSE REARMED"]
    assert watched.clock(T0 + 15 * MINUTE) == ["NEXT_RESPONSE DESIRED_PASSED DESIRED"]


def test_the_resolution_clock_does_not_wait_for_a_customer_who_got_nothing() -> None:
    """It was paused when the reply was sent."""
    watched = Watched(a_policy(a_target(FIRST), a_target(RESOLUTION)))
    watched.happens(QUEUED)
    watched.happens(REPLIED, T0 + 3 * MINUTE, reply_id="r1")
    found = watched.happens(FAILED, T0 + 5 * MINUTE, reply_id="r1")
    assert found == ["FIRST_RESPONSE REARMED", "RESOLUTION RESUMED"]


def test_after_the_completion_nothing_runs_again() -> None:
    """The interaction is over; the delivery says that the reply failed."""
    watched = first_response()
    watched.happens(REPLIED, T0 + 3 * MINUTE, reply_id="r1", epoch=2)
    watched.happens(COMPLETED, T0 + 4 * MINUTE, epoch=3)
    assert watched.happens(FAILED, T0 + 5 * MINUTE, reply_id="r1", epoch=4) == []


def test_it_survives_a_restore() -> None:
    """What a reply met is in the changelog."""
    watched = first_response()
    watched.happens(REPLIED, T0 + 3 * MINUTE, reply_id="r1")
    restored = watched.restored()
    assert restored.happens(FAILED, T0 + 5 * MINUTE, reply_id="r1") == ["FIRST_RESPONSE REARMED"]
    (interaction,) = restored.tracked.interactions.values()
    assert [deadline.state for deadline in interaction.deadlines] == [State.RUNNING]
    assert restored.tracked.open_by_target[FIRST] == 1


def test_completion_does_not_wait_for_a_reply_that_is_on_its_way() -> None:
    """An agent often completes in the second after the reply: the response counts."""
    watched = first_response(RESOLUTION)
    watched.happens(WRITTEN, T0 + 3 * MINUTE, reply_id="r1")
    assert watched.happens(COMPLETED, T0 + 4 * MINUTE) == [
        "FIRST_RESPONSE MET DESIRED",
        "RESOLUTION PAUSED",
        "RESOLUTION MET DESIRED",
    ]


@pytest.mark.parametrize("failed", [True, False])
def test_completion_without_a_reply_on_its_way_meets_no_response(failed: bool) -> None:
    """There was none, or it failed, or it is not known whether it was sent."""
    watched = first_response()
    if failed:
        watched.happens(WRITTEN, T0 + 3 * MINUTE, reply_id="r1")
        watched.happens(FAILED, T0 + 4 * MINUTE, reply_id="r1")
    assert watched.happens(COMPLETED, T0 + 5 * MINUTE) == ["FIRST_RESPONSE CANCELLED"]
