"""The worker that performs attempts: paced, independent by account, patient with the log, orderly in the end."""

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
from services.chassis.keys import tenant_key
from services.chassis.metrics import Metrics
from services.chassis.secrets import SecretReferences
from services.cli.providers import Hang, HttpProvider, Refuse
from services.ingest.adapters.edges.accounts import AccountSecrets
from services.ingest.adapters.out.http import provider_client
from services.ingest.adapters.out.telegram import TelegramClient
from services.ingest.adapters.out.whatsapp import WhatsAppClient
from services.ingest.adapters.out.worker import AttemptWorker
from services.ingest.domain.attempts import AttemptJob
from services.ingest.domain.deliveries import NOT_ATTEMPTED, Delivery, Status
from services.ingest.domain.messages import Identity, Route, SendRequest
from services.ingest.domain.policy import AccountPolicy, TenantPolicy
from services.ingest.domain.rules import RuleInput, Verdict
from tests.fakes.privacy import MemoryKeys
from tests.integration.ingest.lanes.builders import TENANT, VARIABLES, accounts


def never(when: str, given: RuleInput) -> Verdict:
    """No rules here."""
    return Verdict.DOES_NOT_HOLD


@dataclass
class Log:
    """Where outcomes are published; refuses as often as it is told."""

    outcomes: list[records_pb2.AttemptFinished] = field(default_factory=list)
    refusals: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    keys: MemoryKeys = field(default_factory=MemoryKeys)

    async def publish(self, key: bytes, value: bytes) -> None:
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
async def a_worker(provider: HttpProvider, log: Log, **changes: float) -> AsyncIterator[AttemptWorker]:
    """A worker that runs; stopped in order at the end."""
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
            lambda: {TENANT: policy},
            AccountSecrets(SecretReferences(system_clock, env=VARIABLES)),
            log.publish,
            Metrics(CollectorRegistry(auto_describe=True)),
            log.keys,
            clock=system_clock,
            grace_s=1.0,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(worker.run())
            yield worker
            worker.stop()


def a_job(number: int, channel: str = "telegram", account: str = "main", text: str = "hi") -> AttemptJob:
    """One attempt in a conversation of its own."""
    native = str(1_000 + number)
    identity = Identity(f"identity-{number}", TENANT, channel, account, native)
    delivery = Delivery(
        delivery_id=f"delivery-{channel}-{number}",
        request=SendRequest(request_id=f"r-{number}", text=text),
        asked_at_ms=0,
        status=Status.ATTEMPTING,
        number=1,
    )
    return AttemptJob(TENANT, f"conversation-{number}", delivery, Route(identity, {"chat_id": native}, "", 0))


@pytest.fixture
async def provider() -> AsyncIterator[HttpProvider]:
    """Telegram and WhatsApp."""
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


async def test_an_account_sends_no_faster_than_allowed(provider: HttpProvider) -> None:
    """So many at once, then so many a second."""
    log = Log()
    async with a_worker(provider, log, sends_per_second=10.0) as worker:
        began = asyncio.get_running_loop().time()
        for number in range(25):
            worker.submit(a_job(number))
        await log.until(25)
        took = asyncio.get_running_loop().time() - began
    assert took >= 1.4


async def test_a_provider_that_hangs_holds_up_nobody_else(provider: HttpProvider) -> None:
    """Another channel's attempt is done while the first still waits for an answer."""
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
    """A broker that is away costs time, not the outcome; and nothing is sent again for it."""
    log = Log(refusals=3)
    async with a_worker(provider, log) as worker:
        worker.submit(a_job(1))
        await log.until(1)
    assert len(provider.received) == 1


async def test_a_long_text_goes_in_parts_and_says_how_far_it_came(provider: HttpProvider) -> None:
    """The parts that were accepted are named in the outcome."""
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


async def test_what_was_not_begun_is_given_back_at_the_end(provider: HttpProvider) -> None:
    """What was begun ends within its grace; every attempt still has exactly one outcome."""
    log = Log()
    async with a_worker(provider, log, sends_per_second=1.0) as worker:
        for number in range(10):
            worker.submit(a_job(number))
        await provider.arrived(1)
    assert len(log.outcomes) == 10
    given_back = [o for o in log.outcomes if o.reason == NOT_ATTEMPTED]
    assert len(given_back) + len(provider.received) == 10
    assert given_back
