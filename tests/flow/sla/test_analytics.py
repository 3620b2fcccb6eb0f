"""Analytics on the fake lane: predictions and their reports, and that a takeover changes nothing."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chapar.config.v1 import config_pb2 as config
from chapar.router.v1 import records_pb2 as router
from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.kafka.records import Record
from services.policy.model.sla import Target
from services.policy.reading.business_calendar import caching_calendars
from services.policy.reading.sla import policies_of
from services.sla.adapters.read_model import FIRST, ReadModel
from services.sla.domain.flow import together
from services.sla.domain.forecasting import ForecastLimits
from services.sla.lanes.deadlines import DeadlineProcessor
from tests.flow.sla.test_lane import MINUTE, SECOND, Flow


def asking(probability: float, priority: int) -> Flow:
    """Return a lane whose policy asks for predictions: pick-up desired within 1 min, adequate within 2."""
    f = Flow()
    target = config.SlaTarget(kind=config.TARGET_KIND_PICK_UP, desired_ms=MINUTE, adequate_ms=2 * MINUTE)
    target.predict.probability, target.predict.add_priority = probability, priority
    policy = config.SlaPolicy(name="p", targets=[target])
    document = config.TenantConfiguration(tenant="acme", version=1, sla_policies=[policy])
    f.policies = {"acme": policies_of(document)}
    return f


def predicted(f: Flow) -> list[sla.SlaEvent]:
    return [event for event in f.events if event.kind == sla.SLA_EVENT_KIND_PREDICTED]


def queued(f: Flow, name: str, p50: int, p90: int) -> None:
    f.lane.handle(
        f.record(name, queued=router.InteractionQueued(position=1, estimated_wait_ms=p50, estimated_p90_ms=p90))
    )


def test_a_likely_breach_is_predicted_once() -> None:
    """The estimated wait is ten minutes, the target two: the breach is predicted at once, with the priority that the
    policy adds. It is not predicted again, even after a takeover."""
    f = asking(0.6, 7)
    queued(f, "late", 10 * MINUTE, 20 * MINUTE)
    queued(f, "fine", 0, 0)
    f.lane.crash()
    f.quiet()
    f.lane.advance(3 * MINUTE)
    [event] = predicted(f)
    assert (event.interaction_id, event.escalate_priority, event.level) == ("late", 7, sla.SLA_LEVEL_ADEQUATE)
    assert 0.6 <= event.probability < 1
    assert event.adequate_at_ms - event.occurred_at_ms == 2 * MINUTE
    assert event.reason == "LIKELY_TO_BREAK"


def test_a_deadline_is_forecast_again_as_time_passes() -> None:
    """A breach is unlikely at first. The line does not move, and at a later moment the breach is likely enough: it
    is reported then, before it happens."""
    f = asking(0.4, 3)
    for number in range(12):
        queued(f, f"i{number:02d}", 50 * SECOND, 100 * SECOND)
    assert not predicted(f)
    f.quiet()
    f.lane.advance(118 * SECOND)
    on_committed = predicted(f)
    assert on_committed
    assert all(e.occurred_at_ms < e.adequate_at_ms for e in on_committed)
    assert len({e.event_id for e in on_committed}) == len({e.interaction_id for e in on_committed}) == len(on_committed)


def test_without_a_predict_setting_no_prediction_is_reported() -> None:
    f = Flow()
    queued(f, "late", 100 * MINUTE, 200 * MINUTE)
    assert not predicted(f)


def test_a_busy_lane_forecasts_a_sample_and_the_deadlines_that_policies_ask_for() -> None:
    """Forecasts per second and forecast interactions are limited; a deadline whose policy asks for a forecast is
    forecast beyond the limits."""
    f = Flow(
        forecasts=ForecastLimits(interactions=3, a_second=4)
    )  # three deadlines each, and no policy that asks for forecasts
    for number in range(5):
        f.queued(f"a{number}")
    assert _made(f) == {"a0": 3, "a1": 1}
    f.lane.advance(SECOND)
    for number in range(5):
        f.queued(f"b{number}")
    assert _made(f) == {"a0": 3, "a1": 1, "b0": 3}
    f.policies = asking(0.6, 7).policies
    queued(f, "asked", 10 * MINUTE, 20 * MINUTE)
    assert [event.interaction_id for event in predicted(f)] == ["asked"]


def _made(f: Flow) -> dict[str, int]:
    processor = f.lane.processor
    assert isinstance(processor, DeadlineProcessor)
    return {name: len(story.samples) for name, story in processor.analytics.stories.items() if story.samples}


steps = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from(["queued", "assigned", "agent_replied", "customer_message_recorded", "changed", "completed", "abandoned"]),
        # Whole seconds: a milestone is reported when the log has been read up to its due time, so at least a
        # millisecond after a record that was written then.
        st.integers(0, 360).map(lambda seconds: seconds * SECOND),
        st.integers(-1, 20 * MINUTE),
    ),
    min_size=1,
    max_size=25,
)  # fmt: skip
MESSAGES = {
    "assigned": router.InteractionAssigned(agent_id="sara"),
    "agent_replied": router.AgentReplied(agent_id="sara"),
    "customer_message_recorded": router.CustomerMessageRecorded(message_id="m"),
    "changed": router.InteractionChanged(queue="support"),
    "completed": router.InteractionCompleted(agent_id="sara"),
    "abandoned": router.InteractionAbandoned(),
}


@settings(max_examples=40)
@given(steps)
def test_a_takeover_after_every_step_changes_nothing(drawn: list[tuple[str, str, int, int]]) -> None:
    """The same events without and with a loss of memory after each step give the same occurrences and the same
    changelog, bit by bit, and the same forecasts."""
    lives: list[Flow] = []
    for crash in (False, True):
        f = asking(0.5, 1)
        f.policies = {"acme": _every_target()}
        for name, kind, later, p50 in drawn:
            message: Any = MESSAGES.get(kind)
            if kind == "queued":
                message = router.InteractionQueued(estimated_wait_ms=p50, estimated_p90_ms=2 * p50 if p50 > 0 else p50)
            f.lane.handle(f.record(name, **{kind: message}))
            if crash:
                f.lane.crash()
            f.quiet()
            f.lane.advance(later)
        lives.append(f)
    one, other = lives
    assert [sent.value for sent in one.lane.sent] == [sent.value for sent in other.lane.sent]
    assert {k: v for k, v in one.lane.changelog.items() if k[:1] != b"\x00"} == {
        k: v for k, v in other.lane.changelog.items() if k[:1] != b"\x00"
    }
    assert _forecasts(one) == _forecasts(other)
    processors = [f.lane.processor for f in lives]
    assert isinstance(processors[0], DeadlineProcessor)
    assert isinstance(processors[1], DeadlineProcessor)
    ahead = [p.analytics.forecasting for p in processors if isinstance(p, DeadlineProcessor)]
    assert +ahead[0].followed == +ahead[1].followed
    assert +ahead[0].likely == +ahead[1].likely


def test_readers_forecast_what_the_lane_forecasts() -> None:
    """At queueing, a read model that follows the changelog gives the lane's forecast."""
    f = asking(0.01, 1)
    queued(f, "i1", 10 * MINUTE, 20 * MINUTE)
    [event] = predicted(f)
    forecast = _forecasts(f)["i1", Target.PICK_UP]
    assert forecast is not None
    assert forecast[0] == pytest.approx(event.probability, abs=2e-2)


