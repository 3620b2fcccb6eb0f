"""Queries for measures: the request is checked and answered from the read model."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.sla.v1 import sla_pb2 as sla
from services.chassis.clock import Clock
from services.chassis.errors import invalid
from services.policy.model.sla import Target, TenantPolicies
from services.sla.adapters import periods
from services.sla.adapters.read_model import ReadModel
from services.sla.domain.measures import DAY_MS, WHOLE_DAY
from services.sla.domain.report import Group, MeasuresQuery, backlog, kept, measured
from services.sla.translate.measure_views import attainment, backlog_row, key, measure_row, service_level_response
from services.sla.translate.views import group_cursor_of, group_of, timestamp

_PAGE, _MOST_PAGE = 50, 500
T = TypeVar("T")
Question = sla.GetServiceLevelRequest | sla.GetMeasuresRequest


class Measures:
    """Answers queries for one tenant at a time; the tenant is the caller's."""

    def __init__(
        self,
        model: ReadModel,
        clock: Clock,
        running: Callable[[], Mapping[str, TenantPolicies]],
        window_ms: int,
        contacts_kept_ms: int,
    ) -> None:
        """`running`: returns the configuration in force, by tenant. `window_ms`: within this time a person's next
        contact counts as repeated."""
        self._model = model
        self._clock = clock
        self._running = running
        self._window_ms = window_ms
        self._contacts_kept_ms = contacts_kept_ms

    def service_level(self, tenant: str, request: sla.GetServiceLevelRequest) -> sla.GetServiceLevelResponse:
        """Return the service level. Raises ChaparError INVALID."""
        number = request.target or config_pb2.TARGET_KIND_PICK_UP
        if number not in Target._value2member_map_:
            raise invalid("target", "is not a target that this version knows")
        target = Target(number)
        size = _size(request.page)
        zone, query = self._query(tenant, request)
        whole = MeasuresQuery(query.since_ms, query.until_ms, query.queue, query.channel)
        tallies = [row.tallies[target] for row in kept(whole, self._model.tallies(tenant), target).values()]
        open_ = self._model.open(tenant, request.queue, request.channel, target)
        answer = service_level_response(tallies, open_)
        answer.time_zone = zone
        _set(answer.coarse_until, self._coarse_until(tenant))
        if request.group_by:
            rows = kept(query, self._model.tallies(tenant), target)
            page, cursor = _page(rows, request.page, size)
            answer.rows.extend(
                sla.ServiceLevelRow(key=key(group), attainment=attainment(target, rows[group].tallies[target]))
                for group in page
            )
            answer.page.next_cursor = cursor
        return answer

    def measures(self, tenant: str, request: sla.GetMeasuresRequest) -> sla.GetMeasuresResponse:
        """Return a page of measures. Raises ChaparError INVALID."""
        size = _size(request.page)
        zone, query = self._query(tenant, request)
        analytics = self._model.analytics
        contacts, covered = analytics.contacts(tenant, self._contacts_kept_ms, self._window_ms, self._clock())
        rows = measured(query, self._model.tallies(tenant), analytics.flows(tenant), contacts, self._window_ms, covered)
        page, cursor = _page(rows, request.page, size)
        answer = sla.GetMeasuresResponse(
            rows=[measure_row(group, rows[group]) for group in page],
            page=types_pb2.PageInfo(next_cursor=cursor),
            time_zone=zone,
            language=self._language(tenant),
            repeat_since=timestamp(max(covered, query.since_ms)),
            repeat_window_ms=self._window_ms,
        )
        _set(answer.coarse_until, self._coarse_until(tenant))
        return answer

    def backlog(self, tenant: str, request: sla.GetBacklogRequest) -> sla.GetBacklogResponse:
        """Return a page of the backlog. Raises ChaparError INVALID."""
        size = _size(request.page)
        rows = backlog(self._model.analytics.stories(tenant, request.queue, request.channel), self._clock())
        by_group: dict[Group, object] = {(0, queue, channel): row for (queue, channel), row in rows.items()}
        page, cursor = _page(by_group, request.page, size)
        return sla.GetBacklogResponse(
            rows=[backlog_row(queue, channel, rows[queue, channel]) for _, queue, channel in page],
            page=types_pb2.PageInfo(next_cursor=cursor),
            language=self._language(tenant),
            time_zone=self._zone(tenant),
        )

    def _query(self, tenant: str, request: Question) -> tuple[str, MeasuresQuery]:
        """Return the zone and the query."""
        name = request.time_zone or self._zone(tenant)
        try:
            zone = periods.zone(name)
        except ValueError as error:
            raise invalid("time_zone", str(error)) from error
        groups = set(request.group_by)
        if groups - {sla.MEASURE_GROUP_QUEUE, sla.MEASURE_GROUP_CHANNEL, sla.MEASURE_GROUP_HOUR, sla.MEASURE_GROUP_DAY}:
            raise invalid("group_by", "names a group that this version does not know")
        days = sla.MEASURE_GROUP_DAY in groups
        if days and sla.MEASURE_GROUP_HOUR in groups:
            raise invalid("group_by", "must name hours or days, not both")
        timed = days or sla.MEASURE_GROUP_HOUR in groups
        now = self._clock()
        since = _ms(request.since, "since") if request.HasField("since") else 0
        # A count made a moment ahead of this process's clock belongs to the present.
        until = _ms(request.until, "until") if request.HasField("until") else now + DAY_MS
        if until <= since:
            raise invalid("until", "must be later than `since`")
        return name, MeasuresQuery(
            since,
            until,
            request.queue,
            request.channel,
            sla.MEASURE_GROUP_QUEUE in groups,
            sla.MEASURE_GROUP_CHANNEL in groups,
            periods.beginnings(zone, days=days) if timed else None,
        )

    def _coarse_until(self, tenant: str) -> int:
        """Return the end of the newest day that is kept whole; 0 if there is none."""
        days = [key.day for key, _ in self._model.tallies(tenant) if key.slot == WHOLE_DAY]
        days += [key.day for key, _ in self._model.analytics.flows(tenant) if key.slot == WHOLE_DAY]
        return (max(days) + 1) * DAY_MS if days else 0

    def _zone(self, tenant: str) -> str:
        running = self._running().get(tenant)
        return running.time_zone if running is not None else "UTC"

    def _language(self, tenant: str) -> str:
        running = self._running().get(tenant)
        return running.language if running is not None else ""


def _size(page: types_pb2.PageRequest) -> int:
    size = page.size or _PAGE
    if not 0 < size <= _MOST_PAGE:
        raise invalid("page.size", f"must be between 1 and {_MOST_PAGE}, or 0 for {_PAGE}")
    return size


def _page(rows: Mapping[Group, T], page: types_pb2.PageRequest, size: int) -> tuple[Sequence[Group], str]:
    """Return the groups of a page, in order, and the cursor of the next page."""
    after = group_of(page.cursor) if page.cursor else None
    groups = sorted(group for group in rows if after is None or group > after)
    shown = groups[:size]
    return shown, group_cursor_of(shown[-1]) if len(groups) > size else ""


def _ms(at: Timestamp, field: str) -> int:
    if not 0 <= at.seconds < 253_402_300_800 or not 0 <= at.nanos < 1_000_000_000:
        raise invalid(field, "must be a time between 1970 and 9999")
    return at.seconds * 1000 + at.nanos // 1_000_000


def _set(field: Timestamp, at_ms: int) -> None:
    value = timestamp(at_ms)
    if value is not None:
        field.CopyFrom(value)
