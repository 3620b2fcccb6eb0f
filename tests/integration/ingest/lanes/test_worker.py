"""The worker that performs attempts: it keeps rates, separates accounts, retries the log, and stops in order."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from prometheus_client import CollectorRegistry

from chapar.ingest.v1 import records_pb2
from services.chassis.clock import system_clock
from services.chassis.destinations import DEVELOPMENT
from services.chassis.kafka.producer import BrokerUnavailable
from services.chassis.kafka.records import Headers
from services.chassis.keys import tenant_key
from services.chassis.metrics import Metrics
from services.chassis.secrets import SecretReferences
from services.cli.local.providers import Hang, HttpProvider, Refuse
from services.ingest.adapters.edges.accounts import AccountSecrets
from services.ingest.adapters.out.http import provider_client
from services.ingest.adapters.out.telegram import TelegramClient
from services.ingest.adapters.out.whatsapp import WhatsAppClient
from services.ingest.adapters.out.worker import AttemptWorker
from services.ingest.domain.attempts import AttemptJob
from services.ingest.domain.deliveries import NOT_ATTEMPTED, Delivery, Status
from services.ingest.domain.messages import Identity, Route, SendRequest
from services.ingest.metrics import METRICS
from services.policy.model.intake import AccountPolicy, TenantPolicy
from services.policy.model.rules import RuleInput, Verdict
from tests.fakes.privacy import MemoryKeys
from tests.integration.ingest.lanes.builders import TENANT, VARIABLES, accounts, no_files

OTHER = "umbrella"


def never(when: str, given: RuleInput) -> Verdict:
    """Conditions never hold: there are no rules here."""
    return Verdict.DOES_NOT_HOLD


@dataclass
class Log:
    """The log to which outcomes are published; refuses the given number of times."""

    outcomes: list[records_pb2.AttemptFinished] = field(default_factory=list)
    refusals: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    keys: MemoryKeys = field(default_factory=MemoryKeys)

    async def publish(self, key: bytes, value: bytes, headers: Headers) -> None:
        if self.refusals:
            self.refusals -= 1
            raise BrokerUnavailable("as asked")
        record = records_pb2.OutboundRecord.FromString(value)
        assert key == tenant_key(record.tenant, record.conversation_id)
        self.keys.opened(record, "outbound.v1", key)
        async with self.changed:
            self.outcomes.append(record.finished)
            self.changed.notify_all()

    async def until(self, outcomes: int) -> None:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: len(self.outcomes) >= outcomes)


@asynccontextmanager
async def a_worker(
    provider: HttpProvider, log: Log, concurrency: int = 128, metrics: Metrics | None = None, **changes: float
) -> AsyncIterator[AttemptWorker]:
    """Yield a running worker; stopped in order at the end. Two tenants have the same accounts."""
    table = accounts(provider)
    table = {channel: replace(policy, **changes) for channel, policy in table.items()}  # type: ignore[arg-type]  # floats only, by name
    policy = TenantPolicy(
        tenant=TENANT,
        version=1,
        default_language="en",
        accounts={
            **{(p.channel, p.account): p for p in table.values()},
            ("telegram", "bare"): AccountPolicy(channel="telegram", account="bare"),
        },
        pools={},
        rules=(),
        condition=never,
    )
    async with provider_client(DEVELOPMENT, timeout_s=2.0, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as http:
        worker = AttemptWorker(
            {"telegram": TelegramClient(http), "whatsapp": WhatsAppClient(http)},
            lambda: {TENANT: policy, OTHER: replace(policy, tenant=OTHER)},
            AccountSecrets(SecretReferences(system_clock, env=VARIABLES)),
            log.publish,
            metrics or Metrics(METRICS, CollectorRegistry(auto_describe=True)),
            log.keys,
            clock=system_clock,
            attached=no_files(),
            concurrency=concurrency,
            grace_s=5.0,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(worker.run())
            yield worker
            worker.stop()


def a_job(
    number: int,
    channel: str = "telegram",
    account: str = "main",
    text: str = "hi",
    tenant: str = TENANT,
    chat: int | None = None,
) -> AttemptJob:
    """Return one attempt in a conversation of its own, and to a chat of its own if no other is named."""
    native = str(1_000 + number if chat is None else chat)
    identity = Identity(f"identity-{number}", tenant, channel, account, native)
    delivery = Delivery(
        delivery_id=f"delivery-{channel}-{number}",
        request=SendRequest(request_id=f"r-{number}", text=text),
        asked_at_ms=0,
        status=Status.ATTEMPTING,
        number=1,
    )
    return AttemptJob(tenant, f"conversation-{number}", delivery, Route(identity, {"chat_id": native}, "", 0))


@pytest.fixture
async def provider() -> AsyncIterator[HttpProvider]:
    """Yield Telegram and WhatsApp."""
    async with HttpProvider() as server:
        yield server


async def test_every_attempt_has_one_outcome(provider: HttpProvider) -> None:
    """And is known until the lane has handled it."""
    log = Log()
    async with a_worker(provider, log) as worker:
        for number in range(50):
            worker.submit(a_job(number))
        await log.until(50)
        assert worker.knows("delivery-telegram-7", 1)
        worker.forget("delivery-telegram-7", 1)
        assert not worker.knows("delivery-telegram-7", 1)
    assert sorted(o.delivery_id for o in log.outcomes) == sorted(f"delivery-telegram-{n}" for n in range(50))
    assert {o.outcome for o in log.outcomes} == {records_pb2.ATTEMPT_OUTCOME_ACCEPTED}
    assert len(provider.received) == 50


@pytest.mark.parametrize("tenants", [False, True])
async def test_attempts_are_counted_by_tenant_if_metrics_show_tenants(provider: HttpProvider, tenants: bool) -> None:
    """Those that wait, and the responses of the provider. Two tenants use the same channel; the account of one has no
    secret, so the provider is not asked."""
    log, metrics = Log(), Metrics(METRICS, tenants=tenants)
    shown = [(TENANT,), (OTHER,)] if tenants else [()]
    async with a_worker(provider, log, metrics=metrics) as worker:
        for number in range(5):
            worker.submit(a_job(number, tenant=OTHER if number > 2 else TENANT))
        waiting = [metrics.value("chapar_sender_waiting", *labels, "telegram") for labels in shown]
        assert waiting == ([3, 2] if tenants else [5])
        await log.until(5)
    assert metrics.value("chapar_sender_seconds", *shown[0], "telegram") == 3
    assert {metrics.value("chapar_sender_waiting", *labels, "telegram") for labels in shown} == {0}


def long_text(parts: int) -> str:
    """Return a text of this number of parts, by Telegram's limit."""
    return "x" * (4096 * parts)


