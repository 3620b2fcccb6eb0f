"""Commands in any order and with repetitions, with outages and crashes: the rules of docs/feedback.md hold. A model
checks from outside."""

import itertools
from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.feedback.domain import invitations as inv
from services.feedback.domain.invitation_policy import InvitationPolicy
from services.feedback.domain.open_interactions import LONGEST_OPEN_MS
from services.feedback.translate import kept
from services.policy.model.quiet_hours import Quiet
from services.policy.model.surveys import Question, SurveyKind
from tests.unit.feedback.builders import HOUR, NOW, TENANT, a_policy, a_programme, a_subject, a_survey

GAP, SHORT_GAP, WINDOW, MOST = 10 * HOUR, 4 * HOUR, 40 * HOUR, 2
PEOPLE = st.sampled_from(["p1", "p2"])
ZONE = ZoneInfo("America/New_York")  # in early November the clock goes back: one hour comes twice
START = int(datetime(2023, 11, 3, 12, tzinfo=ZONE).timestamp() * 1000)
assert abs(START - NOW) < 30 * 24 * HOUR


def in_the_night(at_ms: int) -> bool:
    return not 7 <= datetime.fromtimestamp(at_ms / 1000, ZONE).hour < 22


class InvitationPolicyMachine(RuleBasedStateMachine):
    """Commands, repetitions, time, and crashes after which the state is restored from the changelog."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        quiet = Quiet(22 * 60, 7 * 60)
        self.programme = a_programme(
            a_survey(
                name="calls",
                kind=SurveyKind.NPS,
                channels=frozenset({"phone"}),
                least_gap_ms=SHORT_GAP,
                delay_ms=HOUR,
                window_ms=WINDOW,
                most_in_window=MOST,
                quiet=quiet,
                remind_after_ms=9 * HOUR,
                first_response_counts=True,
            ),
            a_survey(
                least_gap_ms=GAP,
                delay_ms=3 * HOUR,
                expires_after_ms=20 * HOUR,
                sampling=0.8,
                window_ms=WINDOW,
                most_in_window=MOST,
                quiet=quiet,
                remind_after_ms=5 * HOUR,
                amend_within_ms=6 * HOUR,
                silent_after_ms=30 * HOUR,
                silent_sampling=0.5,
                more=(Question("again", SurveyKind.TEXT, optional=True),),
            ),
            zone=ZONE,
        )
        self.policy = a_policy()
        self.changelog: dict[bytes, bytes] = {}
        self.events: list[tuple[int, inv.Event]] = []
        self.commands: list[tuple[int, inv.Command]] = []
        self.number = 0
        self.open: dict[int, tuple[str, int]] = {}
        """Open interactions: their person, and when they began."""

    def perform(self, effects: list[inv.Effect]) -> None:
        for effect in effects:
            match effect:
                case inv.Keep(invitation):
                    self.changelog[kept.invitation_key(invitation.invitation_id)] = kept.encode(invitation)
                case inv.Drop(invitation_id):
                    del self.changelog[kept.invitation_key(invitation_id)]
                case inv.KeepHistory(asked):
                    self.changelog[kept.history_key(*asked.key)] = kept.encode(asked)
                case inv.DropHistory(tenant, person_id):
                    del self.changelog[kept.history_key(tenant, person_id)]
                case inv.KeepOpen(interactions):
                    self.changelog[kept.open_key(*interactions.key)] = kept.encode(interactions)
                case inv.DropOpen(tenant, person_id):
                    del self.changelog[kept.open_key(tenant, person_id)]
                case _:
                    if isinstance(effect, inv.Due | inv.ReminderDue):
                        assert not self.newer_open(effect.invitation)
                    self.events.append((self.now, effect))

    def newer_open(self, invitation: inv.Invitation) -> bool:
        """Return whether the person is in a contact that began after the one that the invitation is about."""
        return any(
            person == invitation.subject.person_id
            and began_ms > invitation.began_at_ms
            and self.now < began_ms + LONGEST_OPEN_MS
            for person, began_ms in self.open.values()
        )

    def handle(self, command: inv.Command) -> None:
        self.commands.append((self.now, command))
        self.perform(self.policy.handle(command, self.programme, self.now))

    def next_number(self) -> int:
        self.number += 1
        return self.number

    def made(self) -> dict[str, inv.Invitation]:
        return {e.invitation.invitation_id: e.invitation for _, e in self.events if isinstance(e, inv.Created)}

    @rule(
        person=PEOPLE,
        channel=st.sampled_from(["phone", "telegram"]),
        ago=st.integers(0, 2 * HOUR),
        conversation=st.integers(1, 3),
    )
    def complete(self, person: str, channel: str, ago: int, conversation: int) -> None:
        number = self.next_number()
        about = a_subject(
            number, person_id=person, channel=channel, conversation_id=f"{person}-conversation-{conversation}"
        )
        self.handle(inv.Consider(f"c{number}", TENANT, about, self.now - ago))

    @rule(person=PEOPLE)
    def begin(self, person: str) -> None:
        number = self.next_number()
        self.handle(inv.NoteBegun(f"c{number}", TENANT, a_subject(number, person_id=person), self.now))
        self.open[number] = (person, self.now)

    @precondition(lambda self: bool(self.open))
    @rule(data=st.data(), completed=st.booleans())
    def end(self, data: st.DataObject, completed: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        person, began_ms = self.open.pop(number)
        about = a_subject(number, person_id=person)
        command_id = f"c{self.next_number()}"
        self.handle(
            inv.Consider(command_id, TENANT, about, self.now, began_ms)
            if completed
            else inv.NoteEnded(command_id, TENANT, person, about.interaction_id, self.now)
        )

    @rule(person=PEOPLE, survey=st.sampled_from(["", "calls"]))
    def invite_by_hand(self, person: str, survey: str) -> None:
        number = self.next_number()
        self.handle(inv.Invite(f"c{number}", TENANT, a_subject(number, person_id=person), survey))

    @precondition(lambda self: bool(self.made()))
    @rule(
        data=st.data(),
        score=st.integers(-1, 11),
        text=st.sampled_from(["", "thanks"]),
        source=st.sampled_from(list(inv.Source)),
    )
    def respond(self, data: st.DataObject, score: int, text: str, source: inv.Source) -> None:
        made = data.draw(st.sampled_from(list(self.made().values())[-4:]))
        number = self.next_number()
        self.handle(
            inv.RecordResponse(
                f"c{number}", TENANT, made.invitation_id, score, text, source, {"again": (0, text)} if text else {}
            )
        )

    def recent(self) -> list[inv.Command]:
        # The lane itself drops a repeated beginning: the log's place of origin shows it.
        return [
            command
            for at, command in self.commands[-8:]
            if at > self.now - inv.GRACE_MS and not isinstance(command, inv.NoteBegun)
        ]

    @precondition(lambda self: bool(self.recent()))
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """The log's producers may write a command twice."""
        before = len(self.events)
        command = data.draw(st.sampled_from(self.recent()))
        self.perform(self.policy.handle(command, self.programme, self.now))
        if isinstance(command, inv.RecordResponse):
            assert not [e for _, e in self.events[before:] if isinstance(e, inv.Amended)] or not self.counted_by(
                command
            )

    def counted_by(self, command: inv.RecordResponse) -> bool:
        """Return whether a response of this command had counted before the last event."""
        return any(
            isinstance(event, inv.Counted | inv.Amended) and event.invitation.answered_by == command.command_id
            for _, event in self.events[:-1]
        )

    @rule(ms=st.one_of(st.integers(1, 8 * HOUR), st.integers(1, 60 * HOUR)))
    def wait(self, ms: int) -> None:
        """Let the time pass without any advance in between: an outage, if it is long."""
        self.now += ms
        self.perform(self.policy.advance(self.now, lambda _tenant: self.programme))

    @rule(steps=st.integers(1, 40))
    def pass_time(self, steps: int) -> None:
        """Let the lane advance at arbitrary times."""
        for _ in range(steps):
            at = self.policy.next_wakeup()
            if at is None:
                return
            self.now = max(self.now, at)
            self.perform(self.policy.advance(self.now, lambda _tenant: self.programme))

    @rule()
    def crash(self) -> None:
        self.policy = self.restored()

    def restored(self) -> InvitationPolicy:
        policy = a_policy()
        for key, value in self.changelog.items():
            policy.restore(kept.decode(key, value))
        return policy

    @invariant()
    def a_response_is_counted_once_and_its_amendments_follow_each_other(self) -> None:
        last: dict[str, inv.Given] = {}
        for _, event in self.events:
            if isinstance(event, inv.Counted):
                assert event.invitation.invitation_id not in last
                assert event.invitation.given is not None
                last[event.invitation.invitation_id] = event.invitation.given
            elif isinstance(event, inv.Amended):
                assert last[event.invitation.invitation_id] == event.before
                assert event.given.revision == event.before.revision + 1
                last[event.invitation.invitation_id] = event.given

    @invariant()
    def an_invitation_is_made_sent_reminded_of_and_ended_at_most_once(self) -> None:
        for kind in (inv.Created, inv.Due, inv.ReminderDue, inv.Expired, inv.Withdrawn):
            times = Counter(event.invitation.invitation_id for _, event in self.events if isinstance(event, kind))
            assert not times or max(times.values()) == 1, kind

    def sent_to(self, person: str) -> list[tuple[int, inv.Invitation]]:
        return [
            (at, event.invitation)
            for at, event in self.events
            if isinstance(event, inv.Due) and event.invitation.subject.person_id == person
        ]

    @invariant()
    def no_person_is_invited_within_the_gap_or_more_than_m_times_in_the_window(self) -> None:
        for person in ("p1", "p2"):
            sent = self.sent_to(person)
            for (earlier, _), (later, invitation) in itertools.pairwise(sent):
                assert later - earlier >= (SHORT_GAP if invitation.survey == "calls" else GAP)
            for at, _ in sent:
                assert sum(at - WINDOW < other <= at for other, _ in sent) <= MOST

    @invariant()
    def no_invitation_is_sent_at_night(self) -> None:
        for at, event in self.events:
            assert not isinstance(event, inv.Due | inv.ReminderDue) or not in_the_night(at)

    @invariant()
    def no_reminder_follows_a_response_or_the_expiry(self) -> None:
        over: set[str] = set()
        due: set[str] = set()
        for at, event in self.events:
            match event:
                case inv.Due(invitation):
                    assert invitation.invitation_id not in over
                    due.add(invitation.invitation_id)
                case inv.Counted(invitation=invitation) | inv.Expired(invitation) | inv.Withdrawn(invitation, _):
                    over.add(invitation.invitation_id)
                case inv.ReminderDue(invitation):
                    assert invitation.invitation_id in due - over
                    assert at < invitation.expires_at_ms
                case _:
                    pass

    @invariant()
    def a_withdrawn_invitation_was_never_sent_and_one_conversation_waits_once(self) -> None:
        sent = {event.invitation.invitation_id for _, event in self.events if isinstance(event, inv.Due)}
        withdrawn = {event.invitation.invitation_id for _, event in self.events if isinstance(event, inv.Withdrawn)}
        assert not sent & withdrawn
        waits = Counter(
            each.subject.conversation_id
            for each in self.policy.kept()
            if isinstance(each, inv.Invitation) and each.stage is inv.Stage.WAITING
        )
        assert not waits or max(waits.values()) == 1

    @invariant()
    def nothing_counts_that_was_not_on_the_scale_or_in_time(self) -> None:
        for at, event in self.events:
            if isinstance(event, inv.Counted | inv.Amended):
                given = event.invitation.given
                assert given is not None
                assert 0 <= given.score <= 10
                assert event.invitation.kind is SurveyKind.NPS or 1 <= given.score <= 5
                assert at < event.invitation.expires_at_ms
            if isinstance(event, inv.Amended):
                assert event.invitation.survey != "calls"
                assert at < event.invitation.answered_at_ms + 6 * HOUR

    @invariant()
    def no_invitation_is_both_answered_and_expired(self) -> None:
        counted = {e.invitation.invitation_id for _, e in self.events if isinstance(e, inv.Counted)}
        expired = {e.invitation.invitation_id for _, e in self.events if isinstance(e, inv.Expired)}
        assert not counted & expired

    @invariant()
    def a_restored_policy_is_the_live_one(self) -> None:
        assert sorted(map(repr, self.restored().kept())) == sorted(map(repr, self.policy.kept()))
        assert len(self.changelog) == sum(self.policy.size)


InvitationPolicyMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestInvitationPolicy = pytest.mark.timeout(60)(InvitationPolicyMachine.TestCase)
