"""Webhook requests a second, each with a file of 10 KB that the edge stores on this machine's disk, compared with the
bare server of `edge_vs_bare`, which appends the same bodies to the log.

    KAFKA_BOOTSTRAP_SERVERS=… python -m tests.bench.edge_with_files [seconds a round]

Prints `figure edge_with_files_vs_bare <v> ratio goal >=0.4`.
"""

import base64
import os
import sys
from typing import Final

import uvloop

from tests.bench.edge_vs_bare import compare, report, signed_request

GOAL: Final = 0.4
_FILE: Final = base64.b64encode(b"%PDF-1.7\n" + os.urandom(10_231)).decode()


def with_file(path: str, number: int) -> bytes:
    """Return one complete HTTP request with a file."""
    return signed_request(path, number, files=[{"name": "invoice.pdf", "content": _FILE}])


async def main(seconds: float) -> None:
    """Print the figure."""
    report("edge_with_files_vs_bare", GOAL, *await compare(seconds, with_file, 3_000))


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 4.0))