async def test_a_submitted_attempt_is_sent_at_once(provider: HttpProvider) -> None:
    """The lane has already waited for account and recipient; a wait after the attempt is recorded would make it UNKNOWN
    in a crash."""
    log = Log()
    async with a_worker(provider, log, sends_per_second=1.0) as worker:
        worker.submit(a_job(0, text=long_text(5)))  # three at once, then one a second
        for number in range(1, 9):
            worker.submit(a_job(number, chat=7))
        await log.until(9)
    assert log.outcomes[-1].delivery_id == "delivery-telegram-0"
    assert {o.outcome for o in log.outcomes} == {records_pb2.ATTEMPT_OUTCOME_ACCEPTED}


async def test_the_parts_of_a_text_keep_the_recipients_pace(provider: HttpProvider) -> None:
    """Three at once, then one a second: the first part counts, although it does not wait."""
    log = Log()
    async with a_worker(provider, log) as worker:
        began = asyncio.get_running_loop().time()
        worker.submit(a_job(1, text=long_text(5)))
        await log.until(1)
        took = asyncio.get_running_loop().time() - began
    assert took >= 1.9
    assert len(provider.received) == 5


async def test_tenants_do_not_share_a_recipients_pace(provider: HttpProvider) -> None:
    """Although their accounts and the recipient have the same names."""
    log = Log()
    async with a_worker(provider, log) as worker:
        worker.submit(a_job(1, text=long_text(5), chat=7))
        await provider.arrived(3)  # all that this chat may get at once
        worker.submit(a_job(2, text=long_text(2), chat=7, tenant=OTHER))
        await log.until(2)
    assert [o.delivery_id for o in log.outcomes] == ["delivery-telegram-2", "delivery-telegram-1"]


