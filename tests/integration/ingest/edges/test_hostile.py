"""The edges of ingest under attack: their memory remains bounded, and they refuse no valid call of others."""

import asyncio
import gc
import itertools
import json
import os
import time
import weakref
from collections.abc import AsyncIterator, Awaitable
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.ingest.adapters.edges import smtp_session
from tests.fixtures.certificates import certificate
from tests.hostile import chat_sockets, slow_connections, smtp_bodies, webhook_bodies
from tests.hostile.measurement import Measurement, rss_mb, valid_meanwhile
from tests.integration.ingest.edges.conftest import Edges, configuration, ingest, install
from tests.integration.ingest.edges.test_thin import signed

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
WEBHOOK = "/v1/demo/webhook/main"
CHAT = "/v1/demo/webchat/main/ws"
SUPPORT = "support@demo.example"
OTHER = "127.0.0.2"


QUICK = {
    "body_timeout_s": 4,
    "unproven_bytes": 8 << 20,
    "unproven_bytes_per_peer": 3 << 20,
    "smtp_max_bytes": 3 << 20,
    "smtp_held_bytes": 8 << 20,
    "smtp_held_bytes_per_peer": 4 << 20,
    "smtp_timeout_s": 3,
    "smtp_per_peer": 8,
    "webchat_newcomer_rate": 0.01,
    "failed_auth_rate": 0.001,
    "failed_auth_burst": 20,
}


@pytest.fixture
async def quick(
    kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Edges]:
    """Yield ingest with small budgets, for two tenants."""
    for name, value in edge_secrets.items():
        monkeypatch.setenv(f"CHAPAR_SECRET_OTHER__{name}", value)
    settings = kafka.settings(prefix)
    await install(settings, configuration())
    await install(settings, configuration("other"))
    async with ingest(settings, tmp_path, **QUICK) as running:
        yield running


_numbers = itertools.count()


async def taken(refusal: Awaitable[str]) -> bool:
    """Whether a valid message was taken."""
    return not await refusal


async def valid_call(edges: Edges, source: str = "", tenant: str = "demo") -> bool:
    """Send a small signed webhook; return whether it was accepted."""
    body = json.dumps(
        {"message_id": f"v-{next(_numbers)}", "customer": {"id": f"c-{next(_numbers)}"}, "text": "hello"}
    ).encode()
    transport = httpx.AsyncHTTPTransport(local_address=source or None)
    async with httpx.AsyncClient(transport=transport, timeout=10) as client:
        url = edges.url(f"/v1/{tenant}/webhook/main")
        answer = await client.post(url, content=body, headers=signed(body, message_id=f"msg_{next(_numbers)}"))
    return answer.status_code == 200


async def test_wrong_signatures_with_large_bodies_use_up_their_own_share_only(quick: Edges) -> None:
    """Thirty bodies of 2.9 MB at once: a few wait, the others get 503, and small valid calls are accepted, from near
    and from other addresses."""
    others = Measurement("others")
    address = quick.service.endpoints["http"]
    async with valid_meanwhile(others, lambda: valid_call(quick, OTHER)):
        attack = await webhook_bodies.send_bodies(address, WEBHOOK, 30, 2_900_000)
    assert others.valid_refused == 0, others
    assert attack.still_open == 0
    assert attack.answers["503"] >= 25
    assert attack.answers["401"] + attack.answers["429"] + attack.answers["503"] == 30
    assert await valid_call(quick), "of the attacker's own address"


