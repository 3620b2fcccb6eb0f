"""All of Chapar on one machine: broker, topics, configuration and the four services. `chapar run` and `chapar demo` start it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chapar.config.v1 import config_pb2
from services.chassis.clock import system_clock
from services.chassis.cluster_topics import apply as apply_topics
from services.chassis.destinations import DEVELOPMENT
from services.chassis.endpoints import FILE_VARIABLE
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka_settings import KafkaSettings
from services.cli.config import publishing
from services.cli.config.files import Document, load
from services.cli.config.lint import lint
from services.cli.local import development_limits
from services.cli.local.broker.embedded import EmbeddedBroker
from services.cli.local.broker.errors import BrokerError
from services.cli.local.broker.settings import CHECKOUT, BrokerSettings
from services.cli.local.development import environment_of, make_keys
from services.cli.local.kept_secrets import DEMO_ADDRESSES, GENERATED
from services.cli.local.supervisor import ProcessSpec, Program, Supervisor
from services.cli.local.workspace import Running, Workspace
from services.cli.progress import download_progress
from services.cli.reasons import Reason

EXAMPLE = CHECKOUT / "deploy" / "config" / "demo.yaml"
LOOK_S = 1.0
"""The interval of the checks that the broker still runs, seconds."""
HTTP_SERVICES = frozenset({"ingest", "feedback"})


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What to start. `environment` is added to every process, `of_service` to the processes of one service, or to one process such as "ingest-2".

    `production_limits` keeps the services' own limits of rates and connections, so that they can be measured.
    """

    config: Path = EXAMPLE
    routers: int = 1
    ingests: int = 1
    slas: int = 1
    feedbacks: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    of_service: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    topic_prefix: str | None = None
    production_limits: bool = False
    program: Program | None = None
    """The version that all processes run at first; None: this one."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack, and the objects that control it."""

    running: Running
    configuration: config_pb2.TenantConfiguration
    supervisor: Supervisor
    kafka: KafkaSettings
    broker: EmbeddedBroker | None


def read_config(path: Path, is_set: Callable[[str], bool] | None = None) -> Document:
    """Read and lint a configuration. `is_set`: whether the services have a variable. Raises INVALID with the file and line of every error."""
    try:
        document = load(path)
    except OSError as error:
        raise ChaparError(ErrorKind.INVALID, Reason.NO_CONFIG, f"{path} cannot be read: {error.strerror}") from error
    document.rules = DEVELOPMENT
    if not document.findings:
        lint(document, is_set)
    errors = [str(f) for f in document.findings if f.severity == "error"]
    if errors:
        raise ChaparError(ErrorKind.INVALID, Reason.CONFIG_REFUSED, "\n".join(errors))
    return document


@contextlib.asynccontextmanager
async def kafka_for(
    workspace: Workspace, prefix: str | None, say: Callable[[str], None]
) -> AsyncIterator[tuple[KafkaSettings, EmbeddedBroker | None]]:
    """Provide the given cluster (KAFKA_BOOTSTRAP_SERVERS), or run this copy's own broker for the duration of the block."""
    chosen = {} if prefix is None else {"topic_prefix": prefix}
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        kafka = KafkaSettings.from_environment().model_copy(update=chosen)
        say(f"using the Kafka cluster at {kafka.bootstrap_servers}")
        yield kafka, None
        return
    broker = EmbeddedBroker(BrokerSettings(home=workspace.home), show_progress=download_progress, say=say)
    async with broker:
        say(f"Kafka is ready at {broker.bootstrap} ({broker.sizing})")
        values = {"bootstrap_servers": broker.bootstrap, **chosen}
        if "topic_prefix" not in values and os.environ.get("CHAPAR_TOPIC_PREFIX"):
            values["topic_prefix"] = os.environ["CHAPAR_TOPIC_PREFIX"]
        async with asyncio.TaskGroup() as tasks:
            keeper = tasks.create_task(_keep(broker, say), name="keep kafka")
            try:
                yield KafkaSettings.model_validate(values), broker
            finally:
                keeper.cancel()


async def _keep(broker: EmbeddedBroker, say: Callable[[str], None]) -> None:
    """Restart the broker when it has died, as the supervisor does with services. The services wait for the broker meanwhile."""
    address = broker.bootstrap
    while True:
        await asyncio.sleep(LOOK_S)
        if not await broker.ended():
            continue
        say("Kafka ended; starting it again")
        try:
            await broker.start()
        except BrokerError as error:
            say(str(error))
            continue
        moved = "" if broker.bootstrap == address else f", not at {address} as before: start Chapar again"
        say(f"Kafka is ready at {broker.bootstrap}{moved}")


