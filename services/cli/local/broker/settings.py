"""Settings of the embedded broker. Services never see these: they get an address (`services.chassis.kafka_settings`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parents[4]
"""The project's directory: the lock and the template are read from its `deploy/kafka`, and its `.chapar` is the default home."""

Memory = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,5}[kmgKMG]$")]


def _default_cache(xdg_cache_home: Path | None) -> Path:
    return (xdg_cache_home or Path.home() / ".cache") / "chapar"


class BrokerSettings(BaseSettings):
    """Environment: CHAPAR_HOME, CHAPAR_CACHE_DIR, CHAPAR_MAVEN_URL, CHAPAR_KAFKA_{HEAP,PORT,FULL_COMPILER}."""

    model_config = SettingsConfigDict(
        frozen=True, env_prefix="CHAPAR_", extra="ignore", populate_by_name=True, use_attribute_docstrings=True
    )

    home: Path = CHECKOUT / ".chapar"
    """Directory of this checkout's own data, ports and logs. The broker's part is `kafka` in it."""

    cache_dir: Path | None = None
    """Directory that all checkouts on this machine share, for jars; without it, `$XDG_CACHE_HOME/chapar` or `~/.cache/chapar`."""

    xdg_cache_home: Annotated[Path | None, Field(validation_alias="XDG_CACHE_HOME")] = None
    """Directory of the user's caches (XDG Base Directory)."""

    maven_url: str = "https://repo1.maven.org/maven2"
    """Base address of Maven Central or of a mirror with the same layout."""

    kafka_heap: Memory | None = None
    """Java's -Xmx. Without it: 512m with at least 8 GB of free memory, 256m with 4 GB, otherwise 160m, which keeps the process below 260 MB."""

    kafka_port: Annotated[int | None, Field(ge=1024, le=65535)] = None
    """Port of the broker; without it, a free port is chosen once and then kept."""

    kafka_full_compiler: bool | None = None
    """Whether Java's second compiler is on as well: slower in the first minute, 1.5 times faster after a long warm-up. Without it: yes with at
    least 4 CPUs."""

    @field_validator("cache_dir", "xdg_cache_home", "kafka_port", "kafka_heap", "kafka_full_compiler", mode="before")
    @classmethod
    def _empty_means_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("maven_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with https:// or http://")
        return value.rstrip("/")

    @property
    def kafka_home(self) -> Path:
        """The directory of the broker's data, ports and log."""
        return self.home.expanduser().absolute() / "kafka"

    @property
    def cache(self) -> Path:
        """The directory of downloaded files."""
        return (self.cache_dir or _default_cache(self.xdg_cache_home)).expanduser().absolute()
