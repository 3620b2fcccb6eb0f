"""Runs the demo from start to audit: stack, providers, agents, customers, drain, report."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import grpc
import httpx

from chapar.feedback.v1 import feedback_pb2, feedback_pb2_grpc
from services.chassis.grpc.client import chapar_errors
from services.chassis.privacy.lanes import AwaitedKeys, when_ready
from services.cli.connection import channel_to
from services.cli.demo import board, chaos
from services.cli.demo.agents import staff
from services.cli.demo.channels import KINDS
from services.cli.demo.customers import OWN_END, Mailbox, World, cast, play
from services.cli.demo.ledger import TOPICS, Audit, Ledger, Sent, audit, untied_bounces
from services.cli.demo.machines import Machines
from services.cli.demo.receipts import Receipts
from services.cli.demo.report import Report
from services.cli.local.broker.server import BrokerServer
from services.cli.local.broker.settings import BrokerSettings
from services.cli.local.personal import keys_of
from services.cli.local.provider_files import HeldFiles
from services.cli.local.providers import HttpProvider, MailRelay, Received
from services.cli.local.stack import Stack, StackOptions, running_stack
from services.cli.local.workspace import Workspace
from services.cli.topic_reader import read_all


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The demo's size and disturbances. Times are seconds."""

    seed: int = 7
    customers: dict[str, int] = field(
        default_factory=lambda: {"webchat": 14, "telegram": 14, "whatsapp": 10, "email": 8, "webhook": 6, "grpc": 8}
    )
    arrive_within_s: float = 20.0
    patience_s: float = 15.0
    drain_within_s: float = 45.0
    chaos: bool = False

    @property
    def arrivals_s(self) -> float:
        """The period in which customers arrive: longer with chaos, so that every process is killed while it has work."""
        return 2 * self.arrive_within_s if self.chaos else self.arrive_within_s


async def demonstrate(workspace: Workspace, options: DemoOptions, say: Callable[[str], None]) -> Report:
    """Run the whole demo. The report's audit shows whether anything was lost or doubled."""
    began = time.monotonic()
    run = secrets.token_hex(3)
    if not os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        # Start with an empty broker: the records of earlier demos would only slow the audit down.
        await asyncio.to_thread(BrokerServer(BrokerSettings(home=workspace.home)).reset)
        await asyncio.to_thread(shutil.rmtree, workspace.directory("state"))
    sent = Sent()
    mailbox, receipts, machines = Mailbox(sent), Receipts(), Machines()

    def arrived(message: Received) -> None:
        mailbox.arrived(message.channel, message.recipient, message.text)
        receipts.arrived(message)
        machines.arrived(message)
        for file in message.files:
            sent.file_arrivals[file.name, message.channel] += 1

    async with HttpProvider(arrived) as provider, MailRelay(arrived) as relay:
        environment = {
            "CHAPAR_SECRET_DEMO__TELEGRAM_URL": provider.url,
            "CHAPAR_SECRET_DEMO__WHATSAPP_URL": provider.url,
            "CHAPAR_SECRET_DEMO__SMTP_URL": relay.url,
        }
        stack_options = StackOptions(
            routers=2 if options.chaos else 1, environment=environment, topic_prefix=f"demo-{run}."
        )
        async with running_stack(workspace, stack_options, say) as stack:
            ready_s = time.monotonic() - began
            say(f"ready after {ready_s:.1f} s; the demo begins")
            return await _play(
                workspace, options, stack, run, sent, mailbox, receipts, machines, provider.held, ready_s, say
            )


