"""Events of the router become facts, and occurrences become events."""

import pytest

from chapar.common.v1 import types_pb2
from chapar.router.v1 import records_pb2 as router
from services.chassis.kafka.records import InvalidRecord, Record
from services.sla.domain.facts import RoutingFactKind
from services.sla.translate.events import event_of, fact_of, order_of
from tests.unit.sla.builders import MINUTE, T0, Watched, a_policy


def a_record(event: router.RoutingEvent | bytes | None) -> Record:
    value = event.SerializeToString() if isinstance(event, router.RoutingEvent) else event
    return Record("routing.events.v1", 0, 0, T0, b"c1", value, ())


def an_event(**of: object) -> router.RoutingEvent:
    event = router.RoutingEvent(event_id="e1", tenant="acme", pool="p", occurred_at_ms=T0, epoch=4)
    event.interaction.interaction_id = "i1"
    event.interaction.queue = "sales"
    event.interaction.labels["tier"] = "gold"
    event.MergeFrom(router.RoutingEvent(**of))  # type: ignore[arg-type]  # the test's own keywords
    return event


def test_a_queued_event() -> None:
    fact = fact_of(a_record(an_event(queued=router.InteractionQueued(again=True))))
    assert fact is not None
    assert (fact.kind, fact.tier, fact.queue, fact.epoch, fact.again) == (
        RoutingFactKind.QUEUED,
        "gold",
        "sales",
        4,
        True,
    )


def test_a_transfer_names_its_destination_queue() -> None:
    fact = fact_of(a_record(an_event(transferred=router.InteractionTransferred(queue="support"))))
    assert fact is not None
    assert (fact.kind, fact.queue) == (RoutingFactKind.MOVED, "support")


def test_a_fact_has_all_attributes_that_a_policy_may_use() -> None:
    facts = router.InteractionAttributes(language="fa-IR", priority=7, due_at_ms=5, labels={"b": "2", "a": "1"})
    fact = fact_of(a_record(an_event(queued=router.InteractionQueued(), interaction=facts)))
    assert fact is not None
    assert (fact.language, fact.priority, fact.due_at_ms) == ("fa-IR", 7, 5)
    assert fact.labels == (("a", "1"), ("b", "2"), ("tier", "gold"))


def test_a_callback_has_its_time() -> None:
    fact = fact_of(a_record(an_event(scheduled=router.InteractionScheduled(start_at_ms=T0 + 5))))
    assert fact is not None
    assert (fact.kind, fact.start_at_ms) == (RoutingFactKind.SCHEDULED, T0 + 5)


def test_a_silent_customer_moves_no_clock_and_the_end_is_a_completion() -> None:
    """The resolution was waiting for the customer, and it is met when the interaction ends."""
    assert fact_of(a_record(an_event(customer_silent=router.CustomerSilent(closes_at_ms=T0 + MINUTE)))) is None
    fact = fact_of(a_record(an_event(completed=router.InteractionCompleted(agent_id="a", disposition="silent"))))
    assert fact is not None
    assert (fact.kind, fact.disposition) == (RoutingFactKind.COMPLETED, "silent")


@pytest.mark.parametrize("disposition", ["spam", "auto_submitted"])
def test_a_disposition_that_needs_no_agent_is_cancelled(disposition: str) -> None:
    fact = fact_of(a_record(an_event(completed=router.InteractionCompleted(disposition=disposition))))
    assert fact is not None
    assert (fact.kind, fact.reason) == (RoutingFactKind.CANCELLED, disposition.upper())


def test_the_command_that_orders_a_queue() -> None:
    """One id for one event, the adequate level's time, and no change of the priority."""
    watched = Watched(a_policy(orders=True))
    watched.happens(RoutingFactKind.QUEUED)
    command = order_of(watched.reported[0], "e1")
    assert (
        command.command_id
        == order_of(watched.reported[0], "e1").command_id
        != order_of(watched.reported[0], "e2").command_id
    )
    asked = command.reprioritise
    assert (asked.interaction_id, asked.add, asked.due_at_ms) == ("i1", 0, T0 + 20 * MINUTE)


@pytest.mark.parametrize(
    "event",
    [
        an_event(agent_replied=router.AgentReplied(reply_id="automatic")),
        an_event(
            customer_message_recorded=router.CustomerMessageRecorded(
                message_id="m", automatic=types_pb2.AUTOMATIC_KIND_AUTO_REPLY
            )
        ),
        an_event(offered=router.InteractionOffered(agent_id="sara")),
        an_event(wrap_up_ended=router.WrapUpEnded(agent_id="sara")),
        router.RoutingEvent(agent_state_changed=router.AgentStateChanged(agent_id="sara")),
        router.RoutingEvent(event_id="from a later version"),
    ],
)
def test_events_without_meaning_for_sla_are_skipped(event: router.RoutingEvent) -> None:
    """This includes events of agents, which have no interaction, and kinds that this version does not know."""
    assert fact_of(a_record(event)) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "UNDECODABLE"),
        (b"\xff\xff\xff\xff", "UNDECODABLE"),
        (router.RoutingEvent(event_id="e", tenant="acme", queued=router.InteractionQueued()), "INCOMPLETE"),
        (an_event(queued=router.InteractionQueued(), occurred_at_ms=1 << 62), "TIME_OUT_OF_RANGE"),
        (an_event(queued=router.InteractionQueued(), occurred_at_ms=-5), "TIME_OUT_OF_RANGE"),
        (an_event(scheduled=router.InteractionScheduled(start_at_ms=1 << 60)), "TIME_OUT_OF_RANGE"),
        (
            an_event(queued=router.InteractionQueued(), interaction=router.InteractionAttributes(arrived_at_ms=5)),
            "TIME_OUT_OF_RANGE",
        ),
    ],
)
def test_a_poison_record_is_refused_with_its_reason(value: router.RoutingEvent | bytes | None, reason: str) -> None:
    with pytest.raises(InvalidRecord) as refused:
        fact_of(a_record(value))
    assert refused.value.reason == reason


def test_the_id_of_an_event_derives_from_its_cause() -> None:
    """The same history gives the same ids, another interaction gives others, and all ids of one history differ."""
    lives = []
    for name in ("i1", "i1", "i2"):
        watched = Watched()
        watched.happens(RoutingFactKind.QUEUED, interaction=name)
        watched.clock(T0 + 3_600_000)
        lives.append([event_of(o).event_id for o in watched.reported])
    assert lives[0] == lives[1]
    assert not set(lives[0]) & set(lives[2])
    assert len(set(lives[0])) == len(lives[0])
