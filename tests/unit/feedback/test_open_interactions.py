"""Surveys never interrupt: invitations while the customer is in a newer contact."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.feedback.domain import invitations as inv
from services.feedback.domain.open_interactions import LONGEST_OPEN_MS, MOST_OPEN, OpenInteractions
from services.feedback.translate import kept
from services.policy.model.surveys import Programme
from tests.unit.feedback.builders import HOUR, NOW, TENANT, a_policy, a_programme, a_subject, a_survey, events_of

SECOND = 1_000
DELAY = 12 * SECOND


def began(number: int, at_ms: int, person: str = "p", **fields: str) -> inv.NoteBegun:
    return inv.NoteBegun(f"begin-{number}", TENANT, a_subject(number, person_id=person, **fields), at_ms)


def ended(number: int, at_ms: int, person: str = "p") -> inv.NoteEnded:
    return inv.NoteEnded(f"end-{number}", TENANT, person, f"interaction-{number}", at_ms)


def completed(number: int, began_at_ms: int, at_ms: int, person: str = "p", **fields: str) -> inv.Consider:
    return inv.Consider(f"complete-{number}", TENANT, a_subject(number, person_id=person, **fields), at_ms, began_at_ms)


class Life:
    """A policy with its changelog and a clock. Every effect restores to the same state."""

    def __init__(self, programme: Programme) -> None:
        self.programme, self.policy, self.now = programme, a_policy(), NOW
        self.changelog: dict[bytes, bytes] = {}
        self.events: list[tuple[int, inv.Event]] = []

    def handle(self, command: inv.Command, at_ms: int) -> None:
        self.wait(at_ms)
        self._perform(self.policy.handle(command, self.programme, self.now))

    def wait(self, until_ms: int) -> None:
        """Let the lane advance at each of its wake-ups until then."""
        while (at := self.policy.next_wakeup()) is not None and at <= until_ms:
            self.now = max(self.now, at)
            self._perform(self.policy.advance(self.now, lambda _tenant: self.programme))
        self.now = max(self.now, until_ms)

    def crash(self) -> None:
        policy = a_policy()
        for key, value in self.changelog.items():
            policy.restore(kept.decode(key, value))
        self.policy = policy

    def _perform(self, effects: list[inv.Effect]) -> None:
        for effect in effects:
            match effect:
                case inv.Keep(invitation):
                    self.changelog[kept.invitation_key(invitation.invitation_id)] = kept.encode(invitation)
                case inv.Drop(invitation_id):
                    del self.changelog[kept.invitation_key(invitation_id)]
                case inv.KeepHistory(history):
                    self.changelog[kept.history_key(*history.key)] = kept.encode(history)
                case inv.DropHistory(tenant, person_id):
                    del self.changelog[kept.history_key(tenant, person_id)]
                case inv.KeepOpen(interactions):
                    self.changelog[kept.open_key(*interactions.key)] = kept.encode(interactions)
                case inv.DropOpen(tenant, person_id):
                    del self.changelog[kept.open_key(tenant, person_id)]
        self.events += [(self.now, event) for event in events_of(effects)]

    @property
    def story(self) -> list[tuple[int, str, str]]:
        """Seconds since the beginning, what happened, and the interaction (of a skip: the reason)."""
        lines = []
        for at, event in self.events:
            match event:
                case inv.Skipped(interaction_id, reason):
                    lines.append((at, f"skipped {reason}", interaction_id))
                case inv.Withdrawn(invitation, reason):
                    lines.append((at, f"withdrawn {reason}", invitation.subject.interaction_id))
                case inv.Refused():
                    raise AssertionError("no response here")
                case _:
                    lines.append((at, type(event).__name__.lower(), event.invitation.subject.interaction_id))
        return [((at - NOW) // SECOND, what, which) for at, what, which in lines]


def a_life(**survey: int) -> Life:
    options = {"delay_ms": DELAY, "least_gap_ms": HOUR, "expires_after_ms": 2 * HOUR}
    return Life(a_programme(a_survey(**{**options, **survey})))


def at(seconds: int) -> int:
    return NOW + seconds * SECOND


@pytest.mark.parametrize("crashing", [False, True])
@pytest.mark.parametrize("conversation", ["conversation-1", "conversation-2"])
def test_a_customer_who_is_back_is_not_interrupted_and_asked_about_the_newer_contact(
    crashing: bool, conversation: str
) -> None:
    """D8: the chat ends at 0, the survey would come at 12, the customer is back at 3 and talks until 60. One survey, at
    72, about the second contact; by the same or another channel, and with a restart in between."""
    life = a_life()
    life.handle(began(1, at(-60)), at(-60))
    life.handle(completed(1, at(-60), at(0), conversation_id="conversation-1"), at(0))
    life.handle(began(2, at(3), conversation_id=conversation, channel="phone"), at(3))
    life.wait(at(30))
    if crashing:
        life.crash()
    life.handle(completed(2, at(3), at(60), conversation_id=conversation, channel="phone"), at(60))
    life.wait(at(100))
    assert life.story == [
        (0, "created", "interaction-1"),
        (60, "withdrawn REPLACED", "interaction-1"),
        (60, "created", "interaction-2"),
        (72, "due", "interaction-2"),
    ]


def test_a_newer_contact_that_ends_before_the_survey_replaces_it_where_the_limits_allow_one() -> None:
    """Back at 3, done at 8, both before the survey at 12: the survey is about the newer contact, which is not TOO_SOON.
    Without a gap both contacts are asked about."""
    for gap, expected in (
        (
            HOUR,
            [(8, "withdrawn REPLACED", "interaction-1"), (8, "created", "interaction-2"), (20, "due", "interaction-2")],
        ),
        (0, [(8, "created", "interaction-2"), (12, "due", "interaction-1"), (20, "due", "interaction-2")]),
    ):
        life = a_life(least_gap_ms=gap)
        life.handle(completed(1, at(-60), at(0)), at(0))
        life.handle(began(2, at(3)), at(3))
        life.handle(completed(2, at(3), at(8)), at(8))
        life.wait(at(60))
        assert life.story == [(0, "created", "interaction-1"), *expected]


def test_a_newer_contact_that_gets_no_survey_lets_the_older_survey_go() -> None:
    """The newer contact is abandoned at 40: the survey about the first one comes its delay after that."""
    life = a_life()
    life.handle(completed(1, at(-60), at(0)), at(0))
    life.handle(began(2, at(3)), at(3))
    life.handle(ended(2, at(40)), at(40))
    life.wait(at(100))
    assert life.story == [(0, "created", "interaction-1"), (52, "due", "interaction-1")]


def test_the_survey_waits_for_the_last_of_several_contacts() -> None:
    """Two newer contacts end at 20 and 50; the first end lets nothing go."""
    life = a_life()
    life.handle(completed(1, at(-60), at(0)), at(0))
    for number in (2, 3):
        life.handle(began(number, at(number)), at(number))
    life.handle(ended(3, at(20)), at(20))
    life.handle(ended(2, at(50)), at(50))
    life.wait(at(100))
    assert life.story[-1] == (62, "due", "interaction-1")


def test_an_older_open_contact_another_person_and_a_machine_hold_nothing_back() -> None:
    """An e-mail that has waited for a week, another person's chat, and spam."""
    life = a_life()
    life.handle(began(7, at(-9000)), at(0))
    life.handle(began(8, at(1), person="other"), at(1))
    spam = inv.NoteBegun("b", TENANT, a_subject(9, person_id="p", labels={"spam": "true"}), at(2))
    life.handle(completed(1, at(-60), at(0)), at(2))
    life.handle(spam, at(2))
    life.wait(at(100))
    assert life.story[-1] == (12, "due", "interaction-1")


