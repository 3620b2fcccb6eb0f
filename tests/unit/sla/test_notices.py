"""Which webhooks receive which event, and the content of the notice."""

import json

import pytest

from chapar.common.v1.webhook_pb2 import WebhookNotice
from chapar.config.v1 import config_pb2
from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.kafka.records import Record
from services.policy.model.webhooks import Endpoint
from services.sla.adapters.notices import Notices
from tests.unit.sla.builders import T0


class Kept:
    """Used in place of `Webhooks`."""

    def __init__(self) -> None:
        self.notices: list[WebhookNotice] = []

    async def tell(self, notices: list[WebhookNotice]) -> None:
        self.notices += notices


def an_event(kind: "sla.SlaEventKind.ValueType", at: int = T0, **of: object) -> Record:
    event = sla.SlaEvent(
        event_id="e1",
        tenant="acme",
        interaction_id="i1",
        kind=kind,
        target=config_pb2.TARGET_KIND_FIRST_RESPONSE,
        adequate_at_ms=T0,
        occurred_at_ms=at,
        **{"level": sla.SLA_LEVEL_ADEQUATE, **of},  # type: ignore[arg-type]  # the test's own keywords
    )
    return Record("sla.events.v1", 0, 0, at, b"c1", event.SerializeToString(), ())


async def notices_for(*records: Record) -> list[WebhookNotice]:
    endpoints = {
        "all": Endpoint(
            "all", "https://a.example", ("env:A",), frozenset({"sla.warned", "sla.escalated", "sla.rearmed"})
        ),
        "early": Endpoint("early", "https://c.example", ("env:C",), frozenset({"sla.desired_passed"})),
        "late": Endpoint("late", "https://d.example", ("env:D",), frozenset({"sla.breached"})),
        "duty": Endpoint("duty", "https://b.example", ("env:B",)),
    }
    kept = Kept()
    notices = Notices(lambda tenant: endpoints if tenant == "acme" else {}, kept, lambda: T0)  # type: ignore[arg-type]  # a fake
    await notices.handle(list(records))
    return kept.notices


async def test_the_webhook_that_an_escalation_names_and_those_that_want_such_events() -> None:
    """Each webhook is notified once, with the event's id, so that it can recognise a repetition."""
    action = sla.SlaAction(webhook="duty")
    notices = await notices_for(an_event(sla.SLA_EVENT_KIND_ESCALATED, action=action))
    assert [(n.webhook, n.message_id, n.tenant) for n in notices] == [("all", "e1", "acme"), ("duty", "e1", "acme")]


async def test_a_passed_desired_level_is_not_told_to_those_who_ask_for_breaches() -> None:
    """A target is breached at its adequate level; the desired level has an event of its own, which names it."""
    (passed,) = await notices_for(an_event(sla.SLA_EVENT_KIND_DESIRED_PASSED, level=sla.SLA_LEVEL_DESIRED))
    (breached,) = await notices_for(an_event(sla.SLA_EVENT_KIND_BREACHED))
    assert (passed.webhook, breached.webhook) == ("early", "late")
    documents = [json.loads(notice.body) for notice in (passed, breached)]
    assert [(each["type"], each["data"]["level"]) for each in documents] == [
        ("sla.desired_passed", "desired"),
        ("sla.breached", "adequate"),
    ]


async def test_a_target_that_runs_again_is_an_event_of_its_own() -> None:
    """The reply that had met it has failed."""
    (notice,) = await notices_for(an_event(sla.SLA_EVENT_KIND_REARMED))
    assert json.loads(notice.body)["type"] == "sla.rearmed"


@pytest.mark.parametrize(
    "record",
    [
        an_event(sla.SLA_EVENT_KIND_MET),
        an_event(sla.SLA_EVENT_KIND_PAUSED),
        an_event(sla.SLA_EVENT_KIND_WARNED, at=T0 - 86_400_001),
        Record("sla.events.v1", 0, 0, T0, b"c1", b"\xff\xff", ()),
    ],
)
async def test_unwanted_and_day_old_events_are_not_sent(record: Record) -> None:
    assert await notices_for(record) == []


async def test_the_document_has_ids_and_times_and_no_text_of_a_person() -> None:
    (notice,) = await notices_for(an_event(sla.SLA_EVENT_KIND_WARNED, warning=2, share=0.75))
    document = json.loads(notice.body)
    assert (document["type"], document["timestamp"]) == ("sla.warned", "2023-11-14T22:13:20.000Z")
    assert document["data"]["target"] == "first_response"
    assert (document["data"]["warning"], document["data"]["desired_at"]) == (2, None)
