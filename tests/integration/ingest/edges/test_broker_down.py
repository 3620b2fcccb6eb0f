"""Without the broker no message is accepted or acknowledged; when it is back, the edges recover automatically."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.ingest.edges.conftest import Edges, configuration, ingest, install
from tests.integration.ingest.edges.test_http_bad_input import GOOD, call
from tests.integration.ingest.edges.test_smtp import plain_mail, send
from tests.integration.ingest.edges.test_webchat import chat, say

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


async def test_edges_answer_503_and_451_and_recover(
    own_kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """Broker killed: HTTP 503 with Retry-After, SMTP 451, web chat `refused` with a wait. Restarted: all are accepted
    again."""
    settings = own_kafka.settings(prefix)
    await install(settings, configuration())
    body = json.dumps(GOOD).encode()
    async with ingest(settings, tmp_path, publish_timeout_s=1.5) as edges, chat(edges, {}) as (socket, _):
        assert (await call(edges, body)).status_code == 200
        await asyncio.to_thread(own_kafka.kill)
        down = await call(edges, json.dumps({**GOOD, "message_id": "m-2"}).encode())
        assert down.status_code == 503
        assert int(down.headers["retry-after"]) > 0
        assert (await send(edges, plain_mail().as_bytes()))[0] == 451
        refused = await say(socket, "anybody there?")
        assert (refused["type"], refused["reason"]) == ("refused", "BROKER_UNAVAILABLE")
        await asyncio.to_thread(own_kafka.start)
        await _until_taken(edges)
        assert (await send(edges, plain_mail().as_bytes()))[0] == 250
        assert (await say(socket, "anybody there?"))["type"] == "ack"


async def _until_taken(edges: Edges) -> httpx.Response:
    async with asyncio.timeout(60):
        while True:
            answer = await call(edges, json.dumps({**GOOD, "message_id": str(uuid.uuid4())}).encode())
            if answer.status_code == 200:
                return answer
            assert answer.status_code == 503