def test_a_survey_that_is_held_back_until_its_expiry_was_never_asked() -> None:
    """It is withdrawn, so scores do not count it as unanswered; also where its delay would reach past the expiry."""
    life = a_life()
    life.handle(completed(1, at(-60), at(0)), at(0))
    life.handle(began(2, at(3)), at(3))
    life.wait(at(9000))
    assert life.story[1:] == [(12 + 7200, "withdrawn HELD_BACK", "interaction-1")]
    life = a_life()
    life.handle(completed(1, at(-60), at(0)), at(0))
    life.handle(began(2, at(3)), at(3))
    life.handle(ended(2, at(7205)), at(7205))
    assert life.story[1:] == [(7205, "withdrawn HELD_BACK", "interaction-1")]


def test_a_reminder_is_held_back_too() -> None:
    """Sent at 12, reminder due at 100, the customer talks from 90 to 200."""
    life = a_life(remind_after_ms=88 * SECOND)
    life.handle(completed(1, at(-60), at(0)), at(0))
    life.handle(began(2, at(90)), at(90))
    life.wait(at(150))
    life.crash()
    life.handle(ended(2, at(200)), at(200))
    life.wait(at(300))
    assert life.story[1:] == [(12, "due", "interaction-1"), (212, "reminderdue", "interaction-1")]