def test_measures_reach_readers() -> None:
    """Flows and tallies by half hour, contacts and stories reach the read model through the changelog."""
    f = Flow()
    f.queued()
    f.lane.advance(MINUTE)
    f.lane.handle(f.record(agent_replied=router.AgentReplied(agent_id="sara")))
    model = _model(f)
    flow = together(flow for _, flow in model.analytics.flows("acme"))
    assert (flow.contacts, flow.first_response.n, flow.first_response.sum_ms) == (1, 1, MINUTE)
    assert not list(model.analytics.flows("other"))
    [story] = model.analytics.stories("acme", "", "")
    assert story.answered
    assert not list(model.analytics.stories("acme", "support", ""))
    [contact], _ = model.analytics.contacts("acme", 2, 1, f.lane.now_ms)
    assert contact.interaction_id == "i1"
    slots = {key.slot for key, _ in model.tallies("acme")}
    assert all(0 <= slot < 48 for slot in slots)


def _every_target() -> Any:
    kinds = (
        config.TARGET_KIND_PICK_UP,
        config.TARGET_KIND_FIRST_RESPONSE,
        config.TARGET_KIND_NEXT_RESPONSE,
        config.TARGET_KIND_RESOLUTION,
    )
    targets = [config.SlaTarget(kind=kind, desired_ms=2 * MINUTE, adequate_ms=4 * MINUTE) for kind in kinds]
    for target in targets:
        target.predict.probability = 0.3
    policy = config.SlaPolicy(name="p", targets=targets, pause_while_customer_awaited=True)
    document = config.TenantConfiguration(tenant="acme", version=1, sla_policies=[policy])
    return replace(policies_of(document))


def _model(f: Flow) -> ReadModel:
    model = ReadModel(caching_calendars())
    for key, value in f.lane.changelog.items():
        model.apply(Record("sla.state.v1", 0, 0, f.lane.now_ms, key, value, ()))
    return model


def _forecasts(f: Flow) -> dict[tuple[str, Target], tuple[float, int] | None]:
    model = _model(f)
    return {
        (interaction.interaction_id, deadline.target): model.forecast(interaction, deadline, f.lane.now_ms)
        for _, interaction, deadline in model.at_risk("acme", FIRST, f.lane.now_ms + 100 * MINUTE, "")
    }
