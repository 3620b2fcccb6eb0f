"""The part of the composition root that wires history."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.producer import DurableProducer
from services.chassis.lifecycle import Service
from services.chassis.privacy.lanes import AwaitedKeys
from services.ingest.adapters.history.audit_reader import AuditReader
from services.ingest.adapters.history.block_reader import BlockReader
from services.ingest.adapters.history.database import VARIABLE, Database, database_url
from services.ingest.adapters.history.erasure_reports import erasure_reports
from services.ingest.adapters.history.history import History, HistoryReads
from services.ingest.adapters.history.projection import Pace
from services.ingest.adapters.history.reader import HistoryReader
from services.ingest.domain.reasons import Reason
from services.ingest.settings import IngestSettings


@dataclass(frozen=True, slots=True)
class KeptHistory:
    """What the edges read of history. `name`: the name under which its projection reports erasures."""

    reader: HistoryReader
    audit: AuditReader
    blocks: BlockReader
    name: str


@asynccontextmanager
async def history(
    service: Service[IngestSettings], keys: AwaitedKeys, producer: DurableProducer
) -> AsyncIterator[KeptHistory]:
    """Provide history for the time of the block: readable at once, and written here if this process has that role.

    Raises INVALID DATABASE_URL when the processes of the roles would have different databases.
    """
    settings, kafka = service.settings, service.settings.kafka
    # Platforms set DATABASE_URL for every process, so it does not have our prefix.
    shared = bool(settings.database_url or os.environ.get(VARIABLE))
    if not shared and settings.role != "all":
        raise ChaparError(
            ErrorKind.INVALID,
            Reason.DATABASE_URL,
            f"the roles edge and history share history's database: set CHAPAR_INGEST_DATABASE_URL or {VARIABLE}, "
            "or CHAPAR_INGEST_HISTORY=false for edges without history.",
        )
    url = database_url(
        settings.database_url, os.environ, settings.state_dir, f"{kafka.topic_prefix}{settings.instance}"
    )
    # Whichever process writes a shared database reports for all of them.
    name = "history" if shared else f"history@{settings.instance}"
    if not settings.runs("history"):
        async with HistoryReads(Database(url)) as reads:
            yield KeptHistory(reads.reader, reads.audit, reads.blocks, name)
        return
    async with (
        History(
            kafka,
            Database(url),
            service.metrics,
            service.health.component("history"),
            client_id=f"ingest-history@{settings.instance}",
            keys=keys,
            erased=erasure_reports(producer, name, service.clock),
            pace=Pace(settings.history_fetch_s, settings.history_commit_s, settings.history_commit_records),
        ) as found,
        service.background(found.run(), "history"),
        service.background(
            found.retention(settings.history_days, settings.audit_days, service.clock).run(), "history's retention"
        ),
    ):
        yield KeptHistory(found.reader, found.audit, found.blocks, name)
