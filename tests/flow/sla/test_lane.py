"""The deadline lane on the fake lane: which records it writes and when, and that a takeover changes nothing."""

from collections.abc import Mapping

from chapar.config.v1 import config_pb2 as config
from chapar.router.v1 import records_pb2 as router
from chapar.sla.v1 import sla_pb2 as sla
from services.policy.model.sla import TenantPolicies
from services.policy.reading.business_calendar import caching_calendars
from services.policy.reading.sla import policies_of
from services.sla.domain.facts import Occurrence
from services.sla.domain.forecasting import DEFAULT_LIMITS, ForecastLimits
from services.sla.lanes.deadlines import COMMANDS, EVENTS, DeadlineProcessor, factory
from tests.fakes.lane import FakeLane

SECOND = 1_000
MINUTE = 60 * SECOND


class Flow:
    """One lane and one tenant, with a short text for every event."""

    def __init__(self, settle_ms: int = 0, forecasts: ForecastLimits = DEFAULT_LIMITS) -> None:
        self.committed: list[Occurrence] = []
        self.policies: Mapping[str, TenantPolicies] = {"acme": self.policy()}
        self._epochs: dict[str, int] = {}
        self.lane = FakeLane(
            factory(
                caching_calendars(),
                lambda: self.policies,
                lambda occurrences: self.committed.extend(occurrences),
                forget_after_ms=10 * MINUTE,
                settle_ms=settle_ms,
                forecasts=forecasts,
            ),
            input_topic="routing.events.v1",
        )

    @staticmethod
    def policy(desired_ms: int = 10 * MINUTE, version: int = 1, *, open_too: bool = False) -> TenantPolicies:
        kinds = (config.TARGET_KIND_PICK_UP, config.TARGET_KIND_FIRST_RESPONSE, config.TARGET_KIND_RESOLUTION)
        targets = [
            config.SlaTarget(
                kind=kind, desired_ms=desired_ms, adequate_ms=2 * desired_ms, warn_at=[0.75], escalate_priority=5
            )
            for kind in kinds
        ]
        policy = config.SlaPolicy(name=f"v{version}", targets=targets, pause_while_customer_awaited=True)
        policy.applies_to_open = policy.orders_queue = open_too
        document = config.TenantConfiguration(tenant="acme", version=version, sla_policies=[policy])
        return policies_of(document)

    def record(self, interaction: str = "i1", occurred_at_ms: int = 0, **event: object) -> bytes:
        epoch = self._epochs[interaction] = self._epochs.get(interaction, 0) + 1
        made = router.RoutingEvent(
            event_id=f"{interaction}-{epoch}",
            tenant="acme",
            pool="default",
            occurred_at_ms=occurred_at_ms or self.lane.now_ms,
            epoch=epoch,
            **event,  # type: ignore[arg-type]  # the test's own keywords
        )
        made.interaction.interaction_id = interaction
        made.interaction.conversation_id = f"c-{interaction}"
        made.interaction.queue = "sales"
        made.interaction.arrived_at_ms = made.occurred_at_ms
        return made.SerializeToString()

    def queued(self, interaction: str = "i1") -> None:
        self.lane.handle(self.record(interaction, queued=router.InteractionQueued()))

    def quiet(self) -> None:
        """Let due timers fire."""
        self.lane.advance(SECOND)

    @property
    def events(self) -> list[sla.SlaEvent]:
        return [sla.SlaEvent.FromString(sent.value) for sent in self.lane.sent_to(EVENTS)]

    @property
    def on_committed(self) -> list[str]:
        return [
            f"{config.TargetKind.Name(e.target)[12:]} {sla.SlaEventKind.Name(e.kind)[15:]}"
            + (f" {sla.SlaLevel.Name(e.level)[10:]}" if e.level else "")
            for e in self.events
        ]