async def _play(
    workspace: Workspace,
    options: DemoOptions,
    stack: Stack,
    run: str,
    sent: Sent,
    mailbox: Mailbox,
    receipts: Receipts,
    machines: Machines,
    held: HeldFiles,
    ready_s: float,
    say: Callable[[str], None],
) -> Report:
    began = time.monotonic()
    notes = [""]
    silence = asyncio.Semaphore(0)
    async with (
        keys_of(workspace, stack.kafka) as keys,
        _world(workspace, stack, run, sent, mailbox, held, silence.release) as world,
        staff(workspace, stack, run, sent, options.seed),
    ):
        ledger = Ledger(keys)
        async with asyncio.TaskGroup() as watchers:
            watching = [
                watchers.create_task(board.follow(stack.kafka, keys, ledger), name="follow"),
                watchers.create_task(board.show(ledger, sent, lambda: notes[-1]), name="board"),
                watchers.create_task(receipts.report(world), name="receipts"),
                watchers.create_task(machines.answer(world), name="machines"),
            ]
            havoc = chaos.Chaos(stack.supervisor, options.seed, notes.append) if options.chaos else None
            if havoc is not None:
                watchers.create_task(havoc.run(), name="chaos")
            async with asyncio.TaskGroup() as customers:
                moods = cast(options.seed, options.customers, options.arrivals_s)
                for mood in moods:
                    customers.create_task(play(world, mood, KINDS, options.patience_s), name=f"customer {mood.channel}")
                for _ in moods:
                    await silence.acquire()
                if havoc is not None:
                    await havoc.end()
                notes.append("all customers have sent their messages; draining")
                await _drained(ledger, sent, options.drain_within_s)
                world.curtain.set()
            for task in watching:
                task.cancel()
        acted_s = time.monotonic() - began
        found, final = await _audit(stack, keys, sent)
        scores = await _scores(workspace)
    say("")
    return Report(final, found, scores, ready_s, acted_s, dict(stack.supervisor.restarts()), sent)


@contextlib.asynccontextmanager
async def _world(
    workspace: Workspace,
    stack: Stack,
    run: str,
    sent: Sent,
    mailbox: Mailbox,
    held: HeldFiles,
    said_all: Callable[[], None],
) -> AsyncIterator[World]:
    ingest = stack.running.endpoints["ingest"]
    counter = itertools.count(1)
    async with (
        channel_to(workspace, "ingest") as channel,
        httpx.AsyncClient(timeout=10, limits=httpx.Limits(max_connections=50)) as client,
    ):
        yield World(
            tenant=stack.running.tenant,
            http=ingest["http"],
            smtp=ingest["smtp"],
            grpc=channel,
            secrets=workspace.demo_secrets(),
            client=client,
            mailbox=mailbox,
            sent=sent,
            held=held,
            run=run,
            marks=lambda: next(counter),
            said_all=said_all,
            curtain=asyncio.Event(),
        )


async def _drained(ledger: Ledger, sent: Sent, within_s: float) -> None:
    """Wait until no interaction is open and every reply has arrived, or the time is up: then the audit shows what is missing."""
    deadline = time.monotonic() + within_s
    quiet_since: float | None = None
    while time.monotonic() < deadline:
        missing = [mark for mark in sent.acknowledged if not ledger.seen[mark]]
        under_way = ledger.pending_files() or ledger.pending_deliveries() or untied_bounces(ledger, sent)
        if missing or under_way or ledger.open or ledger.recoveries_due():
            quiet_since = None
        elif quiet_since is None:
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > 2.0:
            return
        await asyncio.sleep(0.1)


async def _audit(stack: Stack, keys: AwaitedKeys, sent: Sent) -> tuple[Audit, Ledger]:
    """Read the topics from the beginning, committed records only, and compare them with what was sent."""
    ledger = Ledger(keys)
    for topic in TOPICS:
        records = await read_all(stack.kafka, topic)
        await when_ready(keys, *records)
        ledger.fold(records)
    for mark, delivery_id in sent.recorded_replies.items():
        delivery = ledger.deliveries.get(delivery_id)
        if delivery is not None and delivery.channel not in OWN_END:
            sent.arrivals[mark] = ledger.replies[mark]
    return audit(ledger, sent), ledger


async def _scores(workspace: Workspace) -> list[feedback_pb2.Score]:
    """Return the scores from the API; they include a response one or two seconds after it arrives."""
    scores: list[feedback_pb2.Score] = []
    async with channel_to(workspace, "feedback") as channel:
        stub = feedback_pb2_grpc.FeedbackServiceStub(channel)
        for _ in range(20):
            with contextlib.suppress(grpc.aio.AioRpcError), chapar_errors():
                scores = list((await stub.GetScores(feedback_pb2.GetScoresRequest(by="all"))).scores)
                if scores:
                    return scores
            await asyncio.sleep(0.25)
    return scores
