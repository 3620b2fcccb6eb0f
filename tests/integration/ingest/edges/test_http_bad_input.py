"""Invalid input gets a clear 4xx, does not affect other callers, and never becomes a 5xx."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.ingest.edges.conftest import SECRET, Edges, configuration, ingest, install
from tests.integration.ingest.edges.test_thin import signed

pytestmark = pytest.mark.kafka
WEBHOOK = "/v1/demo/webhook/main"
GOOD = {"message_id": "m-1", "customer": {"id": "c-1"}, "text": "hello, I need some help"}


async def post(edges: Edges, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(timeout=20) as client:
        return await client.post(edges.url(path), content=body, headers=headers)


async def call(edges: Edges, body: bytes) -> httpx.Response:
    """Send a properly signed call of the generic webhook."""
    return await post(edges, WEBHOOK, body, signed(body))


async def test_refusals_name_what_is_wrong(edges: Edges) -> None:
    """Each bad body is refused with its reason; afterwards only the good one is in the log."""
    cases: list[tuple[bytes, int, str]] = [
        (b"{", 400, "MALFORMED_JSON"),
        (b"[1]", 400, "NOT_AN_OBJECT"),
        (b"\xff\xfe", 400, "NOT_UTF8"),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, 400, "TOO_DEEP"),
        (b"[" * 2000 + b"]" * 2000, 400, "TOO_DEEP"),
        (json.dumps({**GOOD, "text": 7}).encode(), 400, "INVALID_FIELD"),
        (json.dumps({**GOOD, "text": "a\x00b"}).encode(), 400, "NUL_IN_TEXT"),
        (b'{"message_id":"m","customer":{"id":"c"},"text":"\\ud800"}', 400, "LONE_SURROGATE"),
        (json.dumps({**GOOD, "customer": {}}).encode(), 400, "INVALID_FIELD"),
        (json.dumps({**GOOD, "text": "x" * 900_000}).encode(), 413, "MESSAGE_TOO_LARGE"),
        (json.dumps({**GOOD, "text": "x" * 4_000_000}).encode(), 413, "BODY_TOO_LARGE"),
        (json.dumps({**GOOD, "sent_at": "2026-01-01T00:00:00"}).encode(), 400, "INVALID_FIELD"),
    ]
    for body, status, reason in cases:
        answer = await call(edges, body)
        assert (answer.status_code, answer.json()["reason"]) == (status, reason), body[:60]
    wrong = (await call(edges, json.dumps({**GOOD, "customer": {"id": 5}}).encode())).json()
    assert wrong["violations"][0]["field"] == "customer.id"
    assert (await call(edges, json.dumps(GOOD).encode())).status_code == 200
    (record,) = await edges.inbound(1)
    assert record.message.native_message_id == "m-1"


async def test_proofs(edges: Edges) -> None:
    """Missing, wrong, stale and hostile proofs are 401 before anything is parsed; unknown accounts are 404."""
    body = json.dumps(GOOD).encode()
    good = signed(body)
    hostile: list[dict[str, str]] = [
        {},
        {**good, "webhook-signature": "v1,AAAA"},
        {**good, "webhook-signature": "v1,!!!not-base64!!!"},
        {**good, "webhook-timestamp": "9" * 400},
        {**good, "webhook-timestamp": "-1"},
        {**good, "webhook-timestamp": "1e9"},
        signed(body, at=1),
        {**good, "webhook-signature": "v2," + good["webhook-signature"][3:]},
    ]
    for headers in hostile:
        answer = await post(edges, WEBHOOK, body, {"content-type": "application/json", **headers})
        assert answer.status_code == 401, headers
    raw = [(b"webhook-signature", "v1,é".encode()), (b"webhook-id", b"\xff"), (b"webhook-timestamp", b"\xb2")]
    async with httpx.AsyncClient() as client:
        assert (await client.post(edges.url(WEBHOOK), content=body, headers=raw)).status_code == 401
    for path in ("/v1/demo/webhook/nobody", "/v1/nobody/webhook/main", "/v1/demo/fax/main"):
        assert (await post(edges, path, body, good)).status_code == 404
    assert (await post(edges, WEBHOOK, body, {**good, "content-type": "text/plain"})).status_code == 415
    assert (await post(edges, "/v1/demo/webhook/unset", body, good)).status_code == 503
    assert await edges.inbound(0) == []


async def test_a_rotation_of_secrets_needs_no_downtime(edges: Edges) -> None:
    """One valid signature among several is enough."""
    body = json.dumps(GOOD).encode()
    headers = signed(body)
    headers["webhook-signature"] = "v1,AAAA v1a,xxxx " + headers["webhook-signature"]
    assert (await post(edges, WEBHOOK, body, headers)).status_code == 200


def whatsapp_body(messages: list[Any]) -> bytes:
    value = {
        "metadata": {"phone_number_id": "100200300"},
        "contacts": [{"wa_id": "989120000000", "profile": {"name": "رضا"}}],
        "messages": messages,
        "statuses": [{"id": "x", "status": "read"}],
    }
    # As Meta does: escaped Unicode, over which the signature is made.
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"changes": [{"value": value}]}]}).encode()


def whatsapp_headers(body: bytes) -> dict[str, str]:
    mac = hmac.new(SECRET["WHATSAPP"].encode(), body, hashlib.sha256).hexdigest()
    return {"x-hub-signature-256": f"sha256={mac}", "content-type": "application/json"}


async def test_messages_with_unreadable_fields_are_accepted_with_the_others(edges: Edges) -> None:
    """One call with four messages, two of them invalid: all are in the log, the odd ones raw too, and the answer is 200."""
    text = {"from": "989120000000", "timestamp": "1700000000", "type": "text"}
    body = whatsapp_body(
        [
            {**text, "id": "w1", "text": {"body": "اول"}},
            {**text, "id": "w2", "text": {"body": "half \ud800"}},
            {**text, "id": "w3", "text": 5},
            {**text, "id": "w4", "text": {"body": "چهارم"}},
        ]
    )
    answer = await post(edges, "/v1/demo/whatsapp/main", body, whatsapp_headers(body))
    assert answer.status_code == 200
    assert answer.json()["refused"] == []
    found = await edges.inbound(4)
    assert [each.message.text for each in found if not each.message.placeholder] == ["اول", "half \ufffd", "چهارم"]
    assert [bool(each.message.raw) for each in found] == [False, True, True, False]
    assert found[2].message.placeholder
    again = await post(edges, "/v1/demo/whatsapp/main", body, whatsapp_headers(body))
    assert again.json()["accepted"] == answer.json()["accepted"], "a provider's retry has the same ids"


async def test_whatsapp_handshake(edges: Edges) -> None:
    """The challenge is returned only to a caller who knows the token."""
    query = {"hub.mode": "subscribe", "hub.verify_token": SECRET["VERIFY"], "hub.challenge": "12345"}
    async with httpx.AsyncClient() as client:
        good = await client.get(edges.url("/v1/demo/whatsapp/main"), params=query)
        bad = await client.get(edges.url("/v1/demo/whatsapp/main"), params={**query, "hub.verify_token": "no"})
        other = await client.get(edges.url("/v1/demo/telegram/main"))
    assert (good.status_code, good.text) == (200, "12345")
    assert (bad.status_code, other.status_code) == (401, 404)


async def test_telegram(edges: Edges) -> None:
    """A message, its edit and its retry have two ids; kinds that we do not use are answered 200."""
    path = "/v1/demo/telegram/main"
    headers = {"x-telegram-bot-api-secret-token": SECRET["TELEGRAM"], "content-type": "application/json"}
    message = {
        "message_id": 7,
        "from": {"id": 42, "first_name": "علی", "last_name": "\u202eرضا", "is_bot": False},
        "chat": {"id": 42, "type": "private"},
        "date": 1_700_000_000,
        "text": "سلام",
    }
    first = json.dumps({"update_id": 1, "message": message}).encode()
    edit = json.dumps(
        {"update_id": 2, "edited_message": {**message, "edit_date": 1_700_000_005, "text": "درود"}}
    ).encode()
    assert (await post(edges, path, first, {**headers, "x-telegram-bot-api-secret-token": "no"})).status_code == 401
    one = (await post(edges, path, first, headers)).json()["accepted"]
    two = (await post(edges, path, edit, headers)).json()["accepted"]
    again = (await post(edges, path, first, headers)).json()["accepted"]
    ignored = await post(edges, path, b'{"update_id": 3, "poll": {"id": "1"}}', headers)
    assert one == again != two
    assert (ignored.status_code, ignored.json()["ignored"]) == (200, 1)
    found = await edges.inbound(3)
    assert [each.message.revision for each in found] == [0, 2, 0]
    assert found[0].message.identity.display_name == "علی رضا"
    assert found[0].message.reply_context["chat_id"] == "42"


async def test_failed_proofs_are_limited_by_account_and_peer(
    kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """A peer that fails repeatedly gets 429; a valid call of the same account from the same address is still accepted."""
    settings = kafka.settings(prefix)
    await install(settings, configuration())
    body = json.dumps(GOOD).encode()
    async with ingest(settings, tmp_path, failed_auth_rate=0.0001, failed_auth_burst=5) as edges:
        answers = [await post(edges, WEBHOOK, body, {"content-type": "application/json"}) for _ in range(6)]
        valid = await post(edges, WEBHOOK, body, signed(body))
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert valid.status_code == 200


async def test_only_the_customer_who_sends_too_much_is_refused(
    kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """The customer gets 429 with Retry-After; another customer of the same account is accepted."""
    settings = kafka.settings(prefix)
    await install(settings, configuration())
    async with ingest(settings, tmp_path, sender_rate=0.0001, sender_burst=2) as edges:
        codes = []
        for number, customer in enumerate(("loud", "loud", "loud", "quiet")):
            body = json.dumps({**GOOD, "message_id": str(number), "customer": {"id": customer}}).encode()
            codes.append((await call(edges, body)).status_code)
    assert codes == [200, 200, 429, 200]
