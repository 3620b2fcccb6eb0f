"""The part of the composition root that wires the fetching of files from providers."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from services.chassis.kafka.consumer import GroupConsumer, Handler
from services.chassis.kafka.contract import LaneMetrics
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import DurableProducer
from services.chassis.lifecycle import Service
from services.chassis.outgoing import CallLimits, Outgoing
from services.chassis.pinned import pinned_client
from services.chassis.privacy.lanes import AwaitedKeys
from services.ingest.adapters.files.fetcher import AGAIN_GROUP, FETCHES, GROUP, WAITING_FETCHES, Fetcher
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.sources import TelegramFiles, WhatsAppFiles
from services.ingest.ports import Secrets
from services.ingest.settings import IngestSettings
from services.policy.model.intake import Policies

_SILENT_S: Final = 10.0
"""A provider that sends nothing for this time is away."""
_LIMITS: Final = CallLimits(call_s=60.0, place_s=20.0, of_tenant=16, of_host=8)
_BATCH: Final = 20

Made = Callable[[Callable[[bool], None]], GroupConsumer]
"""Makes a member of a group; the argument learns whether it has joined."""


@asynccontextmanager
async def fetching(
    service: Service[IngestSettings],
    policies: Policies,
    secrets: Secrets,
    producer: DurableProducer,
    keys: AwaitedKeys,
    files: SealedFiles,
    metrics: LaneMetrics,
) -> AsyncIterator[Mapping[str, Made]]:
    """Yield the members that fetch files, by name; on exit the connections to the providers are closed."""
    settings = service.settings
    client = pinned_client(settings.destinations, timeout_s=_SILENT_S, connections=100)
    async with Outgoing(client, _LIMITS) as http:
        fetcher = Fetcher(
            files,
            {"telegram": TelegramFiles(http), "whatsapp": WhatsAppFiles(http)},
            policies,
            secrets,
            producer,
            keys,
            service.metrics,
            clock=service.clock,
        )

        def member(group: str, topic: str, handler: Handler) -> Made:
            def made(on_joined: Callable[[bool], None]) -> GroupConsumer:
                return GroupConsumer(
                    settings.kafka,
                    group=group,
                    topics=(topic,),
                    handler=handler,
                    client_id=f"ingest@{settings.instance}",
                    poison=Poison(group, service.metrics, producer=producer, clock=service.clock),
                    max_batch=_BATCH,
                    metrics=metrics,
                    on_joined=on_joined,
                    clock=service.clock,
                )

            return made

        yield {
            "fetcher": member(GROUP, FETCHES, fetcher.first),
            "fetcher again": member(AGAIN_GROUP, WAITING_FETCHES, fetcher.again),
        }
