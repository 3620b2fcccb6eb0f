"""The readers of the SLA service."""

from types import MappingProxyType

from chapar.common.v1.webhook_pb2 import WebhookNotice
from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.kafka.records import Record
from services.chassis.metrics import Metrics
from services.policy.reading.business_calendar import caching_calendars
from services.policy.reading.sla import decode_policies
from services.sla.adapters.broadcast import Broadcast
from services.sla.adapters.escalation import Escalation
from services.sla.adapters.notices import Notices
from services.sla.adapters.read_model import ReadModel
from services.sla.lanes.deadlines import factory as sla_factory
from services.sla.metrics import METRICS
from tests.flow.sla.test_lane import Flow
from tests.unit.poison.generator import NOW
from tests.unit.poison.reader import (
    HOUR,
    LaneReader,
    Reader,
    Take,
    a_poison,
    batch,
    configuration_reader,
    guarded,
    webhooks,
)


class _Router:
    async def _answer(self, *_: object, **__: object) -> None:
        return

    Reprioritise = Reroute = _answer


def _sla_lane() -> Take:
    make = sla_factory(
        caching_calendars(),
        lambda: {name: Flow.policy() for name in ("acme", "parsa")},
        lambda _occurrences: None,
        forget_after_ms=10 * HOUR,
        settle_ms=0,
    )
    return LaneReader(make, "routing.events.v1")


def _read_model() -> Take:
    """Read with the real guard, because the lane's codec is strict: the guard steps over entries that the lane did not write."""
    model, poison = ReadModel(caching_calendars()), a_poison()

    def take(record: Record) -> None:
        poison.guard(record, model.apply)

    return take


SLA_READERS: tuple[Reader, ...] = (
    Reader("sla lane", "routing.events.v1", router_pb2.RoutingEvent, "sla/lanes/deadlines.py", _sla_lane),
    Reader(
        "sla read model",
        "sla.state.v1",
        sla_pb2.SlaEvent,
        "sla/wiring.py",
        _read_model,
    ),
    Reader(
        "sla watchers",
        "sla.events.v1",
        sla_pb2.SlaEvent,
        "sla/adapters/broadcast.py",
        lambda: guarded(Broadcast(a_poison()).take),
    ),
    Reader(
        "sla escalation",
        "sla.events.v1",
        sla_pb2.SlaEvent,
        "sla/wiring.py",
        lambda: batch(Escalation(_Router(), Metrics(METRICS)).handle),  # type: ignore[arg-type]  # a fake
    ),
    Reader(
        "sla notices",
        "sla.events.v1",
        sla_pb2.SlaEvent,
        "sla/wiring.py",
        lambda: batch(Notices(lambda _: MappingProxyType({}), webhooks("sla.webhooks.v1"), lambda: NOW).handle),
    ),
    Reader(
        "sla webhooks again",
        "sla.webhooks.v1",
        WebhookNotice,
        "sla/wiring.py",
        lambda: batch(webhooks("sla.webhooks.v1").again),
    ),
    Reader(
        "sla configuration",
        "config.v1",
        config_pb2.TenantConfiguration,
        "sla/wiring.py",
        lambda: configuration_reader(decode_policies(lambda _policy: None)),
    ),
)