def test_an_invitation_by_hand_is_held_back_too() -> None:
    """It was not known when its interaction began, so any open interaction of the person is newer."""
    life = a_life()
    life.handle(began(2, at(-10)), at(0))
    life.handle(inv.Invite("i", TENANT, a_subject(1, person_id="p")), at(1))
    life.handle(ended(2, at(5)), at(5))
    life.wait(at(60))
    assert life.story == [(1, "created", "interaction-1"), (17, "due", "interaction-1")]


def test_an_end_that_never_comes_holds_nothing_back_for_ever() -> None:
    """After the longest time an interaction is left out, and nothing remains in memory."""
    life = a_life(expires_after_ms=2 * LONGEST_OPEN_MS)
    life.handle(completed(1, at(-60), at(0)), at(0))
    life.handle(began(2, at(3)), at(3))
    life.wait(at(20) + LONGEST_OPEN_MS)
    assert life.story[-1] == (15 + LONGEST_OPEN_MS // SECOND, "due", "interaction-1")
    assert life.policy.size[2] == 0


def test_an_erased_persons_open_interactions_are_forgotten() -> None:
    """Nothing about them remains."""
    life = a_life()
    life.handle(began(2, at(3)), at(3))
    effects, _ = life.policy.forget(TENANT, "p")
    assert effects == [inv.DropOpen(TENANT, "p")]
    assert life.policy.size == (0, 0, 0)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 300)), max_size=200))
def test_the_open_interactions_of_a_person_are_bounded_and_listed_once(opened: list[tuple[int, int]]) -> None:
    """The oldest first, none twice, at most `MOST_OPEN`."""
    entry = OpenInteractions(TENANT, "p")
    for number, at_ms in opened:
        entry = entry.with_one(str(number), at_ms)
    names = [name for _, name in entry.began]
    assert len(names) == len(set(names)) <= MOST_OPEN
    assert list(entry.began) == sorted(entry.began)


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[int, str, int]]:
    """Interactions of a person that overlap in any way, as events in order of time: (second, what, number)."""
    events = []
    for number in range(draw(st.integers(1, 6))):
        begin = draw(st.integers(0, 120))
        end = begin + draw(st.integers(1, 120))
        events += [(begin, "begin", number), (end, draw(st.sampled_from(["complete", "complete", "abandon"])), number)]
    events += [(draw(st.integers(0, 250)), "crash", -1) for _ in range(draw(st.integers(0, 3)))]
    return sorted(events)


@settings(max_examples=300)
@given(lives(), st.sampled_from([0, 40 * SECOND, HOUR]), st.sampled_from([0, 5 * SECOND, 60 * SECOND]))
def test_no_survey_interrupts_and_no_ended_contact_loses_its_survey_to_an_older_one(
    life_events: list[tuple[int, str, int]], gap_ms: int, delay_ms: int
) -> None:
    """Over random lives with restarts:
    no survey is sent while an interaction that began later is open;
    a person who completed a contact is asked, and the gap between surveys holds;
    without limits, a completed contact is asked about, or its survey was replaced."""
    life = a_life(least_gap_ms=gap_ms, delay_ms=delay_ms, expires_after_ms=10 * HOUR)
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    for second, what, number in life_events:
        match what:
            case "begin":
                begins[number] = second
                life.handle(began(number, at(second)), at(second))
            case "complete":
                ends[number] = second
                life.handle(completed(number, at(begins[number]), at(second)), at(second))
            case "abandon":
                ends[number] = second
                life.handle(ended(number, at(second)), at(second))
            case _:
                life.wait(at(second))
                life.crash()
    life.wait(at(0) + 9 * HOUR)
    sent = [(second, int(which.removeprefix("interaction-"))) for second, what, which in life.story if what == "due"]
    for second, number in sent:
        mine = (begins[number], f"interaction-{number}")
        talking = [
            other
            for other, begin in begins.items()
            if (begin, f"interaction-{other}") > mine and begin < second < ends[other]
        ]
        assert not talking, life.story
    completions = [number for second, what, number in life_events if what == "complete"]
    assert bool(sent) == bool(completions), life.story
    assert all(later - earlier >= gap_ms // SECOND for (earlier, _), (later, _) in itertools.pairwise(sent))
    if gap_ms == 0:
        replaced = {which for _, what, which in life.story if what == "withdrawn REPLACED"}
        asked = {f"interaction-{number}" for _, number in sent}
        assert {f"interaction-{number}" for number in completions} == replaced | asked
    assert life.policy.size[2] == 0
