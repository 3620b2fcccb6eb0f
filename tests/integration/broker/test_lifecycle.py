"""The embedded broker's life: started, restarted, killed, tied to its parent, and next to other brokers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.chassis.kafka_settings import KafkaSettings
from services.cli.local.broker import process
from services.cli.local.broker.embedded import EmbeddedBroker
from services.cli.local.broker.ports import Ports, is_free, settle_ports
from services.cli.local.broker.probe import ask_metadata
from services.cli.local.broker.server import BrokerServer
from services.cli.local.broker.settings import CHECKOUT, BrokerSettings
from services.cli.local.broker.sizing import LEAST_HEAP
from tests.fixtures.broker import EmbeddedTestBroker, plain_settings
from tests.integration.broker.test_broker_suite import producer_of, read, wait_visible

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ALLOWED_BYTES = 260 * 2**20


def command(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m services.cli.local.broker …`, as the Makefile does."""
    return subprocess.run(
        [sys.executable, "-m", "services.cli.local.broker", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "CHAPAR_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home; if a test leaves its broker running, the broker is stopped."""
    yield tmp_path / "home"
    BrokerServer(BrokerSettings(home=tmp_path / "home")).reset()


def wait_for_process(server: BrokerServer) -> None:
    """Return when the broker's process exists, which is long before it is ready."""
    deadline = time.monotonic() + 60
    while server.running() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def write(settings: KafkaSettings, topic: str, *values: bytes) -> None:
    async with producer_of(settings, "writer") as producer, producer.transaction():
        for value in values:
            await producer.send(topic, value)


async def create(settings: KafkaSettings, topic: str) -> None:
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
        await wait_visible(admin, topic, 1)
    finally:
        await admin.close()


async def test_committed_data_survive_a_restart_and_a_kill(own_kafka: EmbeddedTestBroker) -> None:
    """Address and data are the same after `stop` and after `kill -9`; read_committed does not see a transaction that the kill interrupted."""
    settings = own_kafka.settings("life.")
    address = own_kafka.bootstrap
    await create(settings, "life.topic")
    await write(settings, "life.topic", b"first")

    own_kafka.restart()
    assert own_kafka.bootstrap == address
    assert await read(settings, "life.topic", "read_committed") == [b"first"]

    cut = AIOKafkaProducer(**settings.client_options(), transactional_id="life.cut", request_timeout_ms=2_000)
    await cut.start()
    try:
        await cut.begin_transaction()
        await cut.send_and_wait("life.topic", b"cut")
        pid = own_kafka.pid
        own_kafka.kill()
        assert own_kafka.pid is None
        assert ask_metadata("127.0.0.1", int(address.rpartition(":")[2])) is None
        own_kafka.start()
        assert own_kafka.pid != pid
        assert own_kafka.bootstrap == address
    finally:
        await cut.stop()
    await write(settings, "life.topic", b"second")
    async with producer_of(settings, "cut"):  # taking over the id ends the transaction that its predecessor left open
        pass
    assert await read(settings, "life.topic", "read_committed") == [b"first", b"second"]


def test_the_command_starts_twice_stops_and_resets(home: Path) -> None:
    """Ready means that the broker answers; a second start changes nothing and succeeds; stop keeps the data; reset deletes it."""
    started = command(home, "start")
    assert started.returncode == 0, started.stderr
    running = BrokerServer(BrokerSettings(home=home)).running()
    assert running is not None
    assert f"ready at {running.bootstrap}" in started.stdout
    found = ask_metadata("127.0.0.1", running.ports.client)
    assert found is not None
    assert found.brokers == (running.bootstrap,)

    again = command(home, "start")
    assert (again.returncode, again.stderr) == (0, "")
    assert f"already runs at {running.bootstrap}" in again.stdout
    assert running.bootstrap in command(home, "status").stdout

    assert command(home, "stop").returncode == 0
    assert process.identity(running.pid) is None
    assert command(home, "status").returncode == 3
    assert "was not running" in command(home, "stop").stdout
    assert (home / "kafka" / "data" / "meta.properties").exists()

    assert command(home, "reset").returncode == 0
    assert not (home / "kafka").exists()


def test_two_starts_at_once_start_one_broker(home: Path) -> None:
    """The second start waits for the first and finds its broker."""
    arguments = [sys.executable, "-m", "services.cli.local.broker", "start"]
    environment = {**os.environ, "CHAPAR_HOME": str(home)}
    starts = [
        subprocess.Popen(arguments, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = sorted(start.communicate(timeout=90)[0] for start in starts)

    assert [start.returncode for start in starts] == [0, 0]
    running = BrokerServer(BrokerSettings(home=home)).running()
    assert running is not None
    assert f"already runs at {running.bootstrap}" in said[0]
    assert f"ready at {running.bootstrap}" in said[1]


def test_a_broker_dies_with_the_program_that_embeds_it_even_when_that_is_killed(home: Path) -> None:
    """After kill -9 of the parent no clean-up code runs, and still no process is left."""
    program = (
        "import asyncio, pathlib, sys\n"
        "from services.cli.local.broker.embedded import EmbeddedBroker\n"
        "from services.cli.local.broker.settings import BrokerSettings\n"
        "async def main():\n"
        "    async with EmbeddedBroker(BrokerSettings(home=pathlib.Path(sys.argv[1]))) as broker:\n"
        "        print(broker.pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(home)], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    try:
        pid = int(parent.stdout.readline())
        known_as = process.identity(pid)
        assert known_as is not None
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        parent.stdout.close()

    assert process.wait_gone(pid, known_as, within_s=10)
    assert command(home, "status").returncode == 3


async def test_the_embedded_broker_lives_as_long_as_its_context(home: Path) -> None:
    """Two homes do not disturb each other; leaving one context stops one broker; a broker that already runs is used and left running."""
    settings = BrokerSettings(home=home)
    async with EmbeddedBroker(BrokerSettings(home=home.with_name("other"))) as other:
        async with EmbeddedBroker(settings) as broker:
            assert broker.is_ours
            assert broker.bootstrap != other.bootstrap
            async with EmbeddedBroker(settings, detached=True) as guest:
                assert guest.bootstrap == broker.bootstrap
            await create(plain_settings(broker.bootstrap, "x."), "x.topic")
            pid = broker.pid
            await broker.kill()
            await broker.start()
            assert broker.pid != pid
        assert BrokerServer(settings).running() is None
        host, _, port = other.bootstrap.rpartition(":")
        assert ask_metadata(host, int(port)) is not None


async def test_a_start_that_is_cancelled_leaves_nothing_running(home: Path) -> None:
    """A cancelled start does not leave a broker running."""
    settings = BrokerSettings(home=home)
    server = BrokerServer(settings)

    async def enter() -> None:
        async with EmbeddedBroker(settings):
            await asyncio.Event().wait()

    async with asyncio.timeout(60):
        start = asyncio.create_task(enter())
        await asyncio.to_thread(wait_for_process, server)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
    assert server.running() is None


async def test_a_port_that_was_taken_meanwhile_is_replaced_everywhere(home: Path) -> None:
    """The broker advertises its new port, and clients that ask it get through."""
    kafka_home = home / "kafka"
    kafka_home.mkdir(parents=True)
    ports: Ports = settle_ports(kafka_home)
    taken = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", ports.client)
    async with taken, EmbeddedBroker(BrokerSettings(home=home)) as broker:
        assert broker.bootstrap != f"127.0.0.1:{ports.client}"
        settings = plain_settings(broker.bootstrap, "moved.")
        await create(settings, "moved.topic")
        await write(settings, "moved.topic", b"through")
        assert await read(settings, "moved.topic", "read_committed") == [b"through"]
    assert is_free(settle_ports(kafka_home).client)


async def test_memory_stays_within_the_documented_limit(home: Path) -> None:
    """At most 260 MB with the least heap, also after 100,000 records in transactions and a reader of all of them."""
    async with EmbeddedBroker(BrokerSettings(home=home, kafka_heap=LEAST_HEAP, kafka_full_compiler=False)) as broker:
        settings = plain_settings(broker.bootstrap, "memory.")
        await create(settings, "memory.topic")
        async with producer_of(settings, "writer") as producer:
            for _ in range(20):
                async with producer.transaction():
                    futures = [await producer.send("memory.topic", bytes(300)) for _ in range(5_000)]
                    await asyncio.gather(*futures)
        assert len(await read(settings, "memory.topic", "read_committed")) == 100_000
        assert broker.pid is not None
        resident = process.resident_bytes(broker.pid)
        assert resident is None or resident <= ALLOWED_BYTES, f"{resident / 2**20:.0f} MB"


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"CHAPAR_HOME": "/dev/null/x"}, "home /dev/null/x/kafka cannot be written"),
        ({"CHAPAR_CACHE_DIR": "/dev/null/x"}, "cache /dev/null/x cannot be written"),
        (
            {"CHAPAR_CACHE_DIR": "{empty}", "CHAPAR_MAVEN_URL": "http://127.0.0.1:1"},
            "could not be downloaded from http://127.0.0.1:1",
        ),
        ({"CHAPAR_KAFKA_PORT": "{taken}"}, "Port {taken} on 127.0.0.1 is in use"),
        ({"CHAPAR_KAFKA_HEAP": "1m"}, "ran out of memory: set CHAPAR_KAFKA_HEAP"),
        ({"CHAPAR_KAFKA_HEAP": "lots"}, "kafka_heap is wrong"),
    ],
)
async def test_a_problem_that_the_user_can_fix_is_one_sentence(
    home: Path, tmp_path: Path, environment: dict[str, str], sentence: str
) -> None:
    """Exit code 1, one line on stderr that says what to do, no traceback, and no process left running."""
    taken = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with taken:
        values = {"empty": str(tmp_path / "empty"), "taken": str(taken.sockets[0].getsockname()[1])}
        filled = {name: value.format(**values) for name, value in environment.items()}
        done = await asyncio.to_thread(command, home, "start", **filled)

    assert done.returncode == 1, done.stdout
    assert sentence.format(**values) in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert BrokerServer(BrokerSettings(home=home)).running() is None
