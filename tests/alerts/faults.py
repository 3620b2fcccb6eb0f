"""The faults that are really injected. Each is a context: it begins with the fault and ends with the cure."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from chapar.router.v1 import records_pb2 as pb
from services.chassis.clock import system_clock
from services.cli.local.providers import Behaviour, Cut, Refuse
from tests.alerts.installation import NOWHERE, Installation, stopped
from tests.chaos.campaign.proxy import Mode

Fault = Callable[[Installation], AbstractAsyncContextManager[None]]
_WRITERS: Final = 12
"""Customers who write at the same time."""


async def customers_write(installation: Installation, channel: str, text: str, count: int = _WRITERS) -> None:
    """Let new customers of a channel write one message each."""

    async def one() -> None:
        async with installation.customer(channel) as customer:
            await customer.say(text)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(one())


@asynccontextmanager
async def kafka_away(installation: Installation) -> AsyncIterator[None]:
    """No connection to the broker, and no traffic. No process may report that it is ready."""
    await installation.stage.network.become(Mode.REFUSE)
    try:
        await _until_none_is_ready(installation)
        yield
    finally:
        await installation.stage.network.become(Mode.PASS)
        await installation.stack.supervisor.wait_ready(60)


async def _until_none_is_ready(installation: Installation) -> None:
    async with asyncio.timeout(60):
        while any((await installation.ready()).values()):  # noqa: ASYNC110 - readiness is asked, not announced
            await asyncio.sleep(0.5)


@asynccontextmanager
async def kafka_away_under_load(installation: Installation) -> AsyncIterator[None]:
    """No connection to the broker while targets run and customers write by HTTP and gRPC."""
    await customers_write(installation, "webhook", "Where is my order?")
    await installation.shows("sla", "chapar_sla_deadlines_open", _WRITERS)
    await installation.stage.network.become(Mode.REFUSE)
    async with asyncio.TaskGroup() as tasks:
        writing = [
            tasks.create_task(customers_write(installation, channel, "Is anyone there?", 3))
            for channel in ("telegram", "grpc")
        ]
        try:
            yield
        finally:
            await installation.stage.network.become(Mode.PASS)
            await installation.stack.supervisor.wait_ready(60)
            for task in writing:
                task.cancel()


@asynccontextmanager
async def feedback_hangs(installation: Installation) -> AsyncIterator[None]:
    """The only process of feedback hangs: its series vanish."""
    with stopped(installation.stack, "feedback"):
        yield
    await installation.stack.supervisor.wait_ready(60)


@asynccontextmanager
async def a_stranger_takes_partitions(installation: Installation) -> AsyncIterator[None]:
    """A consumer that reads nothing is a member of the group of sla: it owns some partitions of the lane."""
    consumer = _stranger(installation, "sla", "routing.events.v1")
    await consumer.start()
    try:
        yield
    finally:
        await consumer.stop()
    await installation.owns("sla")


@asynccontextmanager
async def strangers_come_and_go(installation: Installation) -> AsyncIterator[None]:
    """Consumers join the group of the router and leave it again, until the cure."""

    cured = asyncio.Event()

    async def come_and_go() -> None:
        while not cured.is_set():
            consumer = _stranger(installation, "router", "routing.commands.v1")
            try:
                await consumer.start()
            finally:
                await consumer.stop()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(come_and_go())
        try:
            yield
        finally:
            cured.set()
    await installation.owns("router")


def _stranger(installation: Installation, group: str, topic: str) -> AIOKafkaConsumer:
    kafka = installation.kafka
    return AIOKafkaConsumer(
        kafka.topic_prefix + topic,
        **kafka.client_options(),
        group_id=kafka.topic_prefix + group,
        enable_auto_commit=False,
        partition_assignment_strategy=(RangePartitionAssignor,),
        session_timeout_ms=6_000,
    )


async def _write(installation: Installation, topic: str, key: bytes, value: bytes) -> None:
    kafka = installation.kafka
    producer = AIOKafkaProducer(**kafka.client_options(), acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(kafka.topic_prefix + topic, value, key)
    finally:
        await producer.stop()


@asynccontextmanager
async def a_record_that_no_one_can_read(installation: Installation) -> AsyncIterator[None]:
    """The first record of a lane that becomes a dead letter."""
    await _write(installation, "routing.commands.v1", b"demo/default", b"\xff\xff\xff\xff\xff")
    yield


@asynccontextmanager
async def a_configuration_that_no_one_can_read(installation: Installation) -> AsyncIterator[None]:
    """The newest configuration of the tenant can't be decoded; the cure is another one."""
    await _write(installation, "config.v1", b"demo", b"\xff\xff\xff\xff\xff")
    try:
        yield
    finally:
        await installation.configure("repaired")