@contextlib.asynccontextmanager
async def running_stack(
    workspace: Workspace, options: StackOptions, say: Callable[[str], None]
) -> AsyncIterator[Stack]:
    """Run everything until the block ends; enter the block when all is ready. Raises ChaparError or BrokerError with what to do."""
    if (other := workspace.running()) is not None:
        raise ChaparError(
            ErrorKind.ALREADY_EXISTS,
            Reason.ALREADY_RUNS,
            f"Chapar already runs in {workspace.home} (process {other.pid}); stop it, or set CHAPAR_HOME to another directory",
        )
    given = {**os.environ, **options.environment, **options.of_service.get("ingest", {})}
    # The addresses of the example's providers are set by `chapar demo` only.
    document = read_config(options.config, lambda name: bool(given.get(name)) or name in GENERATED | DEMO_ADDRESSES)
    for finding in document.findings:
        say(str(finding))
    workspace.directory("run")  # report a home that is not writable before anything is fetched or started
    async with kafka_for(workspace, options.topic_prefix, say) as (kafka, broker):
        await apply_topics(kafka)
        applied = await publishing.apply(kafka, document.configuration, system_clock)
        say(f"configuration of tenant {applied.tenant}: version {applied.version}")
        specs, running = plan(workspace, options, kafka, document.configuration.tenant)
        supervisor = Supervisor(workspace.directory("logs"), CHECKOUT, say)
        async with supervisor.running(specs):
            workspace.write_running(running)
            try:
                yield Stack(running, document.configuration, supervisor, kafka, broker)
            finally:
                workspace.forget_running()


def plan(
    workspace: Workspace, options: StackOptions, kafka: KafkaSettings, tenant: str
) -> tuple[list[ProcessSpec], Running]:
    """Return the processes with their environments, and the addresses on which they will listen."""
    make_keys(workspace)
    names = [
        *_replicas("router", options.routers),
        *_replicas("ingest", options.ingests),
        *_replicas("sla", options.slas),
        *_replicas("feedback", options.feedbacks),
    ]
    servers = {name: _servers(name) for name in names}
    ports = workspace.ports([f"{name}.{server}" for name in names for server in servers[name]])
    endpoints = {name: {s: f"127.0.0.1:{ports[f'{name}.{s}']}" for s in servers[name]} for name in names}
    routers = ",".join(endpoints[name]["grpc"] for name in names if service_of(name) == "router")
    ingests = ",".join(endpoints[name]["grpc"] for name in names if service_of(name) == "ingest")
    given = {**os.environ, **options.environment, **options.of_service.get("ingest", {})}
    shared = {
        **_kafka_environment(kafka),
        **workspace.demo_secrets(),
        **({} if options.production_limits else development_limits.beside(given)),
        **options.environment,
    }
    survey_pages = f"http://{endpoints['feedback']['http']}"
    specs: list[ProcessSpec] = []
    for name in names:
        service = service_of(name)
        prefix = f"CHAPAR_{service.upper()}_"
        own = {
            f"{prefix}{server.upper()}_PORT": address.rpartition(":")[2] for server, address in endpoints[name].items()
        }
        own[f"{prefix}INSECURE_DEV"] = "true"
        own[f"{prefix}INSTANCE"] = name
        own |= environment_of(workspace, service)
        if service != "sla":
            own[f"{prefix}PERSONAL__KEY_FILES"] = json.dumps([str(workspace.personal_key)])
            own[f"{prefix}PERSONAL__KEYS_DIR"] = str(workspace.directory("state"))
        own[FILE_VARIABLE] = str(workspace.directory("run") / f"{name}.endpoints.json")
        if service == "ingest":
            own["CHAPAR_INGEST_STATE_DIR"] = str(workspace.directory("state"))
        if service == "sla":
            own["CHAPAR_SLA_ROUTER_ADDRESS"] = routers
        if service == "feedback":
            own["CHAPAR_FEEDBACK_INGEST_ADDRESS"] = ingests
            own["CHAPAR_FEEDBACK_PUBLIC_URL"] = survey_pages
            own["CHAPAR_FEEDBACK_LINK_SECRET_FILE"] = str(workspace.link_secret)
        specs.append(
            ProcessSpec(
                name,
                f"services.{service}",
                {**shared, **own, **options.of_service.get(service, {}), **options.of_service.get(name, {})},
                f"http://{endpoints[name]['ops']}/readyz",
                options.program,
            )
        )
    return specs, Running(os.getpid(), kafka.bootstrap_servers, kafka.topic_prefix, tenant, endpoints)


def service_of(process: str) -> str:
    """Return the service of a process: "router" for "router-2"."""
    return process.split("-")[0]


def _replicas(service: str, count: int) -> list[str]:
    return [service, *(f"{service}-{number}" for number in range(2, count + 1))]


def _servers(process: str) -> tuple[str, ...]:
    service = service_of(process)
    extra = ("http", "smtp") if service == "ingest" else ("http",) if service in HTTP_SERVICES else ()
    return ("grpc", "ops", *extra)


def _kafka_environment(kafka: KafkaSettings) -> dict[str, str]:
    """Return the cluster's variables for children. They inherit TLS and SASL settings from this process's environment."""
    return {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "CHAPAR_TOPIC_PREFIX": kafka.topic_prefix}
