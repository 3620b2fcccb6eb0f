"""The process that verifies DKIM signatures by dkimpy, whose canonicalisation takes time that grows with the square of some hostile mails.

As `mail_worker`: one at a time, each within its own CPU time, ended by the kernel when that is used up. It sees a mail and a public key,
looks nothing up, and has no secrets.
"""

import logging
import sys
from typing import BinaryIO

import dkim
import msgspec

from services.ingest.adapters.edges.mail_worker import LENGTH_BYTES, allow_cpu, limited, send


class Signature(msgspec.Struct, frozen=True, array_like=True):
    """A mail, which of its signatures, the TXT record of its key, and the CPU seconds that this may cost."""

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
    """Whether it does. Whatever dkimpy raises, for want of memory too, is a mail that proves nothing."""
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
    """Limits, then work."""
    limited()
    logging.getLogger("dkimpy").setLevel(logging.CRITICAL)  # it narrates what senders wrote
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
