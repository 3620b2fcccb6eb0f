"""A sound history violates nothing, whatever the lives in it."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chapar.config.v1 import config_pb2
from chapar.router.v1.records_pb2 import RoutingEvent
from chapar.sla.v1 import sla_pb2
from tests.chaos.history.check import violations
from tests.chaos.history.model import Evidence
from tests.unit.chaos.lives import Life
from tests.unit.chaos.synthetic import BEGIN_MS, a_history

lives = st.builds(
    Life,
    tenant=st.sampled_from(("shop", "bank")),
    first_offer=st.sampled_from(("accepted", "declined", "expired")),
    writes_again=st.integers(0, 3),
    leaves=st.booleans(),
    returns=st.booleans(),
    wraps_up=st.booleans(),
    score=st.none() | st.integers(1, 5),
    amends=st.booleans(),
)


@given(st.lists(lives, min_size=1, max_size=6))
def test_a_sound_history_violates_nothing(some: list[Life]) -> None:
    assert violations(a_history(*some)) == []


@given(st.lists(lives, min_size=1, max_size=3), st.data())
def test_a_history_that_is_read_early_and_cut_violates_no_bound(some: list[Life], data: st.DataObject) -> None:
    """Work that is still open within its bounds is not a violation: nothing is lost, late or unanswered yet."""
    whole = a_history(*some)
    until_ms = data.draw(st.sampled_from(sorted({record.timestamp_ms for record in whole.records})))
    assert [found for found in violations(_cut(whole, until_ms)) if found.problem in _BY_TIME] == []


_BY_TIME = frozenset({"lost", "gap", "no answer", "never fired", "not counted", "late", "drained late"})


def _cut(whole: Evidence, until_ms: int) -> Evidence:
    """Return the history up to a time, read at that time."""
    clients = replace(
        whole.clients,
        acknowledged=tuple(seen for seen in whole.clients.acknowledged if seen.at_ms <= until_ms),
        replies=tuple(seen for seen in whole.clients.replies if seen.at_ms <= until_ms),
        commands=tuple(seen for seen in whole.clients.commands if seen.at_ms <= until_ms),
        arrivals=tuple(seen for seen in whole.clients.arrivals if seen.at_ms <= until_ms),
    )
    records = tuple(record for record in whole.records if record.timestamp_ms <= until_ms)
    return replace(whole, clients=clients, records=records, read_at_ms=until_ms, healed_at_ms=BEGIN_MS, live=())


def test_a_false_breach_that_was_taken_back_is_not_a_violation() -> None:
    """The lane read the answer late, said so, and the target was met after all."""
    sound = a_history(Life())
    met = next(record for record in sound.records if record.topic == "sla.events.v1" and _is_met_pick_up(record.value))
    breach, taken_back = sla_pb2.SlaEvent.FromString(met.value or b""), sla_pb2.SlaEvent.FromString(met.value or b"")
    breach.kind, taken_back.kind = sla_pb2.SLA_EVENT_KIND_BREACHED, sla_pb2.SLA_EVENT_KIND_CORRECTED
    breach.level = taken_back.level = sla_pb2.SLA_LEVEL_ADEQUATE
    breach.occurred_at_ms = breach.adequate_at_ms
    others = [record for record in sound.records if record.place[:2] != met.place[:2] or record.offset < met.offset]
    later = [record for record in sound.records if record.place[:2] == met.place[:2] and record.offset > met.offset]
    values = (breach.SerializeToString(), taken_back.SerializeToString(), met.value)
    shown = [met._replace(offset=met.offset + number, value=value) for number, value in enumerate(values)]
    moved = [record._replace(offset=record.offset + 2) for record in later]
    assert violations(replace(sound, records=(*others, *shown, *moved))) == []
    found = violations(replace(sound, records=(*others, shown[0], *moved)))
    assert "false breach" in {violation.problem for violation in found}


def test_a_level_that_was_due_before_the_router_knew_of_it_is_late_from_then_on() -> None:
    """The message waited a minute in intake, whose process was dead. The level passes when its interaction appears."""
    sound = a_history(Life(first_offer="expired"))
    queued = next(record for record in sound.records if record.topic == "routing.events.v1")
    known_ms = RoutingEvent.FromString(queued.value or b"").occurred_at_ms

    def passing(after_ms: int) -> set[str]:
        records = []
        for record in sound.records:
            event = sla_pb2.SlaEvent.FromString(record.value or b"") if record.topic == "sla.events.v1" else None
            if event is not None and event.target == config_pb2.TARGET_KIND_PICK_UP:
                event.desired_at_ms = event.adequate_at_ms = known_ms - 60_000
                event.occurred_at_ms = known_ms + after_ms
                record = record._replace(value=event.SerializeToString())
            records.append(record)
        return {violation.problem for violation in violations(replace(sound, records=tuple(records)))}

    assert passing(after_ms=900) == set()
    assert passing(after_ms=1_100) == {"late"}


def test_each_wait_for_an_agent_needs_its_own_assignment() -> None:
    """The second pick-up is met by the second assignment only."""
    sound = a_history(Life(returns=True))
    assert violations(sound) == []
    events = [record for record in sound.records if record.topic == "routing.events.v1"]
    *_, second = [each for each in events if RoutingEvent.FromString(each.value or b"").HasField("assigned")]
    without = tuple(record for record in sound.records if record is not second)
    assert "false success" in {violation.problem for violation in violations(replace(sound, records=without))}


def _is_met_pick_up(value: bytes | None) -> bool:
    event = sla_pb2.SlaEvent.FromString(value or b"")
    return event.target == config_pb2.TARGET_KIND_PICK_UP and event.kind == sla_pb2.SLA_EVENT_KIND_MET
