"""Whatever comes, in whatever order and however often: counted once, and the least gap holds. A model watches the desk from outside."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.feedback.adapters import kept
from services.feedback.domain import invitations as inv
from services.feedback.domain.survey import Kind
from tests.unit.feedback.builders import HOUR, NOW, TENANT, a_desk, a_programme, a_subject, a_survey

GAP = 10 * HOUR
PEOPLE = st.sampled_from(["p1", "p2"])


class DeskMachine(RuleBasedStateMachine):
    """Commands, repetitions, time, and crashes after which the desk is restored from what it kept."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.programme = a_programme(
            a_survey(name="calls", kind=Kind.NPS, channels=frozenset({"phone"}), least_gap_ms=GAP, delay_ms=HOUR),
            a_survey(least_gap_ms=GAP, delay_ms=3 * HOUR, expires_after_ms=6 * HOUR, sampling=0.8),
        )
        self.desk = a_desk()
        self.changelog: dict[bytes, bytes] = {}
        self.told: list[inv.Event] = []
        self.commands: list[inv.Command] = []
        self.number = 0

    def perform(self, effects: list[inv.Effect]) -> None:
        for effect in effects:
            match effect:
                case inv.Keep(invitation):
                    self.changelog[kept.invitation_key(invitation.invitation_id)] = kept.encode(invitation)
                case inv.Drop(invitation_id):
                    del self.changelog[kept.invitation_key(invitation_id)]
                case inv.KeepAsked(asked):
                    self.changelog[kept.asked_key(*asked.key)] = kept.encode(asked)
                case inv.DropAsked(tenant, person_id):
                    del self.changelog[kept.asked_key(tenant, person_id)]
                case _:
                    self.told.append(effect)

    def handle(self, command: inv.Command) -> None:
        self.commands.append(command)
        self.perform(self.desk.handle(command, self.programme, self.now))

    def next_number(self) -> int:
        self.number += 1
        return self.number

    @rule(person=PEOPLE, channel=st.sampled_from(["phone", "telegram"]), ago=st.integers(0, 2 * HOUR))
    def complete(self, person: str, channel: str, ago: int) -> None:
        number = self.next_number()
        about = a_subject(number, person_id=person, channel=channel)
        self.handle(inv.Consider(f"c{number}", TENANT, about, self.now - ago))

    @rule(person=PEOPLE)
    def invite_by_hand(self, person: str) -> None:
        number = self.next_number()
        self.handle(inv.Invite(f"c{number}", TENANT, a_subject(number, person_id=person)))

    @precondition(lambda self: any(isinstance(event, inv.Created) for event in self.told))
    @rule(data=st.data(), score=st.integers(-1, 11))
    def answer(self, data: st.DataObject, score: int) -> None:
        made = data.draw(st.sampled_from([event.invitation for event in self.told if isinstance(event, inv.Created)]))
        number = self.next_number()
        self.handle(inv.Answer(f"c{number}", TENANT, made.invitation_id, score))

    @precondition(lambda self: bool(self.commands))
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """The log's producers may write a command twice."""
        self.handle(data.draw(st.sampled_from(self.commands[-8:])))

    @rule(ms=st.integers(1, 8 * HOUR))
    def wait(self, ms: int) -> None:
        self.now += ms
        self.perform(self.desk.advance(self.now))

    @rule()
    def crash(self) -> None:
        self.desk = a_desk()
        for key, value in self.changelog.items():
            self.desk.restore(kept.decode(key, value))

    @invariant()
    def an_answer_is_counted_once(self) -> None:
        counted = [event.invitation.invitation_id for event in self.told if isinstance(event, inv.Counted)]
        assert len(counted) == len(set(counted))

    @invariant()
    def an_invitation_is_made_and_due_at_most_once(self) -> None:
        for kind in (inv.Created, inv.Due, inv.Expired):
            ids = [event.invitation.invitation_id for event in self.told if isinstance(event, kind)]
            assert len(ids) == len(set(ids)), kind

    @invariant()
    def nobody_is_asked_twice_within_the_gap(self) -> None:
        for person in ("p1", "p2"):
            times = sorted(
                event.invitation.send_at_ms
                for event in self.told
                if isinstance(event, inv.Created) and event.invitation.subject.person_id == person
            )
            assert all(later - earlier >= GAP for earlier, later in itertools.pairwise(times)), times

    @invariant()
    def nothing_counts_that_was_not_on_the_scale_or_in_time(self) -> None:
        for event in self.told:
            if isinstance(event, inv.Counted):
                assert 0 <= event.score <= 10
                assert event.invitation.kind is Kind.NPS or 1 <= event.score <= 5

    @invariant()
    def no_answer_and_expiry_of_the_same(self) -> None:
        counted = {e.invitation.invitation_id for e in self.told if isinstance(e, inv.Counted)}
        expired = {e.invitation.invitation_id for e in self.told if isinstance(e, inv.Expired)}
        assert not counted & expired

    @invariant()
    def the_changelog_holds_what_the_desk_holds(self) -> None:
        invitations, people = self.desk.size
        assert len(self.changelog) == invitations + people


DeskMachine.TestCase.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
TestDesk = pytest.mark.timeout(60)(DeskMachine.TestCase)