async def test_who_has_no_proof_is_refused_before_the_body(quick: Edges) -> None:
    """The answer arrives although no byte of the body was sent, and nothing of a large body is kept."""
    address = quick.service.endpoints["http"]
    host, _, port = address.rpartition(":")
    for proof in (
        b"",
        b"webhook-id: x\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,AAAA\r\n",
        b"webhook-id: x\r\nwebhook-timestamp: %d\r\nwebhook-signature: v1,AAAA\r\n" % time.time(),
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: 2900000\r\n%s\r\n" % (WEBHOOK.encode(), proof))
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401")
        writer.close()
    attack = await webhook_bodies.send_bodies(address, WEBHOOK, 10, 2_900_000, signed=False)
    assert attack.answers["401"] + attack.answers["429"] == 10


async def test_failed_proofs_never_refuse_a_valid_one(quick: Edges) -> None:
    """A hundred and twenty wrong calls of one account from one address: only these are slowed."""
    body = b"{}"
    wrong = {**signed(body), "webhook-signature": "v1," + "A" * 43 + "="}
    async with httpx.AsyncClient(timeout=10) as client:
        codes = [(await client.post(quick.url(WEBHOOK), content=body, headers=wrong)).status_code for _ in range(120)]
        elsewhere = [
            (await client.post(quick.url(path), content=body, headers=wrong)).status_code
            for path in ("/v1/other/webhook/main", "/v1/demo/telegram/main", "/v1/demo/whatsapp/main")
        ]
    assert codes == [401] * 20 + [429] * 100
    assert elsewhere == [401] * 3, "other tenants and channels count apart"
    assert await valid_call(quick)
    assert await valid_call(quick, tenant="other")


async def test_slow_bodies_and_half_open_requests_end_and_refuse_nobody(quick: Edges) -> None:
    """Several kinds, each at the same time."""
    others = Measurement("others")
    address = quick.service.endpoints["http"]
    async with valid_meanwhile(others, lambda: valid_call(quick, OTHER)), asyncio.TaskGroup() as group:
        bodies = group.create_task(slow_connections.hold(address, "dripping_body", 60, 14.0, WEBHOOK))
        heads = group.create_task(slow_connections.hold(address, "half_head", 300, 14.0, WEBHOOK))
    assert others.valid_refused == 0, others
    assert bodies.result().still_open == heads.result().still_open == 0


async def test_strangers_of_one_address_open_few_conversations_and_keep_out_nobody(quick: Edges) -> None:
    """Three hundred sockets: at most thirty conversations; a returning visitor, and new visitors elsewhere, are served
    meanwhile."""
    address = quick.service.endpoints["http"]
    token = await chat_sockets.newcomer(address, CHAT)
    others = Measurement("others")
    async with valid_meanwhile(others, lambda: taken(chat_sockets.comes_back(address, CHAT, token))):
        attack = await chat_sockets.strangers(address, CHAT, 300)
    assert attack.answers["ack"] <= 30
    assert attack.answers["4429"] >= 100
    assert others.valid_refused == 0, others
    assert await chat_sockets.newcomer(address, CHAT, source=OTHER)
    silent = Measurement("others of the silent")
    async with valid_meanwhile(silent, lambda: taken(chat_sockets.comes_back(address, CHAT, token))):
        await chat_sockets.strangers(address, CHAT, 200, hello=False)
    assert silent.valid_refused == 0, silent


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "starttls"])
async def test_mails_that_are_broken_off_leave_nothing_behind(
    encrypted: bool,
    kafka: Any,
    prefix: str,
    tmp_path: Path,
    edge_secrets: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten sessions with most of a mail each: above the budget they are refused; with the cycle collector off every
    session is freed."""
    sessions: weakref.WeakSet[smtp_session.SmtpSession] = weakref.WeakSet()
    made = smtp_session.SmtpSession.connection_made

    def remember(self: smtp_session.SmtpSession, transport: asyncio.BaseTransport) -> None:
        sessions.add(self)
        made(self, transport)

    monkeypatch.setattr(smtp_session.SmtpSession, "connection_made", remember)
    server, client = certificate(tmp_path, "localhost")
    # gRPC's own TLS would need keys that this test is not about.
    monkeypatch.setattr(
        import_module("services.ingest.wiring.edges"), "starttls", lambda _settings: server if encrypted else None
    )
    others = Measurement("others")
    settings = kafka.settings(prefix)
    await install(settings, configuration())
    async with ingest(settings, tmp_path, **QUICK) as edges:
        address = edges.service.endpoints["smtp"]
        gc.collect()
        gc.disable()
        try:
            before = rss_mb(os.getpid())
            peak: list[float] = []
            async with valid_meanwhile(
                others, lambda: taken(smtp_bodies.small_mail(address, SUPPORT, next(_numbers), source=OTHER))
            ):
                attack = await smtp_bodies.broken_off(
                    address,
                    SUPPORT,
                    8,
                    2.8,
                    tls=client if encrypted else None,
                    look=lambda: peak.append(rss_mb(os.getpid())),
                )
            await _until(lambda: not sessions)
        finally:
            gc.enable()
    assert attack.sent_bytes > 20 << 20, "the attack is one"
    assert others.valid_refused == 0, others
    assert peak[0] - before < 48


async def test_smtp_sessions_that_say_nothing_end_and_keep_out_nobody(quick: Edges) -> None:
    """Silent from the start, silent after a command, silent in the middle of a mail; more than one address may have."""
    address = quick.service.endpoints["smtp"]
    others = Measurement("others")
    data = b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<support@demo.example>\r\nDATA\r\nSubject: x\r\n"
    async with (
        valid_meanwhile(others, lambda: taken(smtp_bodies.small_mail(address, SUPPORT, next(_numbers), source=OTHER))),
        asyncio.TaskGroup() as group,
    ):
        held = [
            group.create_task(smtp_bodies.held(address, 8, 9.0, source=f"127.0.1.{number}", say=say))
            for number, say in enumerate((b"", b"EHLO x\r\n", data), 1)
        ]
        many = group.create_task(smtp_bodies.held(address, 100, 9.0, source="127.0.1.9"))
    assert others.valid_refused == 0, others
    assert [task.result().still_open for task in held] == [0, 0, 0]
    assert many.result().still_open == 0


async def test_an_empty_key_lets_nobody_in(quick: Edges, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short key is refused too: the sender gets 503 with a reason for the operator."""
    body = b'{"message_id": "m", "customer": {"id": "c"}, "text": "hello"}'
    for secret in ("whsec_", "whsec_AAAA", "whsec_%%%", "short"):
        monkeypatch.setenv("CHAPAR_SECRET_DEMO__WEBHOOK", secret)
        headers = signed(body, secret if secret in ("whsec_", "whsec_AAAA") else "whsec_")
        async with httpx.AsyncClient() as client:
            answer = await client.post(quick.url(WEBHOOK), content=body, headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (503, "SECRET_UNUSABLE"), secret
        assert secret not in answer.text.replace("whsec_ and", "") or secret == "short"
    assert await quick.inbound(0) == []


async def test_junk_instead_of_commands_is_cut_off(quick: Edges) -> None:
    """Empty lines, endless lines, the same command for ever."""
    address = quick.service.endpoints["smtp"]
    for say in (b"\r\n" * 60_000, b"x" * 100_000, b"NOOP\r\n" * 3000, b"\xff\r\n" * 40_000):
        measured = await smtp_bodies.held(address, 1, 2.5, say=say)
        assert measured.still_open == 0, say[:10]


async def _until(met: Any) -> None:
    async with asyncio.timeout(10):
        while not met():  # noqa: ASYNC110 - connections end when both kernels have said so
            await asyncio.sleep(0.02)
