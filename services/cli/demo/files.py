"""The files of the demo: some customers send one with their first message, and some replies have one."""

from __future__ import annotations

from chapar.common.v1.types_pb2 import SentFile
from chapar.ingest.v1 import ingest_pb2_grpc
from services.cli.local.provider_files import HeldFile
from services.cli.upload import uploaded

CARRIES = frozenset({"webchat", "telegram", "whatsapp", "email"})
"""Channels on which an agent's file arrives at the customer's end."""
GIVES = CARRIES | {"webhook", "grpc"}
"""Channels on which customers send files."""
EVERY = 3
"""One message or reply of this number has a file, and the first reply on each of the channels."""


def a_file(mark: str) -> HeldFile:
    """Return a small document whose name has the mark of its message."""
    name = f"{mark.removeprefix('#')}.pdf"
    return HeldFile(b"%PDF-1.4\n% a document of the demo: " + name.encode() + b"\n" * 2_000, name, "application/pdf")


async def uploaded_file(outbound: ingest_pb2_grpc.OutboundServiceAsyncStub, interaction_id: str, mark: str) -> SentFile:
    """Upload a file for a reply. Raises AioRpcError."""
    file = a_file(mark)
    return await uploaded(outbound, interaction_id, file.name, file.content, mark)
