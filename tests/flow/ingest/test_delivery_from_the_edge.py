"""A status report on its way from the provider's signed call to GetDelivery."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from chapar.ingest.v1 import ingest_pb2, records_pb2
from services.chassis.byte_budget import ByteBudget, ByteShares
from services.chassis.clock import ManualClock
from services.chassis.current_call import CURRENT, Call
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.records import Record
from services.chassis.pacing import Rate
from services.chassis.tokens import Caller
from services.ingest.adapters.edges.grpc_outbound import OutboundServicer
from services.ingest.adapters.edges.http_webhooks import Webhooks
from services.ingest.adapters.edges.ingress_limiter import IngressLimiter, IngressLimits
from services.ingest.adapters.edges.whatsapp_in import WhatsAppChannel
from services.ingest.adapters.history import store
from services.ingest.adapters.history.database import Database, database_url, migrate
from services.ingest.adapters.history.fair_reads import FairReads
from services.ingest.adapters.history.mapping import DELIVERIES, fact
from services.ingest.adapters.history.reader import HistoryReader
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Account
from tests.flow.ingest.test_delivery_reports import FAILED, PHONE, Chat
from tests.flow.ingest.test_reply_outcomes import outcomes
from tests.flow.ingest.world import TENANT

SECRET = "shh"
NUMBER = "100200300"
NOBODY: Any = None


class OneAccount:
    """The configured accounts: one number."""

    def find(self, tenant: str, channel: str, account: str) -> Account | None:
        known = (tenant, channel, account) == (TENANT, "whatsapp", "wa")
        return Account(tenant, channel, account, {}, {"phone_number_id": NUMBER}, "en") if known else None

    def by_address(self, address: str) -> Account | None:
        return None

    def get(self, account: Account, name: str) -> str | None:
        return SECRET


class Edge:
    """The webhooks of the process; what they publish goes to the lanes."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.down = False
        rate = Rate(1_000, 1_000)
        self.limiter = IngressLimiter(self, IngressLimits(rate, rate, rate), ManualClock(1_000), chat.world.metrics)
        account = OneAccount()
        budget = ByteBudget(ByteShares(1 << 20, 1 << 20, 1 << 18))
        self.webhooks = Webhooks(
            {"whatsapp": WhatsAppChannel()},
            account,
            account,
            self.limiter,
            budget,
            max_body_bytes=1 << 20,
            body_timeout_s=5,
        )

    async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
        """Take the place of the log."""
        if self.down:
            raise ChaparError(ErrorKind.UNAVAILABLE, Reason.BROKER_UNAVAILABLE, "no broker")
        for key, record in records:
            self.chat.world.inbound(record, key)

    async def call(self, *statuses: dict[str, Any], secret: str = SECRET) -> tuple[int, dict[str, Any]]:
        """Call the webhook as Meta does; returns status and body of the answer."""
        value = {"metadata": {"phone_number_id": NUMBER}, "statuses": list(statuses)}
        body = json.dumps({"entry": [{"changes": [{"value": value}]}]}).encode()
        mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = [(b"x-hub-signature-256", f"sha256={mac}".encode()), (b"content-type", b"application/json")]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        path = {"tenant": TENANT, "channel": "whatsapp", "account": "wa"}
        scope = {
            "method": "POST",
            "path_params": path,
            "query_string": b"",
            "headers": headers,
            "client": ("1.1.1.1", 1),
        }
        await self.webhooks(scope, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])

    def status(self, status: str, **fields: Any) -> dict[str, Any]:
        """Return a report about the message that was sent, as the provider knows it: by its own id."""
        return {"id": "wamid.1", "status": status, "recipient_id": PHONE, "timestamp": "1700000000", **fields}


@pytest.fixture
def edge() -> Edge:
    """An edge, and a reply that the provider has taken."""
    chat = Chat()
    chat.sent()
    return Edge(chat)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(database_url(f"sqlite:///{tmp_path / 'history.sqlite3'}", {}, "", "")) as found:
        async with found.engine.connect() as connection:
            await migrate(connection)
        yield found


@pytest.fixture
def caller() -> Iterator[None]:
    """A call of a program of the tenant is under way."""
    token = CURRENT.set(Call("GetDelivery", Caller("crm", TENANT, frozenset()), (), None, ""))
    yield
    CURRENT.reset(token)


async def delivery(edge: Edge, database: Database) -> records_pb2.DeliveryRecord:
    """Let history read the log, and ask for the delivery."""
    world = edge.chat.world
    sent = [send for send in world.log if send.topic == DELIVERIES]
    records = [Record(DELIVERIES, 0, place, 0, each.key, each.value, ()) for place, each in enumerate(sent)]
    facts = [found for found in (fact(each, world.keys) for each in records) if found is not None]
    async with database.engine.connect() as connection:
        await store.write(connection, facts, {}, {})

    async def never(_timeout_s: float) -> None:
        raise AssertionError("no one watches")

    servicer = OutboundServicer(
        NOBODY, NOBODY, HistoryReader(FairReads(database), never), ManualClock(1_000), NOBODY, NOBODY, NOBODY
    )
    request = ingest_pb2.GetDeliveryRequest(delivery_id=world.attempts.jobs[-1].delivery.delivery_id)
    return (await servicer.GetDelivery(request, None)).delivery


