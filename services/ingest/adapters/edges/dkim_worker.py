"""The process that verifies DKIM signatures with dkimpy, whose canonicalisation takes quadratic time for some hostile
mails.

It works as `mail_worker`: one signature at a time, each with its own limit of CPU time, after which the kernel ends the
process. It gets a mail and a public key, makes no look-ups, and has no secrets.
"""

import logging
import sys
from typing import BinaryIO

import dkim
import msgspec

from services.ingest.adapters.edges.worker_side import LENGTH_BYTES, allow_cpu, limited, send


class Signature(msgspec.Struct, frozen=True, array_like=True):
    """A mail, the index of the signature, the TXT record of its key, and the limit in CPU seconds."""

    raw: bytes
    index: int
    key: bytes
    cpu_s: float


_signatures = msgspec.msgpack.Decoder(Signature)
YES = b"1"
NO = b"0"


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Answer requests until the input ends."""
    send(target, b"")
    while header := source.read(LENGTH_BYTES):
        send(target, YES if holds(_signatures.decode(source.read(int.from_bytes(header)))) else NO)


def holds(signature: Signature) -> bool:
    """Return whether the signature is valid. Any exception of dkimpy, MemoryError included, means that the mail proves
    nothing."""
    allow_cpu(signature.cpu_s)
    try:
        verifier = dkim.DKIM(minkey=1024)
        verifier.set_message(signature.raw)
        return bool(verifier.verify(idx=signature.index, dnsfunc=lambda _name, timeout=5: signature.key))
    except Exception:  # noqa: BLE001 - see above
        return False
    finally:
        allow_cpu(0)


def main() -> None:
    """Set the limits, then serve."""
    limited()
    logging.getLogger("dkimpy").setLevel(logging.CRITICAL)  # it logs what senders wrote
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
