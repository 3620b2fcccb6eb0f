"""The installation whose alerts are provoked: the real services, their broker behind a proxy, a provider of channels, and customers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from services.chassis.clock import system_clock
from services.chassis.kafka_settings import KafkaSettings
from services.cli.config import publishing
from services.cli.connection import channel_to
from services.cli.demo.channels import KINDS
from services.cli.demo.customers import Customer, Mailbox, Mood, World
from services.cli.demo.ledger import Sent
from services.cli.local.providers import HttpProvider
from services.cli.local.stack import Stack, StackOptions, read_config, running_stack
from services.cli.local.workspace import Workspace
from tests.alerts.exposition import Series, recorded
from tests.alerts.shipped import Target
from tests.chaos.campaign.stage import HOOK, Stage, a_stage
from tests.chaos.campaign.strikes import clocks
from tests.chaos.campaign.tenants import configuration
from tests.fakes.identity_provider import identity_provider, make_key

NAMESPACE: Final = "live"
NOWHERE: Final = "to nobody"
"""No rule of the configuration chooses a queue for a text with these words."""
_SECRET: Final = "CHAPAR_SECRET_DEMO__"


@dataclass(frozen=True, slots=True)
class Installation:
    """A running installation, and what a fault needs of it."""

    stage: Stage
    stack: Stack
    workspace: Workspace
    provider: HttpProvider
    world: World
    clocks: Path
    """The file that says how far the clock of sla is wrong, such as `+3600`."""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def kafka(self) -> KafkaSettings:
        """The cluster, reached without the proxy that the services use."""
        return self.stack.kafka.model_copy(update={"bootstrap_servers": self.stage.direct})

    def customer(self, channel: str) -> Customer:
        """Return a new customer of a channel; use it as an async context manager."""
        return KINDS[channel](self.world, Mood(channel, next(self.numbers), "", 0, False, False, False, None))

    async def configure(self, remark: str) -> None:
        """Put the configuration in force. Another remark makes it another version."""
        file = self.workspace.directory("config") / "demo.yaml"
        file.write_text(shop(self.provider.url, remark), encoding="utf-8")
        await publishing.apply(self.kafka, read_config(file).configuration, system_clock)

    async def ready(self) -> dict[str, bool]:
        """Return whether each process reports on `/readyz` that it is ready. One that does not answer is not."""
        found = dict.fromkeys(self.stack.running.endpoints, False)
        async with httpx.AsyncClient(timeout=5) as client:
            for name, url in self._ready_urls():
                with contextlib.suppress(httpx.HTTPError):
                    found[name] = (await client.get(url)).is_success
        return found

    async def shows(self, process: str, name: str, least: float) -> None:
        """Wait until the series of a metric add up to this, at least."""
        await self._until(process, lambda series: sum(v for (each, _), v in series.items() if each == name) >= least)

    async def owns(self, lane: str) -> None:
        """Wait until a process owns all partitions of its lane."""

        def whole(series: Mapping[Series, float]) -> bool:
            labels = (("lane", lane),)
            owned = series.get(("chapar_lane_partitions", labels))
            return owned is not None and owned == series.get(("chapar_lane_input_partitions", labels))

        await self._until(lane, whole)

    async def _until(self, process: str, reached: Callable[[Mapping[Series, float]], bool]) -> None:
        url = f"http://{self.stack.running.endpoints[process]['ops']}/metrics"
        async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(60):
            while True:
                with contextlib.suppress(httpx.HTTPError):  # it may have no time to answer now
                    if reached(recorded((await client.get(url)).text)):
                        return
                await asyncio.sleep(0.2)  # polling: a process shows its metrics when it is asked

    def _ready_urls(self) -> list[tuple[str, str]]:
        return [(name, f"http://{each['ops']}/readyz") for name, each in self.stack.running.endpoints.items()]

    def targets(self) -> dict[str, list[Target]]:
        """Return what Prometheus scrapes, by job."""
        return targets(self.stack.running.endpoints, NAMESPACE)


def targets(endpoints: object, namespace: str) -> dict[str, list[Target]]:
    """Return the targets of running processes, by job."""
    assert isinstance(endpoints, dict)
    return {f"chapar-{name.split('-')[0]}": [Target(each["ops"], namespace, name)] for name, each in endpoints.items()}


@asynccontextmanager
async def an_installation(directory: Path) -> AsyncIterator[Installation]:
    """Run everything until the block ends."""
    sent = Sent()
    mailbox = Mailbox(sent)
    async with AsyncExitStack() as exits:
        stage = await exits.enter_async_context(a_stage(directory))
        provider = await exits.enter_async_context(
            HttpProvider(lambda each: mailbox.arrived(each.channel, each.recipient, each.text))
        )
        workspace = Workspace(directory / "home")
        config = workspace.directory("config") / "demo.yaml"
        config.write_text(shop(provider.url, "first"), encoding="utf-8")
        clock = workspace.directory("clocks") / "sla.clock"
        clock.write_text("+0")
        environment = {
            f"{_SECRET}TELEGRAM_URL": provider.url,
            f"{_SECRET}WHATSAPP_URL": provider.url,
            f"{_SECRET}SMTP_URL": "smtp://127.0.0.1:9",
            f"{_SECRET}WAREHOUSE": workspace.demo_secrets()[f"{_SECRET}WEBHOOK_SECRET"],
        }
        issuer = await exits.enter_async_context(identity_provider(make_key("alerts")))
        trust = {
            "CHAPAR_ROUTER_JWT__ISSUERS": json.dumps([{"issuer": issuer.url, "discovery": True, "tenants": ["demo"]}])
        }
        os.environ["KAFKA_BOOTSTRAP_SERVERS"] = stage.network.address  # where `running_stack` looks
        _, variables = clocks.step_in_python(3600, "sla")
        options = StackOptions(
            config=config,
            environment={**environment, "PYTHONPATH": str(HOOK)},
            of_service={
                "router": trust,
                **{
                    service: {name: value.replace("{run}", str(workspace.home)) for name, value in found.items()}
                    for service, found in variables.items()
                },
            },
            topic_prefix=f"alerts-{secrets.token_hex(3)}.",
        )
        stack = await exits.enter_async_context(running_stack(workspace, options, lambda _text: None))
        client = await exits.enter_async_context(httpx.AsyncClient(timeout=10))
        channel = await exits.enter_async_context(channel_to(workspace, "ingest"))
        ingest = stack.running.endpoints["ingest"]
        numbers = itertools.count(1)
        world = World(
            tenant="demo", http=ingest["http"], smtp=ingest["smtp"], grpc=channel, secrets=workspace.demo_secrets(),
            client=client, mailbox=mailbox, sent=sent, run="alerts", marks=lambda: next(numbers),
            said_all=lambda: None, curtain=asyncio.Event(), held=provider.held,
        )  # fmt: skip
        yield Installation(stage, stack, workspace, provider, world, clock)


def shop(provider: str, remark: str) -> str:
    """Return the configuration: short targets, a webhook for breaches, acknowledgements, and texts that no rule routes."""
    text = configuration("demo")
    changes = {
        "{name: everything else, queue: support}": (
            f"{{name: everything else, when: '!text.contains(\"{NOWHERE}\")', queue: support}}"
        ),
        "titles: {en: Sales}": f"titles: {{en: Sales {remark}}}",
        "  - channel: telegram\n    account: main\n": (
            "  - channel: telegram\n    account: main\n    acknowledge: true\n    acknowledge_gap: 0s\n"
        ),
    }
    for before, after in changes.items():
        if text.count(before) != 1:
            raise ValueError(f"the campaign's configuration has changed: {before}")
        text = text.replace(before, after)
    return text + (
        '  - name: acknowledgement\n    texts: {en: "You are number {position}, about {minutes} min."}\n'
        f"webhooks:\n  - name: warehouse\n    url: {provider}/warehouse\n"
        f'    secrets: {{signing: "env:{_SECRET}WAREHOUSE"}}\n    events: [sla.breached]\n'
    )


@contextlib.contextmanager
def stopped(stack: Stack, process: str) -> Iterator[None]:
    """Stop a process for the time of the block, as a machine that hangs does."""
    stack.supervisor.send(process, signal.SIGSTOP)
    try:
        yield
    finally:
        stack.supervisor.send(process, signal.SIGCONT)
