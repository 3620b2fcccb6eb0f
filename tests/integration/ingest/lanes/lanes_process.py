"""Runs only the lanes and the relay of ingest in a process, so that a test can kill it: `python -m … BOOTSTRAP PREFIX
CONFIGURATION_FILE INSTANCE BATCHES`.

Prints "ready" when every partition is live; ends in order on SIGTERM. It kills itself after the relay has published the
batch of this number, before the offsets are committed; 0 is never.
"""

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from chapar.config.v1 import config_pb2
from services.chassis.clock import system_clock
from services.chassis.destinations import DEVELOPMENT
from services.chassis.kafka.batch_publisher import BatchPublisher
from services.chassis.kafka.lane import NO_METRICS, LaneTuning
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.relay import Relay
from services.chassis.kafka.writer import Writer
from services.chassis.metrics import Metrics
from services.chassis.secrets import SecretReferences
from services.ingest.adapters.edges.accounts import AccountSecrets
from services.ingest.adapters.out.client import ChannelClient
from services.ingest.adapters.out.email_out import EmailClient
from services.ingest.adapters.out.http import provider_client
from services.ingest.adapters.out.telegram import TelegramClient
from services.ingest.adapters.out.webhook_out import WebhookClient
from services.ingest.adapters.out.whatsapp import WhatsAppClient
from services.ingest.adapters.out.worker import AttemptWorker
from services.ingest.domain.deliveries import SenderLimits
from services.ingest.lanes import relay
from services.ingest.lanes.intake_runner import intake_lane
from services.ingest.lanes.policies import CompiledPolicies
from services.ingest.lanes.sender_runner import sender_lane
from services.ingest.metrics import METRICS
from services.policy.reading.rule_conditions import CelConditions
from tests.contract.relay.worker import SelfHarm
from tests.fakes.privacy import a_keyring
from tests.fixtures.broker import plain_settings
from tests.integration.ingest.lanes.builders import VARIABLES, no_files

TUNING = LaneTuning(session_timeout_ms=6_000, heartbeat_interval_ms=500)
LIMITS = SenderLimits(orphan_grace_ms=1_500, first_halt_ms=1_000)


async def main(
    bootstrap: str, prefix: str, configuration: config_pb2.TenantConfiguration, instance: str, batches: int
) -> None:
    """Run until SIGTERM."""
    kafka = plain_settings(bootstrap, prefix)
    policies = CompiledPolicies(lambda: {configuration.tenant: configuration}, CelConditions)
    metrics = Metrics(METRICS, CollectorRegistry(auto_describe=True))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(provider_client(DEVELOPMENT, timeout_s=2.0))
        producer = await stack.enter_async_context(DurableProducer(kafka, client_id=f"attempts@{instance}"))
        keys = await stack.enter_async_context(a_keyring(kafka, name=instance))
        clients: dict[str, ChannelClient] = {
            "telegram": TelegramClient(http),
            "whatsapp": WhatsAppClient(http),
            "webhook": WebhookClient(http),
            "email": EmailClient(DEVELOPMENT, timeout_s=2.0),
        }
        attempts = AttemptWorker(
            clients,
            policies,
            AccountSecrets(SecretReferences(system_clock, env=VARIABLES)),
            partial(producer.publish, "outbound.v1"),
            metrics,
            keys,
            clock=system_clock,
            attached=no_files(),
            grace_s=3.0,
        )
        writer = await stack.enter_async_context(Writer(kafka, service="ingest"))
        runners = (
            intake_lane(
                kafka,
                policies,
                metrics,
                keys,
                writer=writer,
                clock=system_clock,
                client_id=instance,
                lane_metrics=NO_METRICS,
                tuning=TUNING,
            ),
            sender_lane(
                kafka,
                attempts,
                metrics,
                keys,
                policies,
                writer=writer,
                clock=system_clock,
                client_id=instance,
                lane_metrics=NO_METRICS,
                limits=LIMITS,
                tuning=TUNING,
            ),
        )
        notices = Relay(
            relay.SPEC,
            relay.notice_of,
            kafka,
            await stack.enter_async_context(BatchPublisher(kafka, client_id=instance, clock=system_clock)),
            Poison(relay.SPEC.name, metrics, producer=producer, clock=system_clock),
            client_id=instance,
            clock=system_clock,
            metrics=NO_METRICS,
            fault=SelfHarm(batches) if batches else None,
        )
        async with asyncio.TaskGroup() as working:
            working.create_task(attempts.run())
            async with asyncio.TaskGroup() as lanes:
                lanes.create_task(notices.run())
                for runner in runners:
                    lanes.create_task(runner.run())
                for runner in runners:
                    await runner.wait_restored()
                sys.stdout.write("ready\n")
                sys.stdout.flush()
                await stop.wait()
                notices.stop()
                for runner in runners:
                    runner.stop()
            attempts.stop()


if __name__ == "__main__":
    servers, topics, file, name, number = sys.argv[1:]
    configured = config_pb2.TenantConfiguration.FromString(Path(file).read_bytes())
    asyncio.run(main(servers, topics, configured, name, int(number)))
