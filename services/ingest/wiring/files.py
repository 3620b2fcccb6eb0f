"""The part of the composition root that wires the files of customers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from services.chassis.clock import Clock
from services.chassis.metrics import Metrics
from services.chassis.privacy.lanes import AwaitedKeys
from services.chassis.privacy.settings import DEVELOPMENT
from services.chassis.tokens import read_secret
from services.ingest.adapters.edges.thumbnail_process import thumbnail_process
from services.ingest.adapters.edges.thumbnails import Thumbnails
from services.ingest.adapters.files.clamd import Clamd
from services.ingest.adapters.files.links import FileLinks, link_key
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.store import file_store
from services.ingest.adapters.files.uploads import UploadReceipts
from services.ingest.domain.files.policy import FilePolicy
from services.ingest.settings import IngestSettings

_RECEIPT_S: Final = 86_400
"""A page that lost its connection may send a message a day later."""


def kept_files(settings: IngestSettings, keys: AwaitedKeys, metrics: Metrics) -> SealedFiles:
    """Return the files of customers. Raises INVALID FILES_URL."""
    policy = FilePolicy(
        settings.files_max_bytes,
        settings.files_per_message,
        settings.files_message_bytes,
        settings.files_types,
        settings.files_types_refused,
    )
    scanner = Clamd(settings.files_clamd, settings.files_scan_s) if settings.files_clamd else None
    return SealedFiles(file_store(settings.files_url, settings.state_dir, metrics), keys, policy, scanner)


@asynccontextmanager
async def thumbnails(
    settings: IngestSettings, files: SealedFiles, metrics: Metrics
) -> AsyncIterator[Thumbnails | None]:
    """Yield what makes thumbnails until the block ends; None when they are off."""
    if not settings.files_thumbnail_cpu_s:
        yield None
        return
    async with thumbnail_process(settings.files_thumbnail_cpu_s) as process:
        yield Thumbnails(files, process, metrics)


def file_links(settings: IngestSettings, bound: Callable[[], str], clock: Clock) -> FileLinks:
    """Return the links to files, signed with keys that are derived from the master keys of personal data. `bound`: the
    address of the HTTP edge."""
    return FileLinks(
        _keys(settings),
        lambda: settings.files_public_url or f"http://{bound()}",
        clock,
        settings.files_link_s,
    )


def upload_receipts(settings: IngestSettings, clock: Clock) -> UploadReceipts:
    """Return the receipts of uploads, signed like the links."""
    return UploadReceipts(_keys(settings), clock, _RECEIPT_S)


def _keys(settings: IngestSettings) -> list[bytes]:
    secrets = [read_secret(file) for file in settings.personal.key_files] or [DEVELOPMENT]
    return [link_key(secret) for secret in secrets]
