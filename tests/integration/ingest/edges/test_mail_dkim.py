"""The process that verifies DKIM signatures: whatever a mail does to it, it has no secrets, and tenants take turns."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import dkim
import psutil  # type: ignore[import-untyped] # its stubs are a separate package, for a few calls
import pytest

from services.chassis.http import TrustedProxies
from services.ingest.adapters.edges import dkim_worker
from services.ingest.adapters.edges.dkim_worker import Signature
from services.ingest.adapters.edges.mail_authentication import MailAuthentication
from services.ingest.adapters.edges.mail_dkim import DkimProcess, dkim_process
from services.ingest.adapters.edges.mail_workers import WorkerLimits, mail_workers
from services.ingest.domain.normalise.message import IncomingMessage
from services.ingest.domain.origin import OriginProof
from services.ingest.ports import Account
from tests.fixtures.signed_mail import Signer, a_raw_mail


@pytest.fixture(scope="module")
def shop() -> Signer:
    return Signer("shop.example")


@pytest.fixture
async def process() -> AsyncIterator[DkimProcess]:
    async with dkim_process(5.0) as made:
        yield made


async def test_the_process_has_none_of_our_environment(
    process: DkimProcess, shop: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets are environment variables too."""
    for name in ("CHAPAR_SECRET_BOT", "DATABASE_URL", "CHAPAR_INGEST_JWT__SECRET_FILE"):
        monkeypatch.setenv(name, "postgresql://user:hunter2@db/x")
    assert await process.holds("acme", shop.signed(a_raw_mail()), 0, shop.record)
    given = psutil.Process(process.pid).environ()
    assert not [name for name in given if name.startswith("CHAPAR") or "DATABASE" in name]
    assert "hunter2" not in str(given)


@pytest.mark.parametrize(
    "key",
    [b"", b"p=", b"v=DKIM1; p=!!!", b"k=ed25519; p=AAAA", b"p=AAAA", b"\xff\xfe p=", b"k=x; p=AA==", b"v=DKIM2; p=AA"],
)
async def test_any_key_is_an_answer(process: DkimProcess, shop: Signer, key: bytes) -> None:
    """And the process continues."""
    raw = shop.signed(a_raw_mail())
    assert not await process.holds("acme", raw, 0, key)
    pid = process.pid
    assert await process.holds("acme", raw, 0, shop.record)
    assert process.pid == pid


@pytest.mark.parametrize("index", [1, 99, -5])
async def test_a_signature_that_is_not_there_does_not_hold(process: DkimProcess, shop: Signer, index: int) -> None:
    assert not await process.holds("acme", shop.signed(a_raw_mail()), index, shop.record)
    assert not await process.holds("acme", b"", index, shop.record)


@pytest.mark.parametrize("error", [MemoryError, AttributeError, AssertionError, RecursionError, OSError, KeyError])
def test_whatever_the_library_raises_is_no_proof_and_ends_its_time(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One mail's timer must not run on during the next mail."""

    def fails(*_: Any, **__: Any) -> bool:
        raise error

    monkeypatch.setattr(dkim.DKIM, "verify", fails)
    assert not dkim_worker.holds(Signature(a_raw_mail(), 0, b"p=", 300.0))
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


async def test_a_signature_that_costs_too_much_or_hangs_ends_its_process_only(shop: Signer) -> None:
    """The next signature gets a new process."""
    raw = shop.signed(a_raw_mail())
    async with dkim_process(1e-6) as hasty:
        assert not await hasty.holds("acme", shop.signed(a_raw_mail(text="x" * 3_000_000)), 0, shop.record)
        assert hasty.pid is None
    process = DkimProcess(5.0, wall_s=2.0)
    try:
        assert await process.holds("acme", raw, 0, shop.record)
        stopped = process.pid
        assert stopped is not None
        os.kill(stopped, signal.SIGSTOP)
        assert not await process.holds("acme", raw, 0, shop.record)
        assert await process.holds("acme", raw, 0, shop.record)
        assert process.pid != stopped
    finally:
        await process.close()


async def test_the_answer_to_a_cancelled_caller_is_not_given_to_the_next(process: DkimProcess, shop: Signer) -> None:
    """A yes to the first caller must not be the answer to the second."""
    raw = shop.signed(a_raw_mail())
    assert await process.holds("acme", raw, 0, shop.record)
    first = asyncio.create_task(process.holds("acme", shop.signed(a_raw_mail(text="x" * 3_000_000)), 0, shop.record))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert not await process.holds("acme", raw.replace(b"hello", b"pay me"), 0, shop.record)


async def test_a_tenant_that_floods_delays_no_others_proof(process: DkimProcess, shop: Signer) -> None:
    """The other tenant's signature is among the next, and its waiting time does not count against it."""
    raw, ended = shop.signed(a_raw_mail()), list[str]()

    async def one(tenant: str) -> bool:
        held = await process.holds(tenant, raw, 0, shop.record)
        ended.append(tenant)
        return held

    flood = [asyncio.create_task(one("flood")) for _ in range(300)]
    await asyncio.sleep(0)
    assert await one("quiet")
    waited = [tenant for tenant in ended if tenant == "flood"]
    held = await asyncio.gather(*flood)
    assert held.count(True) <= 65  # beyond those that may wait, a mail is unproven, not delayed
    assert len(waited) <= 300 - held.count(True) + 3


async def test_a_tenant_that_floods_delays_no_others_mails() -> None:
    """Tenants take turns in reading mails too."""
    ended: list[str] = []
    async with mail_workers(WorkerLimits(cpu_s=5.0, workers=1)) as workers:

        async def one(tenant: str) -> None:
            assert isinstance(await workers.read(tenant, a_raw_mail(), "a@b.example", "c@d.example"), IncomingMessage)
            ended.append(tenant)

        flood = [asyncio.create_task(one("flood")) for _ in range(100)]
        await asyncio.sleep(0)
        await one("quiet")
        assert len(ended) <= 4
        await asyncio.gather(*flood)


class Names:
    """A DNS that answers at once."""

    def __init__(self, shop: Signer) -> None:
        self._shop = shop

    async def txt(self, name: str) -> tuple[bytes, ...]:
        return (self._shop.record,) if name == self._shop.name else ()


async def test_a_mail_that_waits_for_its_turn_is_still_proven(process: DkimProcess, shop: Signer) -> None:
    """The time-out is for look-ups, not for the mails before it."""
    checks = MailAuthentication(Names(shop), process, TrustedProxies(), lookups_s=0.2)
    account = Account("acme", "email", "main", {}, {"authentication": "dkim"}, "en")
    async with process._turns.turn("other"):
        waiting = asyncio.create_task(checks.check(account, shop.signed(a_raw_mail()), "192.0.2.1"))
        done, _ = await asyncio.wait({waiting}, timeout=0.6)
        assert not done
    assert (await waiting).proof is OriginProof.DKIM_DMARC
