"""When a person is invited, and when not: windows, silence, quiet hours, reminders, conversations that continue."""

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.chassis.kafka.changelog_codec import ChangelogCodec
from services.feedback.domain import invitations as inv
from services.feedback.domain.invitation_policy import InvitationPolicy
from services.feedback.domain.invitations import Effect, SkipReason
from services.feedback.domain.people import SurveyHistory
from services.feedback.translate import kept
from services.policy.model.quiet_hours import Quiet
from services.policy.model.surveys import MOST_SENDINGS, Programme
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
from tests.unit.feedback.test_invitations import made_by, respond, skipped

DAY = 24 * HOUR
TEHRAN = ZoneInfo("Asia/Tehran")
NIGHT = Quiet(22 * 60, 8 * 60)


def kinds(effects: list[Effect]) -> list[type]:
    return [type(event) for event in events_of(effects)]


def passed(policy: InvitationPolicy, programme: Programme, until_ms: int) -> list[tuple[int, Effect]]:
    """Return the effects until then, with the lane advancing at arbitrary times."""
    events: list[tuple[int, Effect]] = []
    while (at := policy.next_wakeup()) is not None and at <= until_ms:
        events += [(at, event) for event in events_of(policy.advance(at, lambda _tenant: programme))]
    return events


def in_tehran(hour: int, minute: int = 0, day: int = 20) -> int:
    return round(datetime(2026, 11, day, hour, minute, tzinfo=TEHRAN).timestamp() * 1000)


def test_at_most_m_invitations_in_the_rolling_window() -> None:
    """Two within thirty days, although they are a day apart; the third when the first has left the window."""
    programme = a_programme(a_survey(least_gap_ms=DAY, window_ms=30 * DAY, most_in_window=2))
    policy = a_policy()
    for number, day in ((1, 0), (2, 5)):
        at = NOW + day * DAY
        made_by(policy.handle(considered(number, at, person_id="p"), programme, at))
    at = NOW + 20 * DAY
    assert skipped(policy.handle(considered(3, at, person_id="p"), programme, at)) is SkipReason.TOO_MANY
    assert skipped(policy.handle(invited(4, person_id="p"), programme, at)) is SkipReason.TOO_MANY
    at = NOW + 30 * DAY
    made_by(policy.handle(considered(5, at, person_id="p"), programme, at))


def test_the_window_counts_the_invitations_of_every_survey() -> None:
    """One by mail, and the telegram survey allows only one."""
    programme = a_programme(
        a_survey(name="mail", channels=frozenset({"email"}), least_gap_ms=HOUR),
        a_survey(window_ms=30 * DAY, most_in_window=1),
    )
    policy = a_policy()
    policy.handle(considered(1, person_id="p", channel="email"), programme, NOW)
    assert skipped(policy.handle(considered(2, person_id="p"), programme, NOW)) is SkipReason.TOO_MANY


def test_the_gap_covers_planned_invitations_too() -> None:
    """An invitation by hand now would leave the waiting invitation less than its gap."""
    programme = a_programme(a_survey(least_gap_ms=6 * HOUR, delay_ms=3 * HOUR))
    policy = a_policy()
    policy.handle(considered(1, person_id="p"), programme, NOW)
    assert skipped(policy.handle(invited(2, person_id="p"), programme, NOW)) is SkipReason.TOO_SOON


def test_after_an_outage_the_gap_is_that_of_the_real_sendings() -> None:
    """Both were due meanwhile; the second is postponed until a gap after the first was really sent."""
    programme = a_programme(a_survey(least_gap_ms=6 * HOUR, delay_ms=HOUR))
    policy = a_policy()
    policy.handle(considered(1, person_id="p"), programme, NOW)
    policy.handle(considered(2, NOW + 7 * HOUR, person_id="p"), programme, NOW + 7 * HOUR)
    late = NOW + 30 * HOUR
    assert kinds(policy.advance(late, a_programme_of(*programme.surveys))) == [inv.Due]
    assert [at for at, event in passed(policy, programme, NOW + 60 * HOUR) if isinstance(event, inv.Due)] == [
        late + 6 * HOUR
    ]


