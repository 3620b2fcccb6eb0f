"""Which responses count, and until when another one may replace them."""

from typing import Any

import pytest

from services.feedback.domain import invitations as inv
from services.feedback.domain.invitation_policy import InvitationPolicy
from services.feedback.domain.invitations import MOST_REVISIONS, Answer, RefusalReason, Source
from services.policy.model.surveys import Programme, Question, SurveyKind
from tests.unit.feedback.builders import HOUR, NOW, TENANT, a_policy, a_programme, a_survey, considered, events_of
from tests.unit.feedback.test_invitations import made_by, refusal

MORE = (
    Question("effort", SurveyKind.CES),
    Question("why", SurveyKind.TEXT, optional=True),
    Question("nps", SurveyKind.NPS, optional=True),
)


def a_policy_that_asked(**survey: Any) -> tuple[InvitationPolicy, Programme, inv.Invitation]:
    policy, programme = a_policy(), a_programme(a_survey(**survey))
    return policy, programme, made_by(policy.handle(considered(), programme, NOW))


def a_response(
    made: inv.Invitation, number: int = 1, score: int = 5, comment: str = "", **fields: Any
) -> inv.RecordResponse:
    options: dict[str, Any] = {"source": Source.PAGE, **fields}
    return inv.RecordResponse(f"response-{number}", TENANT, made.invitation_id, score, comment, **options)


def given_by(effects: list[inv.Effect]) -> inv.Given:
    (event,) = events_of(effects)
    assert isinstance(event, inv.Counted | inv.Amended)
    assert event.invitation.given is not None
    return event.invitation.given


def test_an_amendment_reports_the_new_and_the_former_response() -> None:
    """So a reader can subtract the one and add the other."""
    policy, programme, made = a_policy_that_asked()
    policy.handle(a_response(made, 1, 2, "slow", categories=("complaint",)), programme, NOW + 1)
    (event,) = events_of(policy.handle(a_response(made, 2, 5, "solved now"), programme, NOW + HOUR))
    assert isinstance(event, inv.Amended)
    assert (event.before.score, event.before.comment, event.before.categories) == (2, "slow", ("complaint",))
    assert (event.given.score, event.given.comment, event.given.revision) == (5, "solved now", 2)


def test_the_same_response_twice_changes_nothing_also_after_an_amendment() -> None:
    """A repeated command has no effect; the same content by another command is refused as a repetition."""
    policy, programme, made = a_policy_that_asked()
    policy.handle(a_response(made, 1, 2), programme, NOW)
    policy.handle(a_response(made, 2, 5), programme, NOW)
    assert policy.handle(a_response(made, 1, 2), programme, NOW) == []
    assert policy.handle(a_response(made, 2, 5), programme, NOW) == []
    assert refusal(policy.handle(a_response(made, 3, 5), programme, NOW)) is RefusalReason.REPEATED


@pytest.mark.parametrize(("within", "closed_after"), [(0, 72 * HOUR), (2 * HOUR, 3 * HOUR), (500 * HOUR, 72 * HOUR)])
def test_a_response_may_be_amended_until_it_is_closed(within: int, closed_after: int) -> None:
    """Until the expiry, or for a time after the first response (given an hour after the invitation); never beyond
    the expiry."""
    policy, programme, made = a_policy_that_asked(amend_within_ms=within)
    policy.handle(a_response(made, 1, 2), programme, NOW + HOUR)
    closes = NOW + closed_after
    assert given_by(policy.handle(a_response(made, 2, 3), programme, closes - 1)).revision == 2
    assert refusal(policy.handle(a_response(made, 3, 4), programme, closes)) is RefusalReason.ALREADY_ANSWERED


def test_amendments_are_bounded() -> None:
    """A customer who sends again and again does not make the state grow without limit."""
    policy, programme, made = a_policy_that_asked()
    for number in range(MOST_REVISIONS):
        policy.handle(a_response(made, number, 1 + number % 5), programme, NOW)
    assert refusal(policy.handle(a_response(made, 99, 5), programme, NOW)) is RefusalReason.ALREADY_ANSWERED


def test_several_questions_are_answered_in_the_order_they_were_asked() -> None:
    """Answers to unknown questions are left out."""
    policy, programme, made = a_policy_that_asked(more=MORE)
    answers = {"nps": (0, ""), "effort": (7, "x"), "why": (0, "fast"), "shoe-size": (44, "")}
    given = given_by(policy.handle(a_response(made, answers=answers), programme, NOW))
    assert given.answers == (
        Answer("effort", SurveyKind.CES, 7),
        Answer("why", SurveyKind.TEXT, 0, "fast"),
        Answer("nps", SurveyKind.NPS, 0),
    )


@pytest.mark.parametrize(
    ("answers", "source", "reason"),
    [
        ({"effort": (8, "")}, Source.PAGE, RefusalReason.OUT_OF_SCALE),
        ({"effort": (4, ""), "why": (3, "")}, Source.PAGE, RefusalReason.OUT_OF_SCALE),
        ({}, Source.API, RefusalReason.INCOMPLETE),
        ({"nps": (4, "")}, Source.API, RefusalReason.INCOMPLETE),
    ],
)
def test_a_response_that_does_not_fit_is_refused_and_does_not_use_up_the_invitation(
    answers: dict[str, tuple[int, str]], source: Source, reason: RefusalReason
) -> None:
    """A score outside its scale; a program that leaves out an answer that is not optional."""
    policy, programme, made = a_policy_that_asked(more=MORE)
    assert refusal(policy.handle(a_response(made, 1, answers=answers, source=source), programme, NOW)) is reason
    again = a_response(made, 2, answers={"effort": (7, "")}, source=source)
    assert given_by(policy.handle(again, programme, NOW)).revision == 1


def test_a_reply_answers_the_first_question_and_amends_only_that() -> None:
    """The answers to the other questions from the page stay."""
    policy, programme, made = a_policy_that_asked(more=MORE)
    policy.handle(a_response(made, 1, 5, "good", answers={"effort": (7, "")}), programme, NOW)
    given = given_by(policy.handle(a_response(made, 2, 3, source=Source.REPLY), programme, NOW))
    assert (given.score, given.comment, given.answers) == (3, "good", (Answer("effort", SurveyKind.CES, 7),))
    policy, programme, made = a_policy_that_asked(more=MORE)
    assert given_by(policy.handle(a_response(made, source=Source.REPLY), programme, NOW)).answers == ()


def test_free_text_has_no_score_and_must_not_be_empty() -> None:
    """Its text is the answer."""
    policy, programme, made = a_policy_that_asked(kind=SurveyKind.TEXT)
    assert refusal(policy.handle(a_response(made, 1, 0), programme, NOW)) is RefusalReason.INCOMPLETE
    assert refusal(policy.handle(a_response(made, 2, 5, "x"), programme, NOW)) is RefusalReason.OUT_OF_SCALE
    assert (
        given_by(policy.handle(a_response(made, 3, 0, "more in Persian"), programme, NOW)).comment == "more in Persian"
    )
