"""The part of the composition root that wires the files of customers."""

from services.chassis.metrics import Metrics
from services.chassis.privacy.lanes import AwaitedKeys
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
