"""The keys of persons, for commands that read messages from the log. They need this copy's master key, so they work in development only."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.chassis.clock import system_clock
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.chassis.privacy.keyring import Keyring
from services.chassis.privacy.keystore import KeyStore
from services.chassis.privacy.master import MasterKeys
from services.chassis.tokens import read_secret
from services.cli.local.workspace import Workspace

_FIRST_S = 30.0


@asynccontextmanager
async def keys_of(workspace: Workspace, kafka: KafkaSettings) -> AsyncIterator[Keyring]:
    """Provide the keys for the duration of the block; their topic has been read to its end."""
    masters = MasterKeys([read_secret(workspace.personal_key)])
    with (
        tempfile.TemporaryDirectory(prefix="chapar-keys-") as directory,
        KeyStore(Path(directory) / "keys.sqlite3") as store,
    ):
        async with DurableProducer(kafka, client_id="cli-keys") as producer:
            keys = Keyring(kafka, masters, store, producer, client_id="cli-keys", clock=system_clock, metrics=Metrics())
            following = asyncio.create_task(keys.run())
            try:
                await keys.first(_FIRST_S)
                yield keys
            finally:
                following.cancel()
                await asyncio.wait({following})