@asynccontextmanager
async def callers_without_a_proof(installation: Installation) -> AsyncIterator[None]:
    """Calls and requests with wrong proofs, a survey link that does not exist, and a record that a reader can't use."""
    endpoints = installation.stack.running.endpoints
    async with httpx.AsyncClient(timeout=10) as client:
        await client.post(f"http://{endpoints['ingest']['http']}/v1/demo/telegram/main", content=b"{}")
        await client.get(f"http://{endpoints['feedback']['http']}/s/none")
    await _write(installation, "gateway.feed.v1", b"demo/default", b"\xff\xff\xff\xff\xff")
    with _answers(installation, Refuse(400)):
        await customers_write(installation, "telegram", "Hello", 2)
        await installation.shows("ingest", "chapar_sender_dead_letters_total", 1)
    yield


@asynccontextmanager
async def texts_without_a_rule(installation: Installation) -> AsyncIterator[None]:
    """Customers write what no routing rule expects."""
    await customers_write(installation, "webhook", f"I write {NOWHERE}")
    yield


@asynccontextmanager
async def interactions_for_a_queue_that_is_gone(installation: Installation) -> AsyncIterator[None]:
    """Interactions name a queue that the configuration does not have any more."""
    for number in range(_WRITERS):
        attributes = pb.InteractionAttributes(interaction_id=f"i{number}", conversation_id=f"c{number}", queue="gone")
        command = pb.RoutingCommand(
            command_id=f"alerts-{number}", tenant="demo", pool="default", issued_at_ms=system_clock(),
            enqueue=pb.Enqueue(interaction=attributes),
        )  # fmt: skip
        await _write(installation, "routing.commands.v1", b"demo/default", command.SerializeToString())
    yield


@asynccontextmanager
async def no_agents_after_a_restart_of_sla(installation: Installation) -> AsyncIterator[None]:
    """Sla restarted, so it has met no target yet, and every target is breached: no agent works. The notified system is gone."""
    installation.stack.supervisor.kill("sla", signal.SIGTERM)
    await installation.stack.supervisor.wait_ready(60)
    with _answers(installation, Refuse(410)):
        await customers_write(installation, "webhook", "Where is my order?")
        yield


@asynccontextmanager
async def customers_give_up(installation: Installation) -> AsyncIterator[None]:
    """Customers leave before an agent has time for them."""

    async def one() -> None:
        async with installation.customer("grpc") as customer:
            if await customer.say("I can't wait"):
                await customer.leave()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2 * _WRITERS):
            tasks.create_task(one())
    yield


@asynccontextmanager
async def a_provider_that_refuses(installation: Installation) -> AsyncIterator[None]:
    """The provider of a channel answers 503: acknowledgements are not delivered."""
    with _answers(installation, Refuse(503)):
        await customers_write(installation, "telegram", "Hello")
        yield


@asynccontextmanager
async def a_provider_that_hangs_up(installation: Installation) -> AsyncIterator[None]:
    """The provider accepts messages and closes the connection without a response."""
    with _answers(installation, Cut(taken=True)):
        await customers_write(installation, "telegram", "Hello")
        yield


@contextlib.contextmanager
def _answers(installation: Installation, behaviour: Behaviour) -> Iterator[None]:
    installation.provider.usually(behaviour)
    try:
        yield
    finally:
        installation.provider.usually(None)


@asynccontextmanager
async def a_locked_history(installation: Installation) -> AsyncIterator[None]:
    """Another program holds the lock of the history's database."""
    (database,) = installation.workspace.directory("state").glob("history-*.sqlite3")
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        await customers_write(installation, "webhook", "Hello", 2)
        yield
    finally:
        connection.close()


@asynccontextmanager
async def a_clock_an_hour_ahead(installation: Installation) -> AsyncIterator[None]:
    """The clock of the machine of sla is wrong."""
    installation.clocks.write_text("+3600")
    try:
        yield
    finally:
        installation.clocks.write_text("+0")
