"""The process that reads mails: one at a time, each with its own limit of CPU time, all within a memory limit.

    request: 4 bytes of length, then a Request       reply: 4 bytes of length, then a Reply; the first one is empty:
    ready

If a mail uses more CPU time than allowed, the kernel ends the process (SIGPROF; no handler, so that it works inside C
code too). The process has no secrets, writes no files, and ends when its input ends, however its parent ended.
"""

import sys

import msgspec

from services.ingest.adapters.edges.worker_side import allow_cpu, limited, serve
from services.ingest.domain.normalise.mail.mail import read_mail
from services.ingest.domain.normalise.message import IncomingMessage


class Request(msgspec.Struct, frozen=True, array_like=True):
    """A mail, its envelope, the limit in CPU seconds, and the account's language."""

    raw: bytes
    envelope_from: str
    recipient: str
    own_domain: str
    cpu_s: float
    language: str = ""


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """The message; or None with the kind of error, when the mail can't be read."""

    message: IncomingMessage | None
    error: str = ""


_requests = msgspec.msgpack.Decoder(Request)


def answer(raw: bytes) -> bytes:
    """Return the reply to an encoded request."""
    request = _requests.decode(raw)
    allow_cpu(request.cpu_s)
    reply = _answer(request)
    allow_cpu(0)
    return msgspec.msgpack.encode(reply)


def _answer(request: Request) -> Reply:
    try:
        return Reply(
            read_mail(request.raw, request.envelope_from, request.recipient, request.own_domain, request.language)
        )
    except Exception as error:  # noqa: BLE001 - a fault of the reader, or no memory: the mail is kept as its bytes, and it is counted
        return Reply(None, type(error).__name__)


def main() -> None:
    """Set the limits, then serve."""
    limited()
    serve(sys.stdin.buffer, sys.stdout.buffer, answer)


if __name__ == "__main__":
    main()
