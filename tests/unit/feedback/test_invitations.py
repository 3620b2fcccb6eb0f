"""Which customers are invited, and which responses count."""

from dataclasses import replace
from typing import Any

import pytest

from services.feedback.domain import invitations as inv
from services.feedback.domain.invitations import Effect, RefusalReason, SkipReason
from services.policy.model.automatic import AutomaticKind
from services.policy.model.surveys import SurveyKind
from tests.unit.feedback.builders import (
    HOUR,
    NOW,
    TENANT,
    a_policy,
    a_programme,
    a_programme_of,
    a_survey,
    considered,
    events_of,
    invited,
)


def made_by(effects: list[Effect]) -> inv.Invitation:
    created = [effect.invitation for effect in effects if isinstance(effect, inv.Created)]
    assert len(created) == 1, effects
    return created[0]


def skipped(effects: list[Effect]) -> SkipReason:
    assert len(effects) == 1
    assert isinstance(effects[0], inv.Skipped)
    return effects[0].reason


def respond(
    invitation: inv.Invitation, score: int = 5, command: str = "response-1", tenant: str = TENANT
) -> inv.RecordResponse:
    return inv.RecordResponse(command, tenant, invitation.invitation_id, score, "", inv.Source.PAGE)


def refusal(effects: list[Effect]) -> RefusalReason:
    assert len(effects) == 1
    assert isinstance(effects[0], inv.Refused)
    return effects[0].reason


def test_a_completed_interaction_without_delay_is_invited_and_due_at_once() -> None:
    """Created, then due, in one decision."""
    policy = a_policy()
    events = events_of(policy.handle(considered(), a_programme(), NOW))
    assert [type(event) for event in events] == [inv.Created, inv.Due]


def test_a_delayed_invitation_is_due_at_its_time_and_not_before() -> None:
    """Created now, due an hour after completion."""
    policy = a_policy()
    programme = a_programme(a_survey(delay_ms=HOUR))
    made = made_by(policy.handle(considered(), programme, NOW))
    assert (made.send_at_ms, policy.next_wakeup()) == (NOW + HOUR, NOW + HOUR)
    assert policy.advance(NOW + HOUR - 1, a_programme_of()) == []
    assert [type(event) for event in events_of(policy.advance(NOW + HOUR, a_programme_of()))] == [inv.Due]
    assert policy.advance(NOW + HOUR, a_programme_of()) == []


def test_an_invitation_that_expired_before_it_was_due_is_never_sent() -> None:
    """The lane was down for a week: the invitation ends without having been due."""
    policy = a_policy()
    programme = a_programme(a_survey(delay_ms=HOUR, expires_after_ms=2 * HOUR))
    policy.handle(considered(), programme, NOW)
    assert [type(event) for event in events_of(policy.advance(NOW + 4 * HOUR, a_programme_of()))] == [inv.Expired]


def test_a_completion_that_comes_too_late_gets_no_invitation() -> None:
    """No invitation is created that would have expired already."""
    programme = a_programme(a_survey(expires_after_ms=HOUR))
    assert skipped(a_policy().handle(considered(), programme, NOW + HOUR)) is SkipReason.TOO_LATE


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": {"spam": "true"}},
        {"labels": {"spam": "1", "tier": "gold"}},
        *[{"automatic": kind} for kind in AutomaticKind if kind is not AutomaticKind.NONE],
    ],
)
def test_spam_and_automatic_mail_never_get_an_invitation_not_even_by_hand(fields: dict[str, Any]) -> None:
    """No person is behind them who could answer."""
    assert skipped(a_policy().handle(considered(**fields), a_programme(), NOW)) is SkipReason.NOT_ASKED
    assert skipped(a_policy().handle(invited(**fields), a_programme(), NOW)) is SkipReason.NOT_ASKED


def test_a_false_label_does_not_prevent_an_invitation() -> None:
    """{"spam": "false"} is an ordinary contact."""
    made_by(a_policy().handle(considered(labels={"spam": "false"}), a_programme(), NOW))


