"""The parts that all runs of a campaign share, and those of one run: broker, proxies, providers, services, agents, customers."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
from aiokafka import TopicPartition

from services.chassis.clock import system_clock
from services.chassis.grpc.client import grpc_channel
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.privacy.lanes import AwaitedKeys
from services.cli.config import publishing
from services.cli.connection import tokens_for
from services.cli.demo.customers import World
from services.cli.local.broker.embedded import EmbeddedBroker
from services.cli.local.broker.ports import free_port
from services.cli.local.broker.properties import TEMPLATE
from services.cli.local.broker.settings import BrokerSettings
from services.cli.local.kept_secrets import WEBHOOK_SECRET
from services.cli.local.personal import keys_of
from services.cli.local.providers import HttpProvider, MailRelay, Received
from services.cli.local.stack import Stack, StackOptions, read_config, running_stack, service_of
from services.cli.local.workspace import Workspace
from tests.chaos.campaign.desks import staff
from tests.chaos.campaign.observed import Letterbox, Observed
from tests.chaos.campaign.proxy import Proxy
from tests.chaos.campaign.tenants import AGENTS, BANK_SECRETS, BANK_WEBHOOK_SECRET, configuration
from tests.chaos.campaign.traffic import Crowd
from tests.chaos.campaign.version_before import version_before
from tests.chaos.history.model import LogRecord
from tests.fixtures.second_address import with_second_address

HOOK = Path(__file__).parent / "hook"


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a run. `upgraded`: they begin as the version before, and a second replica of each lane runs."""

    upgraded: bool = False

    def options(self) -> dict[str, Any]:
        """Return the part of StackOptions. Builds the version before when it is missing."""
        if not self.upgraded:
            return {"routers": 2}
        return {"routers": 2, "ingests": 2, "slas": 2, "feedbacks": 2, "program": version_before()}

    @property
    def of_service(self) -> Mapping[str, Mapping[str, str]]:
        """Variables of single processes."""
        # Customers use the edges of the first one, whose history must be whole.
        return {"ingest-2": {"CHAPAR_INGEST_ROLE": "lanes"}} if self.upgraded else {}


USUAL: Final = Processes()


@dataclass(frozen=True, slots=True)
class Stage:
    """What the runs share. Services reach the broker through `network`; the campaign itself does not."""

    broker: EmbeddedBroker
    network: Proxy
    home: Path

    @property
    def direct(self) -> str:
        """The broker's own address."""
        return self.broker.bootstrap


@asynccontextmanager
async def a_stage(parent: Path | None = None) -> AsyncIterator[Stage]:
    """Run a broker of its own behind a proxy. `parent`: the directory for its data."""
    behind = free_port()
    with tempfile.TemporaryDirectory(prefix="chapar-chaos-", dir=parent) as folder:
        async with Proxy(behind) as network:
            template = Path(folder) / "server.properties"
            template.write_text(with_second_address(TEMPLATE.read_text(), behind, network.port))
            settings = BrokerSettings(home=Path(folder) / "broker")
            async with EmbeddedBroker(settings, template=template, say=print) as broker:
                yield Stage(broker, network, Path(folder))


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything of one run that a fault may spoil."""

    run: str
    """Unique, in the names of its topics and in all marks."""
    stage: Stage
    stack: Stack
    edges: Mapping[str, Proxy]
    """Between customers or agents and the services: "http", "smtp", "grpc", "router", "router-2"."""
    providers: Proxy
    """Between the sender and the providers' HTTP interfaces."""
    relay: Proxy
    """Between the sender and the mail relay."""
    provider: HttpProvider
    crowd: Crowd
    observed: Observed
    keys: AwaitedKeys
    channels: Mapping[str, grpc.aio.Channel]
    """A channel to the router for each tenant."""
    chance: random.Random
    say: Callable[[str], None]
    clocks: Path
    """The directory of the clock files: `<service>.clock`."""
    injected: set[tuple[str, int, int]] = field(default_factory=set)
    before: dict[tuple[str, int, int], LogRecord] = field(default_factory=dict)
    """Records that a strike read before it took them out of their topics."""
    lost: set[tuple[str, int, int]] = field(default_factory=set)
    """Places of those that no lane had handled."""
    deleted: dict[TopicPartition, int] = field(default_factory=dict)
    """The first offset that a strike left in each partition whose old records it deleted."""

    @property
    def direct(self) -> KafkaSettings:
        """The cluster, without the proxy."""
        return self.stack.kafka.model_copy(update={"bootstrap_servers": self.stage.direct})


