"""First-contact resolution against a second way of counting that sees all contacts of a topic together."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.feedback.domain.contacts import Contact, Contacts, DropContactSeries, KeepContactSeries, Outcome, Settled
from tests.unit.feedback.builders import HOUR, NOW, TENANT, a_subject

WINDOW = 24 * HOUR


def oracle(times: list[int]) -> dict[str, bool]:
    """A contact is a first one if no contact came in the window before it; it is resolved if no contact comes in the
    window after it."""
    found: dict[str, bool] = {}
    for number, at_ms in enumerate(times):
        if number == 0 or at_ms - times[number - 1] >= WINDOW:
            found[f"interaction-{number}"] = number + 1 == len(times) or times[number + 1] - at_ms >= WINDOW
    return found


@settings(max_examples=150)
@given(st.lists(st.integers(0, 60), max_size=12), st.data())
def test_the_lane_settles_what_the_oracle_settles(gaps: list[int], data: st.DataObject) -> None:
    """Each first contact is settled once, whenever the lane advances, over restores, with every contact reported
    twice; nothing stays in memory."""
    contacts, kept = Contacts(), {}
    settled: dict[str, bool] = {}
    times: list[int] = []

    def note(effects: list[Settled | KeepContactSeries | DropContactSeries]) -> None:
        for effect in effects:
            match effect:
                case Settled(series, resolved):
                    assert series.first.interaction_id not in settled
                    settled[series.first.interaction_id] = resolved
                case KeepContactSeries(series):
                    kept[series.key] = series
                case DropContactSeries(key):
                    del kept[key]

    at_ms = NOW
    for number, gap in enumerate(gaps):
        at_ms += gap * HOUR
        times.append(at_ms)
        if data.draw(st.booleans()):
            note(contacts.advance(at_ms))
        if data.draw(st.booleans()):
            contacts = Contacts()
            for series in kept.values():
                contacts.restore(series)
        once = Contact(f"c{number}", TENANT, a_subject(number, person_id="p"), at_ms)
        note(contacts.handle(once, WINDOW))
        note(contacts.handle(once, WINDOW))
        if data.draw(st.booleans()):
            note(contacts.handle(once, WINDOW, Outcome.ENDED))
        elif data.draw(st.booleans()):
            note(contacts.end(TENANT, f"interaction-{number}"))
    note(contacts.advance(at_ms + 10 * WINDOW))
    assert settled == oracle(times)
    assert kept == {}


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=12), st.data())
def test_what_was_no_contact_changes_nothing(contacted: list[tuple[int, bool]], data: st.DataObject) -> None:
    """Some contacts are completed as spam or no further work while they are open: the result is the same as
    without them."""
    contacts = Contacts()
    settled: dict[str, bool] = {}
    real: list[tuple[str, int]] = []
    at_ms = NOW
    for number, (gap, is_real) in enumerate(contacted):
        at_ms += gap * HOUR
        name = f"interaction-{number}"
        once = Contact(f"c{number}", TENANT, a_subject(number, person_id="p"), at_ms)
        effects = contacts.handle(once, WINDOW)
        if data.draw(st.booleans()):
            effects += contacts.handle(once, WINDOW)
        effects += contacts.handle(once, WINDOW, Outcome.ENDED if is_real else Outcome.NO_CONTACT)
        if is_real:
            real.append((name, at_ms))
        for effect in effects:
            if isinstance(effect, Settled):
                settled[effect.series.first.interaction_id] = effect.resolved
    for effect in contacts.advance(at_ms + 10 * WINDOW):
        if isinstance(effect, Settled):
            settled[effect.series.first.interaction_id] = effect.resolved
    expected = oracle([each for _, each in real])
    assert settled == {real[int(name.rpartition("-")[2])][0]: resolved for name, resolved in expected.items()}
