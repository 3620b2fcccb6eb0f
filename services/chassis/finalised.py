"""Reads `formats.v1`: the formats in which lanes may write their changelogs (`changelog_formats`)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from chapar.common.v1.changelog_format_pb2 import ChangelogFormat
from services.chassis.config_reader import ConfigReader
from services.chassis.kafka.changelog_formats import NEWEST, Finalised
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.lifecycle import Service

TOPIC: Final = "formats.v1"


class FinalisedFormats:
    """Implements `Finalised`, from a reader of the topic."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.reader = ConfigReader[int](kafka, format_of, topic=TOPIC)

    def of(self, changelog: str) -> int:
        """See Finalised."""
        return self.reader.get(changelog) or 0


@asynccontextmanager
async def finalised_formats(service: Service[Any]) -> AsyncIterator[Finalised]:
    """Follow the decisions until the block ends; enter the block when all earlier ones are known. Waits while Kafka is away."""
    formats = FinalisedFormats(service.settings.kafka)
    async with service.background(formats.reader.run(), "formats"):
        await formats.reader.first()
        yield formats


def format_of(key: str, value: bytes) -> int:
    """Decode a record of `formats.v1`. Raises ValueError for another changelog's or an impossible format, and protobuf's DecodeError."""
    record = ChangelogFormat.FromString(value)
    if record.changelog != key or not 1 <= record.format <= NEWEST:
        raise ValueError(f"format {record.format} of {record.changelog!r} in the record of {key!r}")
    return record.format
