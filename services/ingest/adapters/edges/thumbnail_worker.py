"""The process that makes small images: one at a time, each with its own limit of CPU time, within a memory limit.

It works as `mail_worker`: it has no secrets, opens no files, and ends when its input ends. An image that uses up its CPU
time ends the process; one that needs more memory gets an error from the library.
"""

import sys
import warnings
from typing import Final

import msgspec

from services.ingest.adapters.edges.worker_side import allow_cpu, limited, serve
from services.ingest.adapters.files.small_image import SmallImage, small_image

MEMORY_BYTES: Final = 384 << 20


class Request(msgspec.Struct, frozen=True, array_like=True):
    """An image, and the limit in CPU seconds."""

    content: bytes
    cpu_s: float


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """The small image; or None with the kind of error, when there can't be one."""

    image: SmallImage | None
    error: str = ""


_requests = msgspec.msgpack.Decoder(Request)


def encoded_answer(raw: bytes) -> bytes:
    """Return the reply to an encoded request."""
    return msgspec.msgpack.encode(answer(_requests.decode(raw)))


def answer(request: Request) -> Reply:
    """Return the small image. Any exception of the library, MemoryError included, means that there is none."""
    allow_cpu(request.cpu_s)
    try:
        return Reply(small_image(request.content))
    except Exception as error:  # noqa: BLE001 - see above
        return Reply(None, type(error).__name__)
    finally:
        allow_cpu(0)


def main() -> None:
    """Set the limits, then serve."""
    limited(MEMORY_BYTES)
    warnings.simplefilter("ignore")  # the texts of warnings are from the images
    serve(sys.stdin.buffer, sys.stdout.buffer, encoded_answer)


if __name__ == "__main__":
    main()
