"""The process that verifies DKIM signatures with dkimpy, whose canonicalisation takes quadratic time for some hostile
mails.

It works as `mail_worker`: one signature at a time, each with its own limit of CPU time, after which the kernel ends the
process. It gets a mail and a public key, makes no look-ups, and has no secrets.
"""

import logging
import sys

import dkim
import msgspec

from services.ingest.adapters.edges.worker_side import allow_cpu, limited, serve


class Signature(msgspec.Struct, frozen=True, array_like=True):
    """A mail, the index of the signature, the TXT record of its key, and the limit in CPU seconds."""

    raw: bytes
    index: int
    key: bytes
    cpu_s: float


_signatures = msgspec.msgpack.Decoder(Signature)
YES = b"1"
NO = b"0"


def answer(raw: bytes) -> bytes:
    """Return YES or NO for an encoded signature."""
    return YES if holds(_signatures.decode(raw)) else NO


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
    serve(sys.stdin.buffer, sys.stdout.buffer, answer)


if __name__ == "__main__":
    main()
