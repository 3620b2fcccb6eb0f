"""The corpus of hostile texts and mails, sent through every edge of a running stack."""

import asyncio
import itertools
import json
from contextlib import suppress
from typing import Final

import grpc
import httpx

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.grpc.client import grpc_channel
from services.cli.commands.send import signed
from services.cli.local.kept_secrets import WEBHOOK_SECRET
from services.cli.local.stack import Stack
from services.cli.local.workspace import Workspace
from tests.hostile.mails import worst
from tests.hostile.measurement import EXCUSED, connect
from tests.hostile.texts import TEXTS

TEXT_CHARS: Final = 190_000
MAIL_BYTES: Final = 1_000_000
_AT_ONCE: Final = 4


class Corpus:
    """Sends it, as a customer with a valid proof would."""

    def __init__(self, stack: Stack, workspace: Workspace, http: httpx.AsyncClient, token: str, *, source: str) -> None:
        endpoints = stack.running.endpoints["ingest"]
        self._webhook = f"http://{endpoints['http']}/v1/demo/webhook/main"
        self._secret = workspace.demo_secrets()[WEBHOOK_SECRET]
        self._smtp = endpoints["smtp"]
        self._grpc = endpoints["grpc"]
        self._http = http
        self._token = token
        self._source = source
        self._numbers = itertools.count()

    async def send(self) -> int:
        """Everything; returns the number of messages, taken or refused."""
        sent = 0
        async with grpc_channel(self._grpc, token=lambda _tenant: self._token) as channel:
            stub = ingest_pb2_grpc.IngestServiceStub(channel)
            for make in TEXTS.values():
                text = make(TEXT_CHARS)
                await asyncio.gather(
                    self._by_webhook(text, ""),
                    self._by_webhook("hello", text),
                    self._by_grpc(stub, text, ""),
                    self._by_grpc(stub, "hello", text[:200]),
                )
                sent += 4
        mails = iter(worst(MAIL_BYTES))
        while some := list(itertools.islice(mails, _AT_ONCE)):
            await asyncio.gather(*(self._by_mail(raw) for _, raw in some))
            sent += len(some)
        return sent

    async def _by_webhook(self, text: str, name: str) -> None:
        # JSON as the other system would write it: what is no Unicode is escaped.
        plain = json.loads(json.dumps(text)), json.loads(json.dumps(name))
        headers, body = _signed(self._secret, *plain, f"hostile-{next(self._numbers)}")
        await self._http.post(self._webhook, headers=headers, content=body)

    async def _by_grpc(self, stub: "ingest_pb2_grpc.IngestServiceAsyncStub", text: str, name: str) -> None:
        number = next(self._numbers)
        with suppress(grpc.aio.AioRpcError, ValueError, UnicodeEncodeError):  # protobuf takes no lone surrogate
            request = ingest_pb2.SubmitRequest(
                idempotency_key=f"h-{number}", native_id=f"h-{number}", text=text, display_name=name
            )
            await stub.Submit(request, timeout=60)

    async def _by_mail(self, raw: bytes) -> None:
        with suppress(*EXCUSED):
            reader, writer = await connect(self._smtp, self._source)
            try:
                await reader.readline()
                for line in (b"HELO x", b"MAIL FROM:<a@hostile.example>", b"RCPT TO:<support@demo.example>", b"DATA"):
                    writer.write(line + b"\r\n")
                    await reader.readline()
                writer.write(_stuffed(raw) + b"\r\n.\r\n")
                await writer.drain()
                async with asyncio.timeout(60):
                    await reader.readline()
            finally:
                writer.transport.abort()


def _signed(secret: str, text: str, name: str, customer: str) -> tuple[dict[str, str], bytes]:
    safe = [each.encode("utf-8", "replace").decode() for each in (text, name)]
    return signed(secret, safe[0], customer, safe[1])


def _stuffed(raw: bytes) -> bytes:
    """Lines end with CRLF, and none is the end of the mail."""
    lines = raw.replace(b"\r\n", b"\n").split(b"\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)
