"""Measures -> the messages of SlaService. Every share comes with its sample size and interval."""

from collections.abc import Iterable

from chapar.common.v1 import types_pb2
from chapar.sla.v1 import sla_pb2 as sla
from services.policy.model.sla import Target
from services.sla.domain.flow import Times
from services.sla.domain.measures import Share, Tally, service_level, wilson
from services.sla.domain.report import AGES_MS, Backlog, Group, Row
from services.sla.translate.events import TARGETS
from services.sla.translate.views import timestamp


def estimate(share: Share) -> types_pb2.Estimate:
    """Return a share with sample size and interval."""
    return types_pb2.Estimate(value=share.value, n=share.n, low=share.low, high=share.high, method="wilson")


def attainment(target: Target, tally: Tally) -> sla.Attainment:
    """Return how targets of one kind were met."""
    level = service_level([tally])
    return sla.Attainment(
        target=TARGETS[target],
        met_desired=tally.met_desired,
        met_adequate=tally.met_adequate,
        breached=tally.breached,
        late=tally.late,
        abandoned=tally.abandoned,
        over_offered=estimate(level.over_offered),
        over_offered_less_short_abandons=estimate(level.over_offered_less_short_abandons),
        over_answered=estimate(level.over_answered),
        desired_level=estimate(level.desired_level),
        adequate_level=estimate(level.adequate_level),
        breach_rate=estimate(level.breach_rate),
    )


def service_level_response(tallies: Iterable[Tally], open_: int) -> sla.GetServiceLevelResponse:
    """Return all shares of these tallies together."""
    level = service_level(tallies)
    return sla.GetServiceLevelResponse(
        over_offered=estimate(level.over_offered),
        over_offered_less_short_abandons=estimate(level.over_offered_less_short_abandons),
        over_answered=estimate(level.over_answered),
        desired_level=estimate(level.desired_level),
        adequate_level=estimate(level.adequate_level),
        breach_rate=estimate(level.breach_rate),
        breaches=level.breaches,
        open=open_,
    )


def key(group: Group) -> sla.MeasureKey:
    """Return the key of a row."""
    return sla.MeasureKey(queue=group[1], channel=group[2], begins_at=timestamp(group[0]))


def measure_row(group: Group, row: Row) -> sla.MeasureRow:
    """Return all measures of a group."""
    flow = row.flow
    return sla.MeasureRow(
        key=key(group),
        contacts=flow.contacts,
        completed=flow.completed,
        abandoned=flow.abandoned,
        cancelled=flow.cancelled,
        pick_up=_durations(flow.pick_up),
        first_response=_durations(flow.first_response),
        response=_durations(flow.response),
        resolution=_durations(flow.resolution),
        repeat_contacts=estimate(wilson(row.again, row.contacts)),
        targets=[attainment(target, row.tallies[target]) for target in Target if target in row.tallies],
    )


def backlog_row(queue: str, channel: str, row: Backlog) -> sla.BacklogRow:
    """Return the open interactions of a queue and channel."""
    ends = (*AGES_MS[1:], 0)
    return sla.BacklogRow(
        queue=queue,
        channel=channel,
        open=row.open,
        waiting=row.waiting,
        unanswered=row.unanswered,
        oldest_at=timestamp(row.oldest_ms),
        ages=[
            sla.BacklogAge(least_ms=least, below_ms=below, open=count, unanswered=unanswered)
            for least, below, (count, unanswered) in zip(AGES_MS, ends, row.ages, strict=True)
        ],
    )


def _durations(times: Times) -> sla.Durations:
    mean, low, high = times.mean_ms()
    return sla.Durations(
        mean_ms=types_pb2.Estimate(value=mean, n=times.n, low=low, high=high, method="normal"),
        sum_ms=times.sum_ms,
        p50_ms=times.quantile_ms(0.5),
        p90_ms=times.quantile_ms(0.9),
    )