def test_occurrences_from_queueing_to_completion() -> None:
    """Deadlines are set, the desired level passes, a warning fires; then assignment at the adequate level, reply and
    completion."""
    f = Flow()
    f.queued()
    f.lane.advance(16 * MINUTE)
    f.lane.handle(f.record(assigned=router.InteractionAssigned(agent_id="sara")))
    f.lane.handle(f.record(agent_replied=router.AgentReplied(agent_id="sara", first=True)))
    f.lane.advance(60 * MINUTE)
    f.lane.handle(f.record(completed=router.InteractionCompleted(agent_id="sara")))
    assert f.on_committed == [
        *[f"{target} DEADLINE_SET" for target in ("PICK_UP", "FIRST_RESPONSE", "RESOLUTION")],
        *[f"{target} DESIRED_PASSED DESIRED" for target in ("PICK_UP", "FIRST_RESPONSE", "RESOLUTION")],
        *[f"{target} WARNED ADEQUATE" for target in ("PICK_UP", "FIRST_RESPONSE", "RESOLUTION")],
        "PICK_UP MET ADEQUATE",
        "FIRST_RESPONSE MET ADEQUATE",
        "RESOLUTION PAUSED",
        "RESOLUTION MET ADEQUATE",
    ]
    assert len(f.committed) == len(f.events), "only committed occurrences are counted"
    assert {send.key for send in f.lane.sent_to(EVENTS)} == {b"acme/c-i1"}
    assert dict(f.lane.sent_to(EVENTS)[0].headers)["schema"] == b"chapar.sla.v1.SlaEvent"


def test_a_crash_at_any_point_changes_nothing() -> None:
    """The same events with the memory lost after every step, and with every batch thrown away once, give the same
    occurrences, bit for bit."""
    lives = []
    for crash, fail in ((False, None), (True, None), (True, "before_commit"), (False, "after_commit")):
        f = Flow()
        steps = [
            (0, {"queued": router.InteractionQueued()}),
            (11 * MINUTE, {"assigned": router.InteractionAssigned(agent_id="sara")}),
            (SECOND, {"agent_replied": router.AgentReplied(agent_id="sara")}),
            (50 * MINUTE, {"customer_message_recorded": router.CustomerMessageRecorded(message_id="m")}),
            (6 * MINUTE, {"completed": router.InteractionCompleted(agent_id="sara")}),
        ]
        for wait, event in steps:
            f.lane.advance(wait)
            if crash:
                f.lane.crash()
                f.quiet()
            else:
                f.lane.advance(SECOND)
            f.lane.batch(f.lane.record(f.record(**event)), fail=fail)  # type: ignore[arg-type]  # one of the fake's two words, or none
        lives.append([send.value for send in f.lane.sent_to(EVENTS)])
    assert lives[0] == lives[1] == lives[2] == lives[3]
    assert len(lives[0]) > 10


def test_a_takeover_finds_all_interactions_that_one_batch_opened() -> None:
    """Three interactions in one batch; the memory is lost; all three are kept or late as if nothing had
    happened."""
    f = Flow()
    f.lane.batch(*[f.lane.record(f.record(name, queued=router.InteractionQueued())) for name in ("a", "b", "c")])
    f.lane.crash()
    f.quiet()
    f.lane.handle(f.record("b", assigned=router.InteractionAssigned(agent_id="sara")))
    f.lane.advance(10 * MINUTE)
    pick_ups = [e for e in f.events if e.target == config.TARGET_KIND_PICK_UP]
    assert {e.interaction_id for e in pick_ups if e.kind == sla.SLA_EVENT_KIND_MET} == {"b"}
    assert {e.interaction_id for e in pick_ups if e.kind == sla.SLA_EVENT_KIND_DESIRED_PASSED} == {"a", "c"}


def test_a_milestone_due_while_no_process_ran_is_reported_once() -> None:
    """After a restore past the due time, the milestone is reported late, once, with its own due time."""
    f = Flow()
    f.queued()
    f.lane.now_ms += 12 * MINUTE  # no process runs
    f.lane.crash()
    f.quiet()
    passed = [e for e in f.events if e.kind == sla.SLA_EVENT_KIND_DESIRED_PASSED]
    assert len(passed) == 3
    assert all(e.occurred_at_ms - e.desired_at_ms >= 2 * MINUTE for e in passed)
    f.lane.crash()
    f.quiet()
    assert len(f.events) == 6


def test_a_reply_that_waited_in_the_log_is_not_a_breach() -> None:
    """The agent replied in minute 5; no process ran until minute 30. The reply is read first and keeps the deadline."""
    f = Flow()
    f.queued()
    reply = f.lane.record(
        f.record(occurred_at_ms=f.lane.now_ms + 5 * MINUTE, agent_replied=router.AgentReplied(agent_id="sara"))
    )
    f.lane.now_ms += 30 * MINUTE
    f.lane.crash()
    f.lane.advance(MINUTE)
    assert not [e for e in f.events if e.target == config.TARGET_KIND_FIRST_RESPONSE and e.level], (
        "the log is read first"
    )
    f.lane.batch(reply)
    f.quiet()
    assert "FIRST_RESPONSE MET DESIRED" in f.on_committed
    assert "FIRST_RESPONSE DESIRED_PASSED DESIRED" not in f.on_committed