def test_the_first_survey_that_fits_counts_and_none_is_a_reason() -> None:
    """Queues and channels decide; without a fitting survey there is no invitation."""
    programme = a_programme(
        a_survey(name="billing", queues=frozenset({"billing"})),
        a_survey(name="mail", channels=frozenset({"email"}), kind=SurveyKind.NPS),
    )
    assert skipped(a_policy().handle(considered(), programme, NOW)) is SkipReason.NO_SURVEY
    assert made_by(a_policy().handle(considered(channel="email"), programme, NOW)).survey == "mail"


def test_sampling_is_bypassed_by_hand_and_by_nothing_else() -> None:
    """A share of 0 selects no interaction, however often it is considered."""
    programme = a_programme(a_survey(sampling=0.0))
    policy = a_policy()
    assert skipped(policy.handle(considered(), programme, NOW)) is SkipReason.SAMPLED_OUT
    assert skipped(policy.handle(considered(), programme, NOW)) is SkipReason.SAMPLED_OUT
    made_by(policy.handle(invited(), programme, NOW))


def test_the_sampled_share_is_the_configured_share() -> None:
    """Of 20,000 interactions at 30 %, between 28.5 and 31.5 % (more than four standard deviations)."""
    survey = a_survey(sampling=0.3)
    asked = sum(survey.samples(f"interaction-{number}") for number in range(20_000))
    assert 0.285 < asked / 20_000 < 0.315


def test_two_surveys_draw_independent_samples() -> None:
    """Otherwise every survey would select the same people: at 50 % each, about a quarter gets both."""
    one, other = a_survey(sampling=0.5), a_survey(name="second", sampling=0.5)
    both = sum(one.samples(f"i{n}") and other.samples(f"i{n}") for n in range(10_000))
    assert 0.23 < both / 10_000 < 0.27


def test_the_minimum_gap_holds_from_sending_to_sending_by_hand_too() -> None:
    """A second contact within the gap gets no invitation; one after it does."""
    programme = a_programme(a_survey(least_gap_ms=24 * HOUR))
    policy = a_policy()
    policy.handle(considered(1, person_id="p"), programme, NOW)
    assert (
        skipped(policy.handle(considered(2, NOW + HOUR, person_id="p"), programme, NOW + HOUR)) is SkipReason.TOO_SOON
    )
    assert skipped(policy.handle(invited(3, person_id="p"), programme, NOW + 2 * HOUR)) is SkipReason.TOO_SOON
    made_by(policy.handle(considered(4, NOW + 24 * HOUR, person_id="p"), programme, NOW + 24 * HOUR))


def test_another_person_has_another_gap() -> None:
    """So does the same id at another tenant."""
    programme = a_programme(a_survey(least_gap_ms=24 * HOUR))
    policy = a_policy()
    policy.handle(considered(1, person_id="p"), programme, NOW)
    made_by(policy.handle(considered(2, person_id="q"), programme, NOW))
    made_by(policy.handle(replace(considered(3, person_id="p"), tenant="other"), programme, NOW))


def test_one_interaction_is_invited_once_and_a_repeated_command_changes_nothing() -> None:
    """The same command has no effect; another one about the same interaction gets the reason."""
    policy = a_policy()
    policy.handle(considered(), a_programme(), NOW)
    assert policy.handle(considered(), a_programme(), NOW) == []
    assert skipped(policy.handle(invited(), a_programme(), NOW)) is SkipReason.ALREADY_INVITED


def test_the_first_response_counts_and_the_second_is_refused_if_the_first_is_final() -> None:
    """The same command again is neither: it changes nothing."""
    policy = a_policy()
    programme = a_programme(a_survey(first_response_counts=True))
    made = made_by(policy.handle(considered(), programme, NOW))
    counted = policy.handle(respond(made, 4), programme, NOW + 1)
    assert [type(event) for event in events_of(counted)] == [inv.Counted]
    assert policy.handle(respond(made, 4), programme, NOW + 2) == []
    again = policy.handle(respond(made, 1, "response-2"), programme, NOW + 2)
    assert refusal(again) is RefusalReason.ALREADY_ANSWERED


