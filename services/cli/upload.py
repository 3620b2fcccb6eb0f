"""Uploads a file that an agent sends with a reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from chapar.common.v1.types_pb2 import SentFile
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc

_CHUNK_BYTES: Final = 128 << 10


async def uploaded(
    outbound: ingest_pb2_grpc.OutboundServiceAsyncStub, interaction_id: str, name: str, content: bytes, key: str
) -> SentFile:
    """Upload a file for an interaction; the result goes into the reply. Raises AioRpcError with the reason."""

    async def requests() -> AsyncIterator[ingest_pb2.UploadFileRequest]:
        head = ingest_pb2.UploadHead(idempotency_key=key, interaction_id=interaction_id, name=name)
        yield ingest_pb2.UploadFileRequest(head=head)
        for at in range(0, len(content), _CHUNK_BYTES):
            yield ingest_pb2.UploadFileRequest(chunk=content[at : at + _CHUNK_BYTES])

    return (await outbound.UploadFile(requests())).file


async def read(path: str) -> tuple[str, bytes]:
    """Return the name and the bytes of a file of this machine. Raises OSError."""
    return await asyncio.to_thread(_read, path)


def _read(path: str) -> tuple[str, bytes]:
    file = Path(path).expanduser()
    return file.name, file.read_bytes()
