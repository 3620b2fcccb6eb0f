"""Keys of persons for tests: without Kafka, where each owner has one as soon as a caller asks; and the real ones."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from services.chassis.clock import system_clock
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.chassis.privacy import sealing
from services.chassis.privacy.keyring import Keyring
from services.chassis.privacy.keystore import KeyStore
from services.chassis.privacy.master import MasterKeys
from services.chassis.privacy.sealing import DataKey
from services.chassis.privacy.settings import DEVELOPMENT


class MemoryKeys:
    """Implements `sealing.Keys`; `current` makes what is missing, as long as `makes`."""

    def __init__(self) -> None:
        self.makes = True
        self.by_id: dict[bytes, DataKey] = {}
        self.newest: dict[tuple[str, str], DataKey] = {}

    def find(self, key_id: bytes) -> DataKey | None:
        return self.by_id.get(key_id)

    def current(self, tenant: str, owner: str) -> DataKey | None:
        return self.made(tenant, owner) if self.makes else self.newest.get((tenant, owner))

    def made(self, tenant: str, owner: str) -> DataKey:
        """The owner's key, made if there is none."""
        key = self.newest.get((tenant, owner))
        if key is None:
            key = DataKey(os.urandom(sealing.KEY_ID_BYTES), tenant, owner, sealing.cipher(os.urandom(32)))
            self.by_id[key.key_id] = self.newest[tenant, owner] = key
        return key

    async def ensure(self, tenant: str, owner: str) -> DataKey:
        return self.made(tenant, owner)

    async def existing(self, tenant: str, owner: str) -> DataKey | None:
        return self.newest.get((tenant, owner))

    async def ready(self, values: Iterable[bytes | None]) -> None:
        """Everything is."""

    def destroy(self, tenant: str, *owners: str) -> int:
        """As an erasure does."""
        gone = [key for key in self.by_id.values() if key.tenant == tenant and key.owner in owners]
        for key in gone:
            del self.by_id[key.key_id]
            self.newest.pop((key.tenant, key.owner), None)
        return len(gone)

    def opened(self, record: Any, topic: str, key: bytes) -> Any:
        """The record with its personal fields, as a reader sees it."""
        sealing.unseal(record, self, topic, key)
        return record


@asynccontextmanager
async def a_keyring(
    kafka: KafkaSettings,
    *,
    name: str = "test",
    file: Path | None = None,
    metrics: Metrics | None = None,
    waits: bool = True,
    masters: Sequence[bytes] = (DEVELOPMENT,),
    say: Callable[[bool, str], None] = lambda ready, reason: None,
) -> AsyncIterator[Keyring]:
    """The real thing for the time of the block, caught up, with the master key of development; its store in `file` or nowhere in particular.

    Without `waits` it need not be caught up when the block begins.
    """
    with TemporaryDirectory() as directory, KeyStore(file or Path(directory) / "keys.sqlite3") as store:
        async with DurableProducer(kafka, client_id=f"{name}-keys") as producer:
            keys = Keyring(
                kafka,
                MasterKeys(masters),
                store,
                producer,
                client_id=f"{name}-keys",
                clock=system_clock,
                metrics=metrics or Metrics(),
                say=say,
            )
            following = asyncio.create_task(keys.run())
            try:
                if waits:
                    await keys.first(20)
                yield keys
            finally:
                following.cancel()
                await asyncio.wait({following})
