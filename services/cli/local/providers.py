"""Simulated channel providers on this machine: the APIs of Telegram (and Bale) and WhatsApp, a webhook's receiver, a mail relay.

They record what they receive, and fail on request: 429 with retry_after, 403, 400, 5xx, no answer, a connection cut
before or after the message was accepted. The demo and the tests use the same providers:

    async with HttpProvider() as provider, MailRelay() as relay:
        provider.next(Refuse(429, {"parameters": {"retry_after": 2}}))     # the next request only; the one after is accepted
        ...
        await provider.arrived(3)                                          # until three messages were accepted

`python -m services.cli.local.providers` runs both and prints what arrives, a JSON object a line.
"""

import argparse
import asyncio
import json
import re
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as default_policy
from typing import Any, Final, Self

from aiosmtpd.smtp import SMTP

from services.cli.local.provider_files import Form, HeldFile, HeldFiles, content_of, form_of, whatsapp_text

_MAX_HEAD: Final = 64 << 10
_TELEGRAM: Final = re.compile(r"/bot(?P<account>[^/]+)/(?P<method>\w+)$")
_MEDIA: Final = re.compile(r"/v[\d.]+/[^/]+/media$")
_WHATSAPP: Final = re.compile(r"/v[\d.]+/(?P<account>[^/]+)/messages$")


