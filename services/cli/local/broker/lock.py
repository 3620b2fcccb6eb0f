"""The list of jars that the broker consists of: `deploy/kafka/jars.lock.json`, written by `deploy/kafka/relock.py`."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from services.cli.local.broker.errors import BrokerError
from services.cli.local.broker.settings import CHECKOUT

LOCK_FILE = CHECKOUT / "deploy" / "kafka" / "jars.lock.json"


class Jar(BaseModel):
    """One pinned file of a Maven repository."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Path below the repository's base address, and below the cache: group/artifact/version/file.jar."""
    size: Annotated[int, Field(gt=0)]
    """Bytes."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @field_validator("path")
    @classmethod
    def _stays_below(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\\" in value:
            raise ValueError("must be a relative path without '..'")
        return value

    @property
    def name(self) -> str:
        """The file name without directories."""
        return PurePosixPath(self.path).name


class JarLock(BaseModel):
    """The jars of one version of Apache Kafka, each with its size and hash."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka: str
    """Version of Apache Kafka."""
    scala: str
    jars: Annotated[tuple[Jar, ...], Field(min_length=1)]

    @property
    def size(self) -> int:
        """Bytes of all jars in total."""
        return sum(jar.size for jar in self.jars)


def load_lock(path: Path = LOCK_FILE) -> JarLock:
    """Read the lock. Raises BrokerError when the file is missing or is not a lock."""
    try:
        return JarLock.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BrokerError(
            f"The broker's lock file {path} cannot be read ({error.strerror}): restore it from git."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BrokerError(
            f"The broker's lock file {path} is broken at {place} ({first['msg']}): "
            "restore it from git, or write it again with `python deploy/kafka/relock.py`."
        ) from error