async def test_tenants_do_not_share_the_moments_of_attempts(provider: HttpProvider) -> None:
    """The lane reserves them in advance."""
    async with a_worker(provider, Log()) as worker:
        route = a_job(1, chat=7).route
        far = max(worker.turn(TENANT, route) for _ in range(50))
        assert worker.turn(OTHER, route) < far - 30_000


async def test_a_provider_that_hangs_delays_no_other_account(provider: HttpProvider) -> None:
    """Another channel's attempt ends while the first still waits for an answer."""
    log = Log()
    provider.next(Hang(taken=False))
    async with a_worker(provider, log) as worker:
        worker.submit(a_job(1))
        await provider.asked(1)
        worker.submit(a_job(2, "whatsapp"))
        await log.until(2)
    assert [o.delivery_id for o in log.outcomes] == ["delivery-whatsapp-2", "delivery-telegram-1"]
    assert log.outcomes[1].outcome == records_pb2.ATTEMPT_OUTCOME_UNKNOWN


async def test_an_outcome_is_published_until_the_log_has_it(provider: HttpProvider) -> None:
    """An unreachable broker costs time, not the outcome; and nothing is sent again because of it."""
    log, attempt = Log(refusals=3), ("delivery-telegram-1", 1)
    async with a_worker(provider, log) as worker:
        worker.submit(a_job(1))
        await provider.arrived(1)
        assert worker.knows(*attempt)
        assert not worker.published(*attempt)
        await log.until(1)
    assert len(provider.received) == 1
    assert worker.published(*attempt)
    worker.forget(*attempt)
    assert not worker.published(*attempt)


async def test_a_long_text_is_sent_in_parts_and_reports_the_accepted_ones(provider: HttpProvider) -> None:
    """The outcome names the parts that were accepted."""
    log = Log()
    async with a_worker(provider, log) as worker:
        worker.submit(a_job(1, text="x" * 4096 + "y" * 10))
        await log.until(1)
        assert [len(m.text) for m in provider.received] == [4096, 10]
        provider.next(Refuse(502))
        job = a_job(2, text="x" * 4096 + "z" * 5)
        worker.submit(AttemptJob(TENANT, job.conversation_id, replace(job.delivery, native_ids=("1",)), job.route))
        await log.until(2)
    assert len(log.outcomes[0].native_ids) == 2
    assert log.outcomes[1].outcome == records_pb2.ATTEMPT_OUTCOME_RETRY
    assert len(provider.received) == 2


@pytest.mark.parametrize(("account", "reason"), [("bare", "NO_BOT_TOKEN"), ("elsewhere", "ACCOUNT_NOT_CONFIGURED")])
async def test_an_account_that_is_not_configured_is_halted(provider: HttpProvider, account: str, reason: str) -> None:
    """Nothing is lost: the lane waits for an operator."""
    log = Log()
    async with a_worker(provider, log) as worker:
        worker.submit(a_job(1, account=account))
        await log.until(1)
    assert (log.outcomes[0].outcome, log.outcomes[0].reason) == (records_pb2.ATTEMPT_OUTCOME_HALTED, reason)


async def test_attempts_that_have_not_begun_are_given_back_at_the_end(provider: HttpProvider) -> None:
    """Attempts that had begun end within the grace period; every attempt has exactly one outcome."""
    log = Log()
    provider.next(Hang(taken=True))
    async with a_worker(provider, log, concurrency=1) as worker:
        for number in range(10):
            worker.submit(a_job(number))
        await provider.asked(1)
    assert len(log.outcomes) == 10
    given_back = [o for o in log.outcomes if o.reason == NOT_ATTEMPTED]
    assert [o.delivery_id for o in given_back] == [f"delivery-telegram-{n}" for n in range(1, 10)]
    assert len(provider.received) == 1