@asynccontextmanager
async def a_scene(
    stage: Stage,
    seed: int,
    of_service: Mapping[str, Mapping[str, str]],
    say: Callable[[str], None],
    processes: Processes = USUAL,
) -> AsyncIterator[Scene]:
    """Run the product with its agents until the block ends. `of_service`: variables of the processes of each service."""
    run = secrets.token_hex(3)
    observed = Observed()
    boxes = {tenant: Letterbox(tenant, observed) for tenant in AGENTS}

    def arrived(message: Received) -> None:
        boxes["demo"].arrived(message.channel, message.recipient, message.text)

    with tempfile.TemporaryDirectory(prefix="run-", dir=stage.home) as folder:
        workspace = Workspace(Path(folder))
        async with AsyncExitStack() as exits:
            provider = await exits.enter_async_context(HttpProvider(arrived))
            relay = await exits.enter_async_context(MailRelay(arrived))
            providers = await exits.enter_async_context(Proxy(provider.port))
            mail = await exits.enter_async_context(Proxy(relay.port))
            stack = await exits.enter_async_context(
                _running(stage, workspace, providers, mail, of_service, f"chaos-{run}.", processes)
            )
            edges = {
                name: await exits.enter_async_context(Proxy(int(address.rpartition(":")[2])))
                for name, address in _edges(stack).items()
            }

            def tokens(tenant: str, agent_id: str = "") -> Callable[[], str]:
                return tokens_for(workspace, tenant, agent_id=agent_id)

            worlds = await _worlds(exits, workspace, edges, boxes, tokens, run)
            keys = await exits.enter_async_context(
                keys_of(workspace, stack.kafka.model_copy(update={"bootstrap_servers": stage.direct}))
            )
            channels = {tenant: await _channel(exits, edges["router"].address, tokens(tenant)) for tenant in AGENTS}
            routers = [edges[name].address for name in edges if service_of(name) == "router"]
            everyone = [(tenant, agent) for tenant, agents in AGENTS.items() for agent in agents]
            await exits.enter_async_context(staff(routers, tokens, everyone, run, observed))
            crowd = Crowd(worlds, run, observed, seed)
            yield Scene(
                run, stage, stack, edges, providers, mail, provider, crowd, observed, keys, channels,
                random.Random(seed), say, workspace.directory("clocks"),
            )  # fmt: skip


@asynccontextmanager
async def _running(
    stage: Stage,
    workspace: Workspace,
    providers: Proxy,
    mail: Proxy,
    of_service: Mapping[str, Mapping[str, str]],
    prefix: str,
    processes: Processes,
) -> AsyncIterator[Stack]:
    os.environ["KAFKA_BOOTSTRAP_SERVERS"] = stage.network.address  # where `running_stack` looks
    environment = {
        "CHAPAR_SECRET_DEMO__TELEGRAM_URL": f"http://{providers.address}",
        "CHAPAR_SECRET_DEMO__WHATSAPP_URL": f"http://{providers.address}",
        "CHAPAR_SECRET_DEMO__SMTP_URL": f"smtp://{mail.address}",
        **BANK_SECRETS,
        "PYTHONPATH": str(HOOK),
    }
    files = {tenant: workspace.directory("config") / f"{tenant}.yaml" for tenant in AGENTS}
    for tenant, file in files.items():
        file.write_text(configuration(tenant))
    clocks = workspace.directory("clocks")
    of_service = {
        service: {name: value.replace("{run}", str(workspace.home)) for name, value in variables.items()}
        for service, variables in of_service.items()
    }
    for service in of_service:
        (clocks / f"{service}.clock").write_text("+0")
    options = StackOptions(
        config=files["demo"],
        environment=environment,
        of_service={**of_service, **processes.of_service},
        topic_prefix=prefix,
        **await asyncio.to_thread(processes.options),
    )
    async with running_stack(workspace, options, lambda text: None) as stack:
        await publishing.apply(stack.kafka, read_config(files["bank"]).configuration, system_clock)
        yield stack


def _edges(stack: Stack) -> dict[str, str]:
    ingest = stack.running.endpoints["ingest"]
    routers = {name: each["grpc"] for name, each in stack.running.endpoints.items() if service_of(name) == "router"}
    return {"http": ingest["http"], "smtp": ingest["smtp"], "grpc": ingest["grpc"], **routers}


async def _channel(exits: AsyncExitStack, address: str, token: Callable[[], str]) -> grpc.aio.Channel:
    return await exits.enter_async_context(grpc_channel(address, token=lambda _tenant: token()))


async def _worlds(
    exits: AsyncExitStack,
    workspace: Workspace,
    edges: Mapping[str, Proxy],
    boxes: Mapping[str, Letterbox],
    tokens: Callable[..., Callable[[], str]],
    run: str,
) -> dict[str, World]:
    client = await exits.enter_async_context(httpx.AsyncClient(timeout=10, limits=httpx.Limits(max_connections=100)))
    secrets_of: dict[str, dict[str, str]] = {
        "demo": workspace.demo_secrets(),
        "bank": {WEBHOOK_SECRET: BANK_WEBHOOK_SECRET},
    }
    numbers = itertools.count(1)
    worlds: dict[str, Any] = {}
    for tenant in AGENTS:
        worlds[tenant] = World(
            tenant=tenant,
            http=edges["http"].address,
            smtp=edges["smtp"].address,
            grpc=await _channel(exits, edges["grpc"].address, tokens(tenant)),
            secrets=secrets_of[tenant],
            client=client,
            mailbox=boxes[tenant],
            sent=boxes[tenant].sent,
            run=f"{run}-{tenant}",
            marks=lambda: next(numbers),
            said_all=lambda: None,
            curtain=asyncio.Event(),
        )
    return worlds