@pytest.mark.usefixtures("caller")
async def test_get_delivery_says_what_the_provider_reported(edge: Edge, database: Database) -> None:
    """State, reason, who said it and when."""
    assert (await delivery(edge, database)).state == records_pb2.DELIVERY_STATE_SENT
    code, body = await edge.call(edge.status("failed", **FAILED))
    assert (code, body["reports"], body["ignored"]) == (200, 1, 0)
    found = await delivery(edge, database)
    assert (found.state, found.reason) == (records_pb2.DELIVERY_STATE_FAILED, "WHATSAPP_131026")
    assert (found.source, found.stated_at_ms) == (records_pb2.DELIVERY_SOURCE_PROVIDER, 1_700_000_000_000)
    assert (found.author_id, found.retryable, list(found.native_ids)) == ("sara", False, ["wamid.1"])


LATE: dict[str, Any] = {"errors": [{"code": 131047, "title": "Re-engagement message"}]}


@pytest.mark.usefixtures("caller")
async def test_the_provider_reports_late_that_the_window_is_closed(edge: Edge, database: Database) -> None:
    """It had accepted the text. The agent learns that it did not arrive; the same text is not accepted later."""
    chat = edge.chat
    chat.world.reply(chat.conversation, "your parcel", "r2", pool="main", interaction_id="i-1")
    chat.world.outcome(Outcome.ACCEPTED, native_ids=("wamid.2",))
    assert (await edge.call(edge.status("failed", id="wamid.2", **LATE)))[0] == 200
    found = await delivery(edge, database)
    assert (found.state, found.reason) == (records_pb2.DELIVERY_STATE_FAILED, "OUTSIDE_WINDOW")
    assert (found.source, found.retryable) == (records_pb2.DELIVERY_SOURCE_PROVIDER, False)
    assert outcomes(chat.world) == [("SENT", "", False), ("FAILED", "OUTSIDE_WINDOW", False)]
    assert len(chat.world.attempts.jobs) == 2, "nothing is sent in its place"


async def test_after_such_a_report_no_text_is_sent_until_the_customer_writes(edge: Edge) -> None:
    """By our clock the window is open; the provider knows better."""
    chat = edge.chat
    chat.write(0)
    now_s = chat.world.sender.now_ms // 1_000
    await edge.call(edge.status("failed", timestamp=str(now_s + 60), **LATE))
    chat.world.reply(chat.conversation, "hello?", "r2")
    assert chat.world.deliveries[-1] == ("FAILED", "OUTSIDE_WINDOW")
    assert len(chat.world.attempts.jobs) == 1
    chat.write(120_000)
    chat.world.reply(chat.conversation, "welcome back", "r3")
    assert chat.world.attempts.jobs[-1].delivery.request.text == "welcome back"


@pytest.mark.usefixtures("caller")
async def test_a_call_with_many_reports_in_any_order(edge: Edge, database: Database) -> None:
    """One call carries them all, the oldest last."""
    code, body = await edge.call(*(edge.status(each) for each in ("read", "delivered", "sent")))
    assert (code, body["reports"]) == (200, 3)
    assert (await delivery(edge, database)).state == records_pb2.DELIVERY_STATE_READ


@pytest.mark.usefixtures("caller")
async def test_a_report_without_the_proof_changes_nothing(edge: Edge, database: Database) -> None:
    """Anyone who knows the address of the webhook could call it."""
    code, _ = await edge.call(edge.status("failed", **FAILED), secret="guessed")
    assert code == 401
    assert (await delivery(edge, database)).state == records_pb2.DELIVERY_STATE_SENT


async def test_the_provider_repeats_a_report_that_the_log_did_not_take(edge: Edge) -> None:
    """Without the broker the answer is 503."""
    edge.down = True
    assert (await edge.call(edge.status("read")))[0] == 503


async def test_reports_of_unexpected_forms_are_answered_with_success(edge: Edge) -> None:
    """An error would make the provider send the whole call again, and slow the account down."""
    odd_ones: tuple[dict[str, Any], ...] = (
        edge.status("read", errors="x", timestamp=7),
        edge.status("failed", errors=[{"code": "x"}]),
        edge.status("warning"),
        {"id": 7, "status": "read"},
        {"status": []},
        edge.status("read", id="\ud800"),
    )
    for odd in odd_ones:
        assert (await edge.call(odd))[0] == 200
