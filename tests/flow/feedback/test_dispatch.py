"""How a due invitation is handled, depending on ingest's answer."""

import pytest

from chapar.config.v1 import config_pb2 as config
from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.clock import ManualClock
from services.chassis.errors import ChaparError, ErrorKind
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.adapters.handlers import Dispatcher
from services.feedback.adapters.links import SignedLinks, link_key
from services.feedback.ports import OutgoingInvitation
from services.policy.model.quiet_hours import Quiet
from tests.flow.feedback.test_pages import Log
from tests.unit.feedback.builders import HOUR, NOW, TENANT, a_programme, a_survey


class Ingest:
    """Answers as the test says."""

    def __init__(self) -> None:
        self.sent: list[OutgoingInvitation] = []
        self.error: ChaparError | None = None

    async def send(self, invitation: OutgoingInvitation) -> str:
        if self.error is not None:
            raise self.error
        self.sent.append(invitation)
        return "delivery-1"


def a_due_record(language: str = "en") -> pb.FeedbackRecord:
    record = pb.FeedbackRecord(event_id="e", tenant=TENANT, person_id="person-1", occurred_at_ms=NOW)
    made = record.due.invitation
    made.invitation_id, made.survey, made.kind = "invitation-1", "after-contact", config.SURVEY_KIND_CSAT
    made.question, made.expires_at_ms = "How was it?", NOW + HOUR
    made.subject.identity_id, made.subject.language = "identity-1", language
    return record


@pytest.fixture
def ingest() -> Ingest:
    return Ingest()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def links(clock: ManualClock) -> SignedLinks:
    return SignedLinks(link_key(b"s" * 40), "https://ask", clock)


@pytest.fixture
def dispatcher(ingest: Ingest, log: Log, clock: ManualClock, links: SignedLinks) -> Dispatcher:
    tenant = TenantSurveys(a_programme(), {"en": "{question} Here: {link}", "fa": "{question} اینجا: {link}"})
    return Dispatcher(
        ConfiguredProgrammes({TENANT: tenant}.get),
        links,
        ingest,
        log,
        clock,
        lambda at_ms, _, language: f"{at_ms}/{language}",
    )


async def test_a_due_invitation_is_sent_with_its_link_and_noted_under_an_id_that_repeats(
    dispatcher: Dispatcher, ingest: Ingest, log: Log, links: SignedLinks
) -> None:
    """The same record twice gives the same request and the same note twice: both ends deduplicate."""
    assert [await dispatcher.dispatch(a_due_record()) for _ in range(2)] == ["sent", "sent"]
    first, second = ingest.sent
    assert first == second
    assert first.text.startswith("How was it? Here: https://ask/s/")
    ticket = links.read(first.text.rpartition("/")[2])
    assert ticket is not None
    assert (ticket.tenant, ticket.person_id, ticket.invitation_id) == (TENANT, "person-1", "invitation-1")
    assert log.commands[0] == log.commands[1]
    assert log.commands[0].sent.delivery_id == "delivery-1"


async def test_an_invitation_without_language_uses_the_tenants(dispatcher: Dispatcher, ingest: Ingest) -> None:
    """Persian is this tenant's default language."""
    await dispatcher.dispatch(a_due_record(language=""))
    assert "اینجا" in ingest.sent[0].text


async def test_an_expired_invitation_is_not_sent_by_a_late_dispatcher(
    dispatcher: Dispatcher, ingest: Ingest, clock: ManualClock
) -> None:
    """The dispatcher had been down for more than an hour."""
    clock.advance(HOUR)
    assert await dispatcher.dispatch(a_due_record()) == "late"
    assert ingest.sent == []


@pytest.mark.parametrize(
    "kind", [ErrorKind.UNAVAILABLE, ErrorKind.DEADLINE, ErrorKind.EXHAUSTED, ErrorKind.UNAUTHENTICATED]
)
async def test_a_temporary_failure_is_retried(
    dispatcher: Dispatcher, ingest: Ingest, log: Log, kind: ErrorKind
) -> None:
    """If ingest is unavailable, or this service's token is refused, no invitation is given up."""
    ingest.error = ChaparError(kind, "NOT_NOW", "not now")
    with pytest.raises(ChaparError, match="not now"):
        await dispatcher.dispatch(a_due_record())
    assert log.commands == []


async def test_an_invitation_that_ingest_refuses_for_good_is_given_up(
    dispatcher: Dispatcher, ingest: Ingest, log: Log
) -> None:
    """An identity that was erased meanwhile must not delay the other invitations."""
    ingest.error = ChaparError(ErrorKind.NOT_FOUND, "UNKNOWN_IDENTITY", "no such identity")
    assert await dispatcher.dispatch(a_due_record()) == "refused"
    assert log.commands == []


async def test_a_reminder_is_another_sending_of_the_same_invitation(
    dispatcher: Dispatcher, ingest: Ingest, log: Log, links: SignedLinks
) -> None:
    """It has its own key and text, and the same link; nothing is noted."""
    due = a_due_record()
    record = pb.FeedbackRecord(event_id="r", tenant=TENANT, person_id="person-1", occurred_at_ms=NOW)
    record.reminder.invitation.CopyFrom(due.due.invitation)
    await dispatcher.dispatch(due)
    assert await dispatcher.dispatch(record) == "reminded"
    first, second = ingest.sent
    assert first.key == first.invitation_id == second.invitation_id != second.key
    assert second.text.startswith("A reminder: How was it?")
    assert f"until {NOW + HOUR}/en" in second.text
    assert links.read(second.text.rpartition("/")[2]) == links.read(first.text.rpartition("/")[2])
    assert len(log.commands) == 1


@pytest.mark.parametrize(("late_ms", "outcome"), [(4 * 60_000, "sent"), (6 * 60_000, "quiet")])
async def test_an_invitation_delayed_by_ingest_is_not_sent_in_quiet_hours(
    ingest: Ingest, log: Log, links: SignedLinks, late_ms: int, outcome: str
) -> None:
    """It was due a minute before the quiet hours; five minutes into them it is given up: no invitation is better
    than one at night."""
    minute = NOW // 60_000 % (24 * 60) + 1
    programme = a_programme(a_survey(quiet=Quiet(minute, minute + 60)))
    at = NOW - NOW % 60_000 + 60_000 + late_ms
    dispatcher = Dispatcher(
        ConfiguredProgrammes({TENANT: TenantSurveys(programme)}.get), links, ingest, log, lambda: at, lambda *_: ""
    )
    record = a_due_record()
    record.due.invitation.survey = "after-contact"
    assert await dispatcher.dispatch(record) == outcome
    assert len(ingest.sent) == (outcome == "sent")


async def test_other_records_are_skipped(dispatcher: Dispatcher, ingest: Ingest) -> None:
    """Only due invitations and reminders are sent."""
    record = a_due_record()
    record.refused.reason = "EXPIRED"
    assert await dispatcher.dispatch(record) == "ignored"
    assert ingest.sent == []