def test_after_an_outage_the_window_is_that_of_the_real_sendings() -> None:
    """One in ten hours: both were due meanwhile, and the second waits ten hours more."""
    programme = a_programme(a_survey(window_ms=10 * HOUR, most_in_window=1, delay_ms=HOUR))
    policy = a_policy()
    policy.handle(considered(1, person_id="p"), programme, NOW)
    policy.handle(considered(2, NOW + 11 * HOUR, person_id="p"), programme, NOW + 11 * HOUR)
    late = NOW + 30 * HOUR
    assert kinds(policy.advance(late, lambda _tenant: programme)) == [inv.Due]
    events = passed(policy, programme, NOW + 60 * HOUR)
    assert [at for at, event in events if isinstance(event, inv.Due)] == [late + 10 * HOUR]


def test_an_invitation_that_was_never_sent_does_not_count() -> None:
    """It expired in an outage: the person got no invitation, so they may get one for the next contact."""
    programme = a_programme(a_survey(least_gap_ms=30 * DAY, delay_ms=HOUR))
    policy = a_policy()
    policy.handle(considered(1, person_id="p"), programme, NOW)
    late = NOW + 4 * DAY
    assert kinds(policy.advance(late, lambda _tenant: programme)) == [inv.Expired]
    made_by(policy.handle(considered(2, late, person_id="p"), programme, late))


def test_an_invitation_that_falls_into_quiet_hours_is_sent_at_their_end() -> None:
    """Completed at half past nine in the evening with an hour's delay: sent at eight in the morning, and its day is
    the next."""
    programme = a_programme(a_survey(delay_ms=HOUR, quiet=NIGHT), zone=TEHRAN)
    policy = a_policy()
    now = in_tehran(21, 30)
    made = made_by(policy.handle(considered(at_ms=now), programme, now))
    assert (made.send_at_ms, made.day) == (in_tehran(8, day=21), "2026-11-21")
    assert made.expires_at_ms == made.send_at_ms + 72 * HOUR
    assert [(at, type(event)) for at, event in passed(policy, programme, in_tehran(9, day=21))] == [
        (in_tehran(8, day=21), inv.Due)
    ]


def test_a_lane_that_restarts_at_night_waits_for_the_morning_by_hand_too() -> None:
    """Planned for the afternoon, checked again at midnight."""
    programme = a_programme(a_survey(delay_ms=HOUR, quiet=NIGHT), zone=TEHRAN)
    policy = a_policy()
    now = in_tehran(14)
    policy.handle(considered(at_ms=now), programme, now)
    midnight = in_tehran(0, day=21)
    assert kinds(policy.advance(midnight, lambda _tenant: programme)) == []
    assert policy.next_wakeup() == in_tehran(8, day=21)
    by_hand = policy.handle(invited(2), programme, midnight)
    assert made_by(by_hand).send_at_ms == in_tehran(8, day=21)
    assert kinds(by_hand) == [inv.Created]


def test_one_reminder_and_only_while_there_is_no_response() -> None:
    """A reminder a day after the sending; then the expiry; nothing else."""
    programme = a_programme(a_survey(remind_after_ms=DAY))
    policy = a_policy()
    policy.handle(considered(), programme, NOW)
    assert [(at - NOW, type(event)) for at, event in passed(policy, programme, NOW + 20 * DAY)] == [
        (DAY, inv.ReminderDue),
        (3 * DAY, inv.Expired),
    ]
    made = made_by(policy.handle(considered(2), programme, NOW))
    policy.handle(respond(made), programme, NOW + HOUR)
    assert passed(policy, programme, NOW + 20 * DAY) == []


