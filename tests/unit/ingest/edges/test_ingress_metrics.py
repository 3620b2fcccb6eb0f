"""What an edge counts when it knows the tenant, and what it counts before."""

from collections.abc import Sequence

from chapar.ingest.v1 import records_pb2
from services.chassis.clock import ManualClock
from services.chassis.metrics import Metrics
from services.chassis.pacing import Rate
from services.ingest.adapters.edges.ingress_limiter import IngressLimiter, IngressLimits
from services.ingest.domain.normalise.message import IncomingMessage
from services.ingest.metrics import METRICS
from services.ingest.ports import Account


class Log:
    """A log in memory."""

    def __init__(self) -> None:
        self.records: list[records_pb2.InboundRecord] = []

    async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
        self.records += [record for _, record in records]


async def test_durable_messages_are_counted_for_their_tenant_and_refusals_for_the_edge() -> None:
    """Two tenants have an account of one channel and name. A refusal has no tenant: an edge also counts callers
    whom no tenant knows."""
    rate = Rate(1, 2)
    metrics = Metrics(METRICS, tenants=True)
    limiter = IngressLimiter(Log(), IngressLimits(rate, rate, rate), ManualClock(1_000), metrics)
    for tenant, count in (("acme", 1), ("best", 2)):
        account = Account(tenant, "telegram", "main", {}, {}, "en")
        await limiter.take(account, [IncomingMessage("42", f"m{number}", "hi") for number in range(count)])
        limiter.refuse("telegram", "NOT_A_MESSAGE")
    assert metrics.value("chapar_edge_published_total", "acme", "telegram") == 1
    assert metrics.value("chapar_edge_published_total", "best", "telegram") == 2
    assert metrics.value("chapar_edge_publish_seconds", "best", "telegram") == 1
    assert metrics.value("chapar_edge_refused_total", "telegram", "NOT_A_MESSAGE") == 2
