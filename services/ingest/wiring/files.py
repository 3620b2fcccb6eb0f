"""The part of the composition root that wires the files of customers."""

from collections.abc import Callable

from services.chassis.clock import Clock
from services.chassis.metrics import Metrics
from services.chassis.privacy.lanes import AwaitedKeys
from services.chassis.privacy.settings import DEVELOPMENT
from services.chassis.tokens import read_secret
from services.ingest.adapters.files.links import FileLinks, link_key
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.store import file_store
from services.ingest.domain.files.policy import FilePolicy
from services.ingest.settings import IngestSettings


def kept_files(settings: IngestSettings, keys: AwaitedKeys, metrics: Metrics) -> SealedFiles:
    """Return the files of customers. Raises INVALID FILES_URL."""
    policy = FilePolicy(
        settings.files_max_bytes,
        settings.files_per_message,
        settings.files_message_bytes,
        settings.files_types,
        settings.files_types_refused,
    )
    return SealedFiles(file_store(settings.files_url, settings.state_dir, metrics), keys, policy)


def file_links(settings: IngestSettings, bound: Callable[[], str], clock: Clock) -> FileLinks:
    """Return the links to files, signed with keys that are derived from the master keys of personal data. `bound`: the
    address of the HTTP edge."""
    secrets = [read_secret(file) for file in settings.personal.key_files] or [DEVELOPMENT]
    return FileLinks(
        [link_key(secret) for secret in secrets],
        lambda: settings.files_public_url or f"http://{bound()}",
        clock,
        settings.files_link_s,
    )