def test_a_reminder_moves_out_of_the_quiet_hours_or_is_left_out() -> None:
    """Twelve hours after noon is midnight, so the reminder comes in the morning. If the invitation has expired by
    then, there is none."""
    cases: tuple[tuple[int, type[inv.Event]], ...] = ((72 * HOUR, inv.ReminderDue), (20 * HOUR, inv.Expired))
    for expires_after_ms, expected in cases:
        survey = a_survey(remind_after_ms=12 * HOUR, quiet=NIGHT, expires_after_ms=expires_after_ms)
        programme = a_programme(survey, zone=TEHRAN)
        policy = a_policy()
        policy.handle(considered(at_ms=in_tehran(12)), programme, in_tehran(12))
        events = passed(policy, programme, in_tehran(8, day=21))
        assert [type(event) for at, event in events if at > in_tehran(12)] == [expected]


def test_an_outage_into_the_quiet_hours_moves_the_reminder_again() -> None:
    """First checked at 23:00: it waits until eight."""
    programme = a_programme(a_survey(remind_after_ms=8 * HOUR, quiet=NIGHT), zone=TEHRAN)
    policy = a_policy()
    policy.handle(considered(at_ms=in_tehran(12)), programme, in_tehran(12))
    assert kinds(policy.advance(in_tehran(23), lambda _tenant: programme)) == []
    assert passed(policy, programme, in_tehran(9, day=21))[0][0] == in_tehran(8, day=21)


def test_reminders_do_not_count() -> None:
    """A gap of a day after the invitation is over, although the person was reminded an hour ago."""
    programme = a_programme(a_survey(least_gap_ms=DAY, remind_after_ms=23 * HOUR, window_ms=10 * DAY, most_in_window=2))
    policy = a_policy()
    policy.handle(considered(1, person_id="p"), programme, NOW)
    assert [type(event) for _, event in passed(policy, programme, NOW + 23 * HOUR)] == [inv.ReminderDue]
    made_by(policy.handle(considered(2, NOW + DAY, person_id="p"), programme, NOW + DAY))


def test_a_reopened_conversation_gets_one_invitation_at_its_later_end() -> None:
    """Completed, reopened within the delay, completed again: the first invitation is withdrawn, the second is sent."""
    programme = a_programme(a_survey(delay_ms=2 * HOUR, least_gap_ms=DAY))
    policy = a_policy()
    first = made_by(policy.handle(considered(1, person_id="p", conversation_id="c"), programme, NOW))
    later = NOW + HOUR
    effects = policy.handle(considered(2, later, person_id="p", conversation_id="c"), programme, later)
    assert [(e.invitation.invitation_id, e.reason) for e in effects if isinstance(e, inv.Withdrawn)] == [
        (first.invitation_id, inv.WithdrawalReason.REPLACED)
    ]
    second = made_by(effects)
    assert [(at, type(event)) for at, event in passed(policy, programme, NOW + DAY)] == [(later + 2 * HOUR, inv.Due)]
    assert second.subject.interaction_id == "interaction-2"
    # The log's repetition of the first completion does not restore it.
    assert policy.handle(considered(1, person_id="p", conversation_id="c"), programme, later) == []
    refused = policy.handle(respond(first), programme, later)
    assert [e.reason for e in refused if isinstance(e, inv.Refused)] == [inv.RefusalReason.UNKNOWN_INVITATION]


def test_the_later_contact_takes_the_place_in_the_sample() -> None:
    """A customer cannot leave the sample, or be drawn twice, by writing again: with a share of 0 from now on, the
    invitation is still sent."""
    policy = a_policy()
    policy.handle(considered(1, person_id="p", conversation_id="c"), a_programme(a_survey(delay_ms=HOUR)), NOW)
    nothing = a_programme(a_survey(delay_ms=HOUR, sampling=0.0))
    made_by(policy.handle(considered(2, person_id="p", conversation_id="c"), nothing, NOW))
    assert skipped(policy.handle(considered(3, person_id="p", conversation_id="d"), nothing, NOW)) is (
        SkipReason.SAMPLED_OUT
    )