def test_a_reply_in_the_same_batch_as_its_due_time_counts() -> None:
    """Timers fire after the records that were written before they were due."""
    f = Flow()
    f.queued()
    f.lane.now_ms += 10 * MINUTE
    f.lane.handle(f.record(agent_replied=router.AgentReplied(agent_id="sara")))
    f.lane.advance(1)
    assert "FIRST_RESPONSE MET DESIRED" in f.on_committed
    assert "PICK_UP DESIRED_PASSED DESIRED" in f.on_committed


def test_a_new_configuration_applies_to_new_interactions() -> None:
    """This also holds after a takeover: the plan of an open interaction comes from the changelog."""
    f = Flow()
    f.queued("old")
    f.policies = {"acme": f.policy(desired_ms=MINUTE, version=2)}
    f.lane.crash()
    f.queued("new")
    f.lane.advance(90 * SECOND)
    assert {(e.interaction_id, e.policy) for e in f.events} == {("old", "v1"), ("new", "v2")}
    assert {e.interaction_id for e in f.events if e.kind == sla.SLA_EVENT_KIND_DESIRED_PASSED} == {"new"}


def test_open_interactions_change_plan_once_despite_crashes() -> None:
    """More interactions than one batch checks; the memory is lost in the middle, and a batch is thrown away. Each
    change is reported once, the version is written last, and the router receives each new time once."""
    on_committed = []
    for crash, fail in ((False, None), (True, None), (False, "before_commit"), (True, "after_commit")):
        f = Flow()
        names = [f"i{number:04}" for number in range(450)]
        f.lane.batch(*[f.lane.record(f.record(name, queued=router.InteractionQueued())) for name in names])
        f.policies = {"acme": f.policy(desired_ms=MINUTE, version=2, open_too=True)}
        f.lane.batch(f.lane.record(b"\xff"), fail=fail)  # type: ignore[arg-type]  # one of the fake's two words, or none
        if crash:
            f.lane.crash()
        f.lane.advance(2 * SECOND)
        changed = [e for e in f.events if e.kind == sla.SLA_EVENT_KIND_CHANGED]
        assert sorted({e.interaction_id for e in changed}) == names
        assert len(changed) == 3 * len(names) == len({e.event_id for e in changed})
        assert len(f.lane.sent_to(COMMANDS)) == len(names)
        on_committed.append(sorted((e.event_id, e.desired_at_ms) for e in changed))
        f.lane.crash()
        f.lane.advance(SECOND)
        assert len([e for e in f.events if e.kind == sla.SLA_EVENT_KIND_CHANGED]) == len(changed), "once"
    assert on_committed[0] == on_committed[1] == on_committed[2] == on_committed[3]


def test_a_poison_record_is_set_aside_and_the_others_are_processed() -> None:
    f = Flow()
    f.lane.batch(f.lane.record(b"\xff\xff"), f.lane.record(f.record(queued=router.InteractionQueued())))
    assert [verdict.reason for _, verdict in f.lane.dead_letters] == ["UNDECODABLE"]
    assert len(f.events) == 3


def test_closed_interactions_leave_the_changelog() -> None:
    """After the retention time, only these remain: counts, the learned model, the contact (for repeat contacts), and
    the configuration version against which open interactions were checked."""
    f = Flow()
    f.queued()
    f.lane.handle(f.record(abandoned=router.InteractionAbandoned()))
    assert any(key.startswith(b"w/") for key in f.lane.changelog)
    f.lane.advance(11 * MINUTE)
    assert {key[:2] for key in f.lane.changelog} == {b"t/", b"v/", b"f/", b"q/", b"m/", b"c/"}


def test_a_deadline_fires_a_moment_after_it_is_due_and_never_before() -> None:
    f = Flow(settle_ms=50)
    f.queued()
    f.lane.advance(SECOND)
    f.lane.advance(10 * MINUTE - SECOND + 49)
    assert "PICK_UP DESIRED_PASSED DESIRED" not in f.on_committed
    f.lane.advance(1)
    assert "PICK_UP DESIRED_PASSED DESIRED" in f.on_committed
    processor = f.lane.processor
    assert isinstance(processor, DeadlineProcessor)
    assert processor.tracked.past_due(f.lane.now_ms) == 0