@pytest.mark.parametrize(
    ("kind", "score"),
    [(SurveyKind.CSAT, 0), (SurveyKind.CSAT, 6), (SurveyKind.NPS, 11), (SurveyKind.NPS, -1), (SurveyKind.CES, 8)],
)
def test_a_score_that_is_not_on_the_scale_is_refused_and_may_be_given_again(kind: SurveyKind, score: int) -> None:
    """It does not use up the invitation."""
    policy = a_policy()
    programme = a_programme(a_survey(kind=kind))
    made = made_by(policy.handle(considered(), programme, NOW))
    assert refusal(policy.handle(respond(made, score), programme, NOW)) is RefusalReason.OUT_OF_SCALE
    assert events_of(policy.handle(respond(made, 3, "response-2"), programme, NOW))


def test_a_late_response_is_refused_even_before_the_timer_has_fired() -> None:
    """At the expiry it is too late, by the batch's clock."""
    policy = a_policy()
    made = made_by(policy.handle(considered(), a_programme(), NOW))
    assert refusal(policy.handle(respond(made), a_programme(), made.expires_at_ms)) is RefusalReason.EXPIRED


def test_a_response_of_another_tenant_matches_no_invitation() -> None:
    """And the tenant learns nothing about it."""
    policy = a_policy()
    made = made_by(policy.handle(considered(), a_programme(), NOW))
    assert refusal(policy.handle(respond(made, tenant="other"), a_programme(), NOW)) is RefusalReason.UNKNOWN_INVITATION


def test_an_unanswered_invitation_expires_once_and_then_leaves_memory() -> None:
    """It expires at its time; after the grace period it is forgotten, and a late response to it is unknown."""
    policy = a_policy()
    made = made_by(policy.handle(considered(), a_programme(), NOW))
    assert [type(e) for e in events_of(policy.advance(made.expires_at_ms, a_programme_of()))] == [inv.Expired]
    assert refusal(policy.handle(respond(made), a_programme(), made.expires_at_ms + 1)) is RefusalReason.EXPIRED
    assert policy.advance(made.expires_at_ms + inv.GRACE_MS, a_programme_of()) == [inv.Drop(made.invitation_id)]
    assert policy.size == (0, 0, 0)
    late = policy.handle(respond(made), a_programme(), made.expires_at_ms + inv.GRACE_MS)
    assert refusal(late) is RefusalReason.UNKNOWN_INVITATION


def test_an_answered_invitation_does_not_expire() -> None:
    """Nothing is reported at its expiry."""
    policy = a_policy()
    made = made_by(policy.handle(considered(), a_programme(), NOW))
    policy.handle(respond(made), a_programme(), NOW)
    assert events_of(policy.advance(made.expires_at_ms, a_programme_of())) == []


def test_the_delivery_is_noted_once() -> None:
    """The delivery's id is noted; the repetition has no effect, and the timers stay."""
    policy = a_policy()
    made = made_by(policy.handle(considered(), a_programme(), NOW))
    note = inv.NoteSent("sent", TENANT, made.invitation_id, "delivery-1")
    kept = policy.handle(note, a_programme(), NOW)
    assert [effect.invitation.delivery_id for effect in kept if isinstance(effect, inv.Keep)] == ["delivery-1"]
    assert policy.handle(note, a_programme(), NOW) == []
    assert [type(e) for e in events_of(policy.advance(made.expires_at_ms, a_programme_of()))] == [inv.Expired]


def test_the_day_of_a_score_is_the_tenants_day_of_the_invitation() -> None:
    """20:45 UTC is the next day in Tehran, where it is a quarter past midnight."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    at = int(datetime(2026, 3, 20, 20, 45, tzinfo=UTC).timestamp() * 1000)
    programme = a_programme(zone=ZoneInfo("Asia/Tehran"))
    assert made_by(a_policy().handle(considered(at_ms=at), programme, at)).day == "2026-03-21"


@pytest.mark.parametrize(
    ("language", "question"),
    [("fa-IR", "چطور بود؟"), ("en", "How was it?"), ("de", "چطور بود؟"), ("", "چطور بود؟")],
)
def test_the_question_is_in_the_persons_language_or_else_the_tenants(language: str, question: str) -> None:
    """German is not configured; the tenant's default is Persian."""
    survey = a_survey(questions={"fa": "چطور بود؟", "en": "How was it?"})
    made = made_by(a_policy().handle(considered(language=language), a_programme(survey), NOW))
    assert made.question == question