def test_a_conversation_that_turned_out_to_be_spam_gets_no_invitation() -> None:
    """The waiting invitation is withdrawn with it."""
    programme = a_programme(a_survey(delay_ms=HOUR))
    policy = a_policy()
    policy.handle(considered(1, person_id="p", conversation_id="c"), programme, NOW)
    spam = considered(2, person_id="p", conversation_id="c", labels={"spam": "true"})
    assert kinds(policy.handle(spam, programme, NOW)) == [inv.Withdrawn, inv.Skipped]
    assert passed(policy, programme, NOW + DAY) == []


def test_a_removed_survey_sends_no_more_invitations() -> None:
    """Waiting invitations are withdrawn; sent ones may still be answered."""
    programme = a_programme(a_survey(delay_ms=HOUR), a_survey(name="now", channels=frozenset({"email"})))
    policy = a_policy()
    policy.handle(considered(1), programme, NOW)
    sent = made_by(policy.handle(invited(2, "now"), programme, NOW))
    none = Programme()
    (event,) = events_of(policy.advance(NOW + HOUR, lambda _tenant: none))
    assert isinstance(event, inv.Withdrawn)
    assert event.reason is inv.WithdrawalReason.SURVEY_REMOVED
    assert kinds(policy.handle(respond(sent), none, NOW + HOUR)) == [inv.Counted]


def test_a_withdrawn_invitation_does_not_count() -> None:
    """With a gap of a week, the person is still invited, because no invitation had been sent."""
    programme = a_programme(a_survey(delay_ms=HOUR, least_gap_ms=7 * DAY))
    policy = a_policy()
    policy.handle(considered(1, person_id="p", conversation_id="c"), programme, NOW)
    policy.handle(considered(2, person_id="p", conversation_id="c", labels={"spam": "true"}), programme, NOW)
    made_by(policy.handle(considered(3, person_id="p"), programme, NOW))


def undeliverable(invitation: inv.Invitation, delivery_id: str = "d", tenant: str = TENANT) -> inv.NoteUndeliverable:
    """The sender of ingest could not deliver the invitation."""
    return inv.NoteUndeliverable("u", tenant, invitation.invitation_id, delivery_id)


def test_an_invitation_that_could_not_be_delivered_does_not_count() -> None:
    """With a gap of a week, the person is invited after their next contact, because the first survey did not arrive."""
    programme = a_programme(a_survey(least_gap_ms=7 * DAY))
    policy = a_policy()
    made = made_by(policy.handle(considered(1, person_id="p"), programme, NOW))
    policy.handle(inv.NoteSent("s", TENANT, made.invitation_id, "d"), programme, NOW)
    effects = policy.handle(undeliverable(made), programme, NOW)
    (event,) = events_of(effects)
    assert isinstance(event, inv.Withdrawn)
    assert event.reason is inv.WithdrawalReason.UNDELIVERABLE
    made_by(policy.handle(considered(2, person_id="p"), programme, NOW + HOUR))


def test_only_the_delivery_of_the_invitation_itself_withdraws_it() -> None:
    """Not a reminder's, not another tenant's command, and not after a response."""
    programme = a_programme(a_survey())
    policy = a_policy()
    made = made_by(policy.handle(considered(1), programme, NOW))
    policy.handle(inv.NoteSent("s", TENANT, made.invitation_id, "d"), programme, NOW)
    assert policy.handle(undeliverable(made, delivery_id="reminder"), programme, NOW) == []
    assert policy.handle(undeliverable(made, tenant="other"), programme, NOW) == []
    policy.handle(respond(made), programme, NOW)
    assert policy.handle(undeliverable(made), programme, NOW) == []


def test_silent_customers_have_their_own_share() -> None:
    """A customer who responded within thirty days is not in a sample of share 0; one who did not is in a sample of
    share 1."""
    programme = a_programme(a_survey(sampling=0.0, silent_after_ms=30 * DAY, silent_sampling=1.0))
    policy = a_policy()
    made = made_by(policy.handle(considered(1, person_id="p"), programme, NOW))  # no response so far: silent
    policy.handle(respond(made), programme, NOW + HOUR)
    at = NOW + 30 * DAY
    assert skipped(policy.handle(considered(2, at, person_id="p"), programme, at)) is SkipReason.SAMPLED_OUT
    made_by(policy.handle(considered(3, at + HOUR, person_id="p"), programme, at + HOUR))


