"""A provider always gets 200 for what it can prove: an error makes it slow down the whole account (C21)."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from chapar.ingest.v1 import records_pb2
from services.chassis.clock import ManualClock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.pacing import Rate
from services.ingest.adapters.edges.ingress_limiter import IngressLimiter, IngressLimits
from services.ingest.adapters.edges.tenant_quota import QuotaSettings, ways_in
from services.ingest.domain.normalise.message import IncomingMessage
from services.ingest.ports import Account
from tests.unit.ingest.edges.test_webhook_answers import Edge


class Log:
    """Keeps the texts, in order."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
        """Acknowledge at once."""
        self.texts += [record.message.text for _, record in records]


class Flooded(Edge):
    """An edge whose limits are those of the product, except the tenant's wait, which is short."""

    def __init__(self, *, account_rate: float = 0.0) -> None:
        super().__init__()
        self.written = Log()
        self.beyond: list[str] = []
        ways = ways_in(self.written, QuotaSettings(Rate(20.0, 20.0), wait_s=0.01), self.beyond.append)
        limits = IngressLimits(Rate(account_rate, 1.0), Rate(5.0, 60.0), Rate(1.0, 5.0))
        self.limiter = IngressLimiter(
            ways.customers, limits, ManualClock(1_000), self.metrics, providers=ways.providers, at_once=ways.erasures
        )
        self.use(self.limiter)

    async def update(self, number: int, person: int = 42) -> int:
        """Post one update of Telegram; returns the status."""
        message = {
            "message_id": number,
            "date": 1,
            "chat": {"id": person, "type": "private"},
            "from": {"id": person, "is_bot": False, "first_name": "A"},
            "text": f"{person}/{number}",
        }
        status, _ = await self.post("telegram", json.dumps({"update_id": number, "message": message}).encode())
        return status

    async def submit(self, number: int) -> str:
        """Submit one message of another system; returns the reason when it is refused."""
        account = Account("acme", "grpc", "main", {}, {}, "en")
        try:
            taken = await self.limiter.take(
                account, [IncomingMessage(native_id=f"c{number}", native_message_id="1", text="t")]
            )
        except ChaparError as error:
            return error.reason
        return taken.refused.reason if taken.refused is not None else "TAKEN"

    def counted(self, channel: str, reason: str) -> float | None:
        """Return the number of messages that were accepted beyond a rate."""
        return self.metrics.value("chapar_edge_beyond_rate_total", "acme", channel, reason)


async def test_150_quick_updates_of_one_telegram_user_get_200_and_reach_the_log_in_order() -> None:
    """Messages beyond the customer's rate wait in the lane, not at the edge."""
    edge = Flooded()
    assert {await edge.update(number) for number in range(1, 151)} == {200}
    assert edge.written.texts == [f"42/{number}" for number in range(1, 151)]
    assert edge.counted("telegram", "SENDER_RATE") == 90


async def test_a_flood_of_many_users_is_held_and_accepted() -> None:
    """Beyond the tenant's quota, each call is held for the quota's wait first."""
    edge = Flooded()
    assert set(await asyncio.gather(*(edge.update(1, person) for person in range(100, 200)))) == {200}
    assert len(edge.written.texts) == 100
    assert edge.beyond == ["acme"] * len(edge.beyond)
    assert len(edge.beyond) > 50


async def test_the_rate_of_an_account_does_not_refuse_a_provider() -> None:
    """It limits other systems and web chat."""
    edge = Flooded(account_rate=0.001)
    assert [await edge.update(number) for number in range(1, 6)] == [200] * 5
    assert edge.counted("telegram", "ACCOUNT_RATE") == 4


async def test_another_system_is_still_asked_to_slow_down() -> None:
    """The signed webhook and Submit get 429 with the time to wait, which their clients respect."""
    edge = Flooded()
    taken = [await edge.submit(number) for number in range(100)]
    assert taken[:20] == ["TAKEN"] * 20
    assert "TENANT_RATE" in taken


async def test_a_broker_that_is_away_is_an_error_for_providers_too() -> None:
    """Nothing was made durable, so the provider must send it again."""

    class Away(Log):
        async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
            raise ChaparError(ErrorKind.UNAVAILABLE, "BROKER_UNAVAILABLE", "away")

    edge = Flooded()
    rate = Rate(100.0, 100.0)
    edge.use(IngressLimiter(Away(), IngressLimits(rate, rate, rate), ManualClock(1_000), edge.metrics))
    assert await edge.update(1) == 503


@pytest.mark.parametrize("channel", ["telegram", "whatsapp"])
def test_the_channels_of_providers_are_known(channel: str) -> None:
    """A new provider's channel must say what it is."""
    assert Edge().channels[channel].is_provider
