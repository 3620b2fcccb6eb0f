"""Configuration -> policies: an unusable configuration is rejected, and the message names the faulty part."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import DecodeError

from chapar.config.v1 import config_pb2 as pb
from services.cli.config.files import load
from services.policy.findings import ConfigurationRefused, Findings
from services.policy.model.sla import Level, Plan, PolicyList, Subject, Target, choose
from services.policy.reading.calendars import read_calendars
from services.policy.reading.sla import decode_policies, policies_of


def a_configuration() -> pb.TenantConfiguration:
    """Return office hours in Tehran, as an operator writes them."""
    week = pb.WeeklyHours(days=["sat", "sun", "mon", "tue", "wed"], to="16:00")
    setattr(week, "from", "08:00")
    thursday = pb.WeeklyHours(days=["thu"], to="24:00")
    setattr(thursday, "from", "08:00")
    return pb.TenantConfiguration(
        tenant="acme",
        version=3,
        time_zone="Asia/Tehran",
        calendars=[pb.Calendar(name="office", hours=[week, thursday], holidays_country="IR")],
        sla_policies=[
            pb.SlaPolicy(
                name="gold",
                tiers=["gold"],
                calendar="office",
                targets=[
                    pb.SlaTarget(
                        kind=pb.TARGET_KIND_PICK_UP,
                        desired_ms=60_000,
                        adequate_ms=120_000,
                        warn_at=[0.9, 0.5],
                        escalate_priority=5,
                    )
                ],
            ),
            pb.SlaPolicy(name="rest", targets=[pb.SlaTarget(kind=pb.TARGET_KIND_RESOLUTION, adequate_ms=9_000)]),
        ],
    )


def configured(configuration: pb.TenantConfiguration) -> PolicyList:
    return policies_of(configuration)


def plan_for(found: PolicyList, **subject: Any) -> Plan | None:
    policy = choose(found.policies, Subject(**subject))
    return policy.plan if policy else None


def test_a_policy_as_the_engine_sees_it() -> None:
    """Milestones are in order of time, and the first warning carries the escalation; version, zone and hours are
    frozen in the plan."""
    plan = plan_for(configured(a_configuration()), tier="gold")
    assert plan is not None
    assert (plan.policy, plan.config_version) == ("gold", 3)
    target = plan.target(Target.PICK_UP)
    assert target is not None
    assert [(m.after_ms, m.level, m.share, m.escalate_priority) for m in target.milestones] == [
        (60_000, Level.NONE, 0.5, 5),
        (60_000, Level.DESIRED, 0.0, 0),
        (108_000, Level.NONE, 0.9, 0),
        (120_000, Level.ADEQUATE, 0.0, 0),
    ]
    assert plan.calendar is not None
    assert (plan.calendar.zone, plan.calendar.hours[3].to_minute) == ("Asia/Tehran", 24 * 60)


def test_one_level_given_means_both() -> None:
    plan = plan_for(configured(a_configuration()))
    assert plan is not None
    assert [(t.desired_ms, t.adequate_ms) for t in plan.targets] == [(9_000, 9_000)]


def test_the_same_policy_in_another_version_is_another_plan() -> None:
    """An open interaction keeps its plan."""
    later = a_configuration()
    later.version = 4
    assert configured(a_configuration()).policies[0].plan.plan_id != configured(later).policies[0].plan.plan_id


def _set_hours(c: pb.TenantConfiguration, text: str) -> None:
    setattr(c.calendars[0].hours[0], "from", text)


def _also(c: pb.TenantConfiguration, kind: "pb.TargetKind.ValueType", adequate_ms: int) -> None:
    c.sla_policies[0].targets.add(kind=kind, adequate_ms=adequate_ms)


def _escalate(c: pb.TenantConfiguration, **of: Any) -> None:
    c.sla_policies[0].targets[0].escalations.add(**of)


def _range(c: pb.TenantConfiguration, least: int, most: int) -> None:
    c.sla_policies[0].priority_at_least, c.sla_policies[0].priority_at_most = least, most


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda c: setattr(c.sla_policies[0], "calendar", "nights"), "there is no calendar `nights` .known: office"),
        (lambda c: c.calendars[0].ClearField("hours"), "calendar `office` is never open"),
        (lambda c: setattr(c.calendars[0], "time_zone", "Asia/Teheran"), "Asia/Teheran"),
        (lambda c: _set_hours(c, "25:00"), "must be times such as 08:30"),
        (lambda c: _set_hours(c, "16:00"), "16:00 to 16:00 is empty"),
        (lambda c: c.calendars[0].hours[0].days.append("someday"), "`days` must be some of"),
        (lambda c: c.calendars[0].closed_dates.append("tomorrow"), "`tomorrow` is not a date"),
        (
            lambda c: setattr(c.sla_policies[0].targets[0], "desired_ms", 500_000),
            "`desired` of pick_up of policy `gold` .* is later than",
        ),
        (
            lambda c: setattr(c.sla_policies[0].targets[0], "desired_ms", -1),
            "pick_up of policy `gold`: .* must be longer than zero",
        ),
        (
            lambda c: c.sla_policies[1].targets[0].ClearField("adequate_ms"),
            "resolution of policy `rest`: .* must be longer than zero",
        ),
        (lambda c: setattr(c.sla_policies[1].targets[0], "adequate_ms", 1 << 60), "longer than ten years"),
        (lambda c: c.sla_policies[0].targets[0].warn_at.append(1.5), "lie between 0 and 1"),
        (lambda c: c.sla_policies[0].targets[0].warn_at.append(float("nan")), "lie between 0 and 1"),
        (lambda c: setattr(c.sla_policies[0].targets[0], "kind", 99), "needs a `kind`"),
        (lambda c: c.sla_policies[0].targets.append(c.sla_policies[0].targets[0]), "two targets of one kind"),
        (
            lambda c: c.sla_policies[0].targets[0].warn_before_ms.append(120_000),
            "must lie between its start and `adequate`",
        ),
        (
            lambda c: _also(c, pb.TARGET_KIND_FIRST_RESPONSE, 60_000),
            "pick_up within .* first_response, which comes later",
        ),
        (lambda c: _also(c, pb.TARGET_KIND_RESOLUTION, 60_000), "pick_up within .* resolution, which comes later"),
        (lambda c: _escalate(c, at=1, warning=3, add_priority=1), "escalated at warning 3, but has 2"),
        (lambda c: _escalate(c, add_priority=1), "needs `at`"),
        (lambda c: _escalate(c, at=3), "has no action"),
        (lambda c: _escalate(c, at=3, queue="rescue"), "there is no queue `rescue`"),
        (lambda c: _escalate(c, at=3, webhook="duty"), "there is no webhook `duty`"),
        (
            lambda c: c.webhooks.add(name="crm", secrets={"other": "env:X"}),
            "webhook `crm`: it has secrets of unknown names",
        ),
        (lambda c: _range(c, 5, 4), "no priority is at least 5 and at most 4"),
        (lambda c: c.calendars[0].exceptions.add(date="2026-13-01", to="10:00"), "must be times such as 08:30"),
        (lambda c: c.calendars[0].holidays_countries.append("DE-XX"), "`DE` has no part `XX`"),
    ],
)
def test_an_invalid_part_is_named_in_the_error(spoil: Callable[[pb.TenantConfiguration], object], says: str) -> None:
    configuration = a_configuration()
    spoil(configuration)
    with pytest.raises(ConfigurationRefused, match=says):
        configured(configuration)


def test_a_calendar_beyond_the_limits_is_refused() -> None:
    """Also when no policy uses it. Each of its parts is valid, so the finding is at the calendar."""
    configuration = a_configuration()
    many = configuration.calendars.add(name="many")
    for _ in range(2_001):
        exception = many.exceptions.add(date="2026-03-21", to="10:00")
        setattr(exception, "from", "08:00")
    with pytest.raises(ConfigurationRefused, match="calendar `many`: more than 2000 exceptional") as refused:
        configured(configuration)
    assert [(error.code, error.path) for error in refused.value.errors] == [("CALENDAR", ("calendars", 1))]


def test_bytes_that_are_not_a_configuration_are_refused() -> None:
    with pytest.raises(DecodeError):
        decode_policies()("acme", b"\xff\xff\xff")


def test_a_calendar_without_a_zone_has_the_tenants() -> None:
    """And one with a zone has its own."""
    zones = [calendar.zone for calendar in read_calendars(a_configuration(), Findings()).values()]
    assert zones == ["Asia/Tehran"]
    configuration = a_configuration()
    configuration.calendars[0].time_zone = "Europe/Berlin"
    zones = [calendar.zone for calendar in read_calendars(configuration, Findings()).values()]
    assert zones == ["Europe/Berlin"]


def test_the_example_configuration_is_usable() -> None:
    """The example configuration in the repository gives policies here."""
    document = load(Path(__file__).parents[3] / "deploy" / "config" / "demo.yaml")
    made = configured(document.configuration)
    assert [policy.plan.policy for policy in made.policies] == ["e-mail", "chat"]
