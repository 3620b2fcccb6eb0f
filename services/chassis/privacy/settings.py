"""Settings of processes that seal or open personal data: `personal` in a service's settings, and the objects built from them."""

import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.producer import DurableProducer
from services.chassis.lifecycle import Service
from services.chassis.logs import get_logger
from services.chassis.privacy.keyring import Keyring
from services.chassis.privacy.keystore import KeyStore
from services.chassis.privacy.master import MasterKeys
from services.chassis.privacy.rewrap import Rewrapping
from services.chassis.reasons import Reason
from services.chassis.tokens import read_secret

DEVELOPMENT: Final = b"development only: this master key protects nothing, it is in the source"


class PersonalSettings(BaseModel):
    """Settings for the protection of personal data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_files: tuple[Path, ...] = Field(
        default=(),
        description="Files with master keys of personal data, at least 32 bytes each: the first wraps, all unwrap.",
    )
    keys_dir: Path | None = Field(
        default=None,
        description="Directory of the persons' wrapped keys, so that a restart need not read all of them; empty: a temporary directory.",
    )


class WithPersonal(Protocol):
    """Settings that include `personal`."""

    @property
    def personal(self) -> PersonalSettings: ...
    @property
    def insecure_dev(self) -> bool: ...
    @property
    def instance(self) -> str: ...


def master_keys(settings: WithPersonal) -> MasterKeys:
    """Return the master keys. Raises INVALID NO_MASTER_KEY; in development without a file, returns one that protects nothing."""
    files = settings.personal.key_files
    if files:
        return MasterKeys([read_secret(file) for file in files])
    if settings.insecure_dev:
        get_logger(__name__).warning("personal data is sealed with the development key: set personal.key_files")
        return MasterKeys([DEVELOPMENT])
    raise ChaparError(
        ErrorKind.INVALID,
        Reason.NO_MASTER_KEY,
        "personal data needs a master key: set personal.key_files (the same file in ingest, router and feedback)",
    )


@asynccontextmanager
async def keyring(service: Service, name: str, *, rewraps: bool = False) -> AsyncIterator[Keyring]:  # type: ignore[type-arg]  # of any settings with `personal`
    """Yield the keys of persons for the time of the block, read to the end of their topic before it begins, without a time limit.

    `rewraps`: this process wraps them again after a change of the master key.
    """
    settings = service.settings
    kafka, personal = settings.kafka, settings.personal
    masters = master_keys(settings)
    async with AsyncExitStack() as stack:
        temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="chapar-keys-"))
        directory = personal.keys_dir or Path(temporary)
        file = re.sub(r"[^A-Za-z0-9._-]", "_", f"personal-keys-{kafka.topic_prefix}{settings.instance}.sqlite3")
        client_id = f"{name}-keys@{settings.instance}"
        store = stack.enter_context(KeyStore(directory / file))
        producer = await stack.enter_async_context(DurableProducer(kafka, client_id=client_id))
        keys = Keyring(
            kafka,
            masters,
            store,
            producer,
            client_id=client_id,
            clock=service.clock,
            metrics=service.metrics,
            say=service.health.component("personal keys").set,
        )
        await stack.enter_async_context(service.background(keys.run(), "personal keys"))
        await keys.first()
        if rewraps:
            rewrapping = Rewrapping(keys, service.metrics)
            await stack.enter_async_context(service.background(rewrapping.run(), "wrapping keys again"))
        yield keys
