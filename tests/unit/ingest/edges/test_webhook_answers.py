"""What a provider gets for an authentic call that can't be read completely: 200, and the raw message is kept and counted."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from services.chassis.byte_budget import ByteBudget, ByteShares
from services.chassis.clock import ManualClock
from services.chassis.metrics import Metrics
from services.chassis.pacing import Rate
from services.ingest.adapters.edges.http_webhooks import Channel, Webhooks
from services.ingest.adapters.edges.ingress_limiter import IngressLimiter, IngressLimits
from services.ingest.adapters.edges.telegram_in import TelegramChannel
from services.ingest.adapters.edges.whatsapp_in import WhatsAppChannel
from services.ingest.domain.normalise.message import IncomingMessage
from services.ingest.metrics import METRICS
from services.ingest.ports import Account
from tests.unit.ingest.edges.provider_calls import as_bytes, telegram, whatsapp
from tests.unit.ingest.edges.test_ingress_metrics import Log

SECRET = "s" * 32


class Configured:
    """One account for each channel, with one secret."""

    def find(self, tenant: str, channel: str, account: str) -> Account | None:
        return Account(tenant, channel, account, {}, {}, "en")

    def by_address(self, address: str) -> Account | None:
        return None

    def get(self, account: Account, name: str) -> str | None:
        return SECRET


class Edge:
    """The webhooks, a log in memory, and what was counted."""

    def __init__(self) -> None:
        self.log = Log()
        self.metrics = Metrics(METRICS, tenants=True)
        rate = Rate(100, 100)
        self.limiter = IngressLimiter(self.log, IngressLimits(rate, rate, rate), ManualClock(1_000), self.metrics)
        self.channels: dict[str, Channel] = {"telegram": TelegramChannel(), "whatsapp": WhatsAppChannel()}
        self.use(self.limiter)

    def use(self, limiter: IngressLimiter) -> None:
        """Let the webhooks use this way into the log."""
        budget = ByteBudget(ByteShares(total=1 << 24, per_peer=1 << 24, reserve=1 << 20))
        configured = Configured()
        self.webhooks = Webhooks(
            self.channels, configured, configured, limiter, budget, max_body_bytes=1 << 22, body_timeout_s=5
        )

    async def post(self, channel: str, raw: bytes) -> tuple[int, Any]:
        """Post a call with a valid proof; returns status and body."""
        proof = hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
        headers = [
            (b"content-type", b"application/json"),
            (b"x-telegram-bot-api-secret-token", SECRET.encode()),
            (b"x-hub-signature-256", f"sha256={proof}".encode()),
        ]
        scope = {
            "method": "POST",
            "query_string": b"",
            "headers": headers,
            "path_params": {"tenant": "acme", "channel": channel, "account": "main"},
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.webhooks(scope, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])

    @property
    def kept_raw(self) -> dict[str, float]:
        return {
            channel: self.metrics.value("chapar_edge_kept_raw_total", "acme", channel) or 0
            for channel in ("telegram", "whatsapp")
        }


@pytest.mark.parametrize(
    ("channel", "call"),
    [
        ("telegram", telegram(text="hi", date=[])),
        ("telegram", telegram(hologram={"id": 1})),
        ("telegram", {"update_id": "x", "message": 5}),
        ("whatsapp", whatsapp({"type": "text", "text": {"body": "hi"}, "context": 5})),
        ("whatsapp", whatsapp({"type": "hologram"})),
        ("whatsapp", {"entry": {}}),
    ],
)
async def test_an_odd_call_is_taken_kept_raw_and_counted(channel: str, call: Any) -> None:
    """The provider has nothing to repeat, and the operator sees that something was not understood."""
    edge = Edge()
    status, answer = await edge.post(channel, as_bytes(call))
    assert (status, len(answer["accepted"]), answer["refused"]) == (200, 1, [])
    (record,) = edge.log.records
    assert record.message.raw
    assert edge.kept_raw == {"telegram": 0, "whatsapp": 0, channel: 1}


async def test_an_ordinary_call_is_not_counted() -> None:
    """Raw bytes are kept only of what was not understood."""
    edge = Edge()
    assert (await edge.post("telegram", as_bytes(telegram(text="hi"))))[0] == 200
    assert edge.kept_raw == {"telegram": 0, "whatsapp": 0}
    assert edge.log.records[0].message.raw == b""


async def test_the_text_counts_more_than_the_raw_message() -> None:
    """A record that is too large for the log is taken without its raw bytes."""
    edge = Edge()
    odd = IncomingMessage("7", "m", text="x" * 500_000, content="unreadable", raw=b"y" * 500_000)
    taken = await edge.limiter.take(Account("acme", "telegram", "main", {}, {}, "en"), [odd])
    assert taken.refused is None
    assert (edge.log.records[0].message.raw, len(edge.log.records[0].message.text)) == (b"", 500_000)