@dataclass(frozen=True, slots=True)
class Received:
    """A message that a provider accepted. `details`: the JSON body, or a mail's headers."""

    channel: str
    account: str
    recipient: str
    text: str
    native_id: str
    details: Mapping[str, Any]
    files: tuple[HeldFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Refuse:
    """Respond with this status and body; the message is not accepted. For mail: code and phase ("sender", "recipient", "data")."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    phase: str = "data"


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection without a response, with the message accepted or not."""

    taken: bool


@dataclass(frozen=True, slots=True)
class Hang:
    """Send no response until the server closes, with the message accepted or not."""

    taken: bool


@dataclass(frozen=True, slots=True)
class CutInside:
    """Begin to send a file, and close the connection in the middle."""


Behaviour = Refuse | Cut | Hang | CutInside


class _Counterpart:
    """The common part of both servers: received messages and instructions."""

    def __init__(self, on_received: Callable[[Received], None] | None = None) -> None:
        self.received: list[Received] = []
        self.requests = 0
        self._instructions: deque[Behaviour | None] = deque()
        self._usual: Behaviour | None = None
        self._on_received = on_received
        self._changed = asyncio.Condition()
        self._closing = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port on which the server listens."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def next(self, *behaviours: Behaviour | None) -> None:
        """Set the behaviour for the next requests, one each (None accepts it); the requests after them are accepted."""
        self._instructions.extend(behaviours)

    def usually(self, behaviour: Behaviour | None) -> None:
        """Set the behaviour for all requests without one of their own; None accepts them."""
        self._usual = behaviour

    async def arrived(self, messages: int, within_s: float = 20.0) -> list[Received]:
        """Wait until `messages` messages have been accepted, and return them. Raises TimeoutError."""
        await self._until(lambda: len(self.received) >= messages, within_s)
        return list(self.received)

    async def asked(self, requests: int, within_s: float = 20.0) -> None:
        """Wait until `requests` requests have arrived, accepted or not. Raises TimeoutError."""
        await self._until(lambda: self.requests >= requests, within_s)

    async def _until(self, reached: Callable[[], bool], within_s: float) -> None:
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(reached)

    async def _request(self) -> Behaviour | None:
        async with self._changed:
            self.requests += 1
            self._changed.notify_all()
        return self._instructions.popleft() if self._instructions else self._usual

    async def _take(self, message: Received) -> None:
        async with self._changed:
            self.received.append(message)
            self._changed.notify_all()
        if self._on_received is not None:
            self._on_received(message)

    async def _close(self) -> None:
        self._closing.set()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


class HttpProvider(_Counterpart):
    """Serves Telegram's sendMessage at `/bot<token>/`, WhatsApp's at `/v<version>/<number>/messages`, and a webhook's receiver at other paths.

    `held`: the files of both, for downloads and uploads.
    """

    def __init__(
        self, on_received: Callable[[Received], None] | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        super().__init__(on_received)
        self._address = (host, port)
        self._numbers = 0
        self.last_headers: Mapping[str, str] = {}
        self.windows_closed: set[str] = set()
        """WhatsApp's recipients who have not written for 24 hours: a text to them is refused with 131047, a template is accepted."""
        self.held = HeldFiles()
        self._open: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, *self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        for task in list(self._open):
            task.cancel()
        await self._close()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://{self._address[0]}:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while await self._one(reader, writer):
                    pass
        except asyncio.CancelledError:
            if not self._closing.is_set():
                raise
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")[:_MAX_HEAD]
        first, *lines = head.split("\r\n")
        headers = {n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in lines if line)}
        self.last_headers = headers
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        behaviour = await self._request()
        if isinstance(behaviour, Refuse):
            _answer(writer, behaviour.status, behaviour.body, behaviour.headers)
            return True
        if first.startswith("GET "):
            return await self._file(first.split(" ")[1], headers, behaviour, writer)
        kind, path = headers.get("content-type", ""), first.split(" ")[1]
        form = form_of(kind, raw) if kind.startswith("multipart/form-data") else None
        if form is not None and _MEDIA.search(path):
            return await self._upload(form, behaviour, writer)
        body: dict[str, Any] = dict(form.fields) if form is not None else json.loads(raw) if raw else {}
        if _WHATSAPP.search(path) and body["type"] != "template" and body["to"] in self.windows_closed:
            _answer(writer, 400, {"error": {"code": 131047, "message": "Re-engagement message"}}, {})
            return True
        message, answer = self._understood(path, body, tuple(form.files.values()) if form is not None else ())
        if behaviour is None or (isinstance(behaviour, Cut | Hang) and behaviour.taken):
            await self._take(message)
        if isinstance(behaviour, Cut | CutInside):
            return False
        if isinstance(behaviour, Hang):
            await self._closing.wait()
            return False
        _answer(writer, 200, answer, {})
        await writer.drain()
        return True

    async def _file(
        self, target: str, headers: Mapping[str, str], behaviour: Behaviour | None, writer: asyncio.StreamWriter
    ) -> bool:
        if isinstance(behaviour, Cut):
            return False
        if isinstance(behaviour, Hang):
            await self._closing.wait()
            return False
        found = self.held.answer(target, headers, f"http://{headers.get('host', '')}")
        if found.content is None:
            _answer(writer, found.status, found.body, {})
        else:
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(found.content)}\r\n\r\n".encode())
            cut = isinstance(behaviour, CutInside)
            writer.write(found.content[: len(found.content) // 2] if cut else found.content)
        await writer.drain()
        return not isinstance(behaviour, CutInside)

    async def _upload(self, form: Form, behaviour: Behaviour | None, writer: asyncio.StreamWriter) -> bool:
        (file,) = form.files.values()
        media = self.held.upload(file.content, file.name, file.content_type)
        if behaviour is not None:
            return False
        _answer(writer, 200, {"id": media}, {})
        await writer.drain()
        return True

    def _understood(
        self, path: str, body: dict[str, Any], files: tuple[HeldFile, ...]
    ) -> tuple[Received, dict[str, Any]]:
        self._numbers += 1
        number = self._numbers
        if found := _TELEGRAM.search(path):
            chat = body["chat_id"]
            text = body.get("text", body.get("caption", ""))
            answer = {"ok": True, "result": {"message_id": number, "chat": {"id": chat}, "text": text}}
            return Received("telegram", found["account"], str(chat), text, f"{chat}:{number}", body, files), answer
        if found := _WHATSAPP.search(path):
            native = f"wamid.{number}"
            answer = {
                "messaging_product": "whatsapp",
                "contacts": [{"input": body["to"], "wa_id": body["to"]}],
                "messages": [{"id": native}],
            }
            sent = body[body["type"]]
            files = (self.held.files[sent["id"]],) if "id" in sent else ()
            return Received("whatsapp", found["account"], body["to"], whatsapp_text(body), native, body, files), answer
        customer = body.get("customer", {}).get("id", "")
        return Received("webhook", path, customer, body.get("text", ""), str(number), body), {"ok": True}


class MailRelay(_Counterpart):
    """A mail server that accepts mail for every address."""

    def __init__(
        self, on_received: Callable[[Received], None] | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        super().__init__(on_received)
        self._address = (host, port)
        self._sessions: list[Any] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, *self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        for session in self._sessions:
            if session.transport is not None:
                session.transport.abort()
        await self._close()

    @property
    def url(self) -> str:
        """The URL for an account's `smtp_url`."""
        return f"smtp://{self._address[0]}:{self.port}"

    def _session(self) -> SMTP:
        session = SMTP(self, hostname="relay.test", loop=asyncio.get_running_loop(), data_size_limit=32 << 20)
        self._sessions.append(session)
        return session

    # aiosmtpd calls these by name.

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        """Handle MAIL FROM; the null sender is accepted."""
        refused = self._refused("sender")
        if refused is not None:
            return refused
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        """Handle RCPT TO."""
        refused = self._refused("recipient")
        if refused is not None:
            return refused
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Handle DATA: the mail itself."""
        behaviour = await self._request()
        if isinstance(behaviour, Refuse):
            return f"{behaviour.status} refused as asked"
        if behaviour is None or (isinstance(behaviour, Cut | Hang) and behaviour.taken):
            await self._take(
                _mail(envelope.mail_from.removeprefix("<").removesuffix(">"), envelope.rcpt_tos, envelope.content)
            )
        if isinstance(behaviour, Cut):
            server.transport.abort()
        elif isinstance(behaviour, Hang):
            await self._closing.wait()
        return "250 taken"

    def _refused(self, phase: str) -> str | None:
        """Return the refusal for this phase, or None when the next instruction is not for it."""
        first = self._instructions[0] if self._instructions else None
        if not isinstance(first, Refuse) or first.phase != phase:
            return None
        self._instructions.popleft()
        self.requests += 1
        return f"{first.status} refused as asked"


def _mail(sender: str, recipients: list[str], content: bytes) -> Received:
    mail = message_from_bytes(content, policy=default_policy)
    assert isinstance(mail, EmailMessage)
    part = mail.get_body(("plain",))
    text = part.get_content() if part is not None else ""
    headers = {name.lower(): str(value) for name, value in mail.items()}
    headers["envelope-recipients"] = ", ".join(recipients)
    files = tuple(
        HeldFile(content_of(each), each.get_filename() or "", each.get_content_type())
        for each in mail.iter_attachments()
    )
    return Received("email", sender, recipients[0], text, headers.get("message-id", ""), headers, files)


def _answer(writer: asyncio.StreamWriter, status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    raw = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} As Asked", "content-type: application/json", f"content-length: {len(raw)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + raw)


def _show(message: Received) -> None:
    line = {"channel": message.channel, "to": message.recipient, "text": message.text, "id": message.native_id}
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()


async def _run(http_port: int, smtp_port: int) -> None:
    async with HttpProvider(_show, port=http_port) as provider, MailRelay(_show, port=smtp_port) as relay:
        sys.stdout.write(json.dumps({"http": provider.url, "smtp": relay.url}) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Run both servers until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m services.cli.local.providers", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--http-port", type=int, default=0, help="0 chooses a free port")
    parser.add_argument("--smtp-port", type=int, default=0, help="0 chooses a free port")
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(options.http_port, options.smtp_port))


if __name__ == "__main__":
    main()