def test_a_person_is_forgotten_when_their_history_no_longer_matters() -> None:
    """After the longest window, and after the longest silence that began with the person's response."""
    programme = a_programme(
        a_survey(window_ms=10 * DAY, most_in_window=3, silent_after_ms=40 * DAY, silent_sampling=1.0)
    )
    policy = a_policy()
    made = made_by(policy.handle(considered(), programme, NOW))
    policy.handle(respond(made), programme, NOW + HOUR)
    passed(policy, programme, NOW + 40 * DAY)
    assert policy.size == (0, 1, 0)
    passed(policy, programme, NOW + 40 * DAY + HOUR)
    assert policy.size == (0, 0, 0)


def test_the_history_of_a_person_is_bounded() -> None:
    """Invited by hand two hundred times: the newest sendings are kept."""
    programme = a_programme(a_survey(window_ms=400 * DAY, most_in_window=MOST_SENDINGS), a_survey(name="free"))
    policy = a_policy()
    for number in range(200):
        policy.handle(invited(number, "free", person_id="p"), programme, NOW + number)
    (person,) = [each for each in policy.kept() if isinstance(each, SurveyHistory)]
    assert len(person.sendings) == MOST_SENDINGS
    at = NOW + 300
    assert skipped(policy.handle(considered(900, at, person_id="p"), programme, at)) is SkipReason.TOO_MANY


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({"labels": {"tier": "gold"}, "language": "fa-IR"}, True),
        ({"labels": {"tier": "gold"}, "language": ""}, True),
        ({"labels": {"tier": "gold"}, "language": "en"}, False),
        ({"labels": {"tier": "basic"}}, False),
        ({"labels": {}}, False),
    ],
)
def test_a_survey_may_be_for_tiers_and_languages(fields: dict[str, Any], asked: bool) -> None:
    """The language is compared by its primary subtag; without a language it is the tenant's."""
    programme = a_programme(a_survey(tiers=frozenset({"gold"}), languages=frozenset({"fa"})))
    effects = a_policy().handle(considered(**fields), programme, NOW)
    assert kinds(effects)[0] is (inv.Created if asked else inv.Skipped)


ENTRIES = ChangelogCodec[Any](Any)


def test_entries_without_the_newest_fields_are_restored() -> None:
    """Its gap holds, its invitation can be answered once, and it has no reminders."""
    old_person = b'{"tenant":"parsa","person_id":"person-1","last_send_at_ms":%d,"forget_at_ms":%d}' % (NOW, NOW + DAY)
    old_invitation = (
        b'{"invitation_id":"v","tenant":"parsa","survey":"after-contact","kind":"csat","subject":{"interaction_id":"i",'
        b'"conversation_id":"c","person_id":"person-1","identity_id":"d","channel":"email","queue":"q","agent_id":"ada",'
        b'"language":"fa","labels":{}},"question":"?","day":"2023-11-14","send_at_ms":%d,"expires_at_ms":%d,"stage":"due",'
        b'"made_by":"m","answered_by":"","delivery_id":""}' % (NOW, NOW + DAY)
    )
    policy = a_policy()
    policy.restore(kept.decode(kept.history_key(TENANT, "person-1"), ENTRIES.encode(json.loads(old_person))))
    policy.restore(kept.decode(kept.invitation_key("v"), ENTRIES.encode(json.loads(old_invitation))))
    programme = a_programme(a_survey(least_gap_ms=DAY))
    assert skipped(policy.handle(considered(1, NOW + HOUR), programme, NOW + HOUR)) is SkipReason.TOO_SOON
    assert kinds(policy.handle(inv.RecordResponse("a", TENANT, "v", 5), programme, NOW + HOUR)) == [inv.Counted]
    again = policy.handle(inv.RecordResponse("b", TENANT, "v", 4), programme, NOW + HOUR)
    assert [e.reason for e in again if isinstance(e, inv.Refused)] == [inv.RefusalReason.ALREADY_ANSWERED]
