"""The services of deploy/compose.yaml as containers of one image, on the host's network and beside a broker that runs there."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.architecture.deployed import composed
from tests.fixtures import one_interaction
from tests.image.containers import run_words
from tests.image.engine import DockerError, Engine
from tests.image.findings import LOOK, MAY_NOT_WRITE, MAY_WRITE, Facts
from tests.image.ports import Addresses

TENANT: Final = "demo"
READY_WITHIN_S: Final = 60.0
_PREFIX: Final = "chapar-check-"
_SECRETS: Final = "/run/chapar"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container ended."""

    code: int
    seconds: float
    """From the signal to the end."""
    killed: bool
    """For using too much memory."""


class Installation:
    """The containers. Raises DockerError with the container's log when one does not do what it should."""

    def __init__(self, engine: Engine, image: str, broker: str, addresses: Addresses) -> None:
        """`image`: its name in the engine. `broker`: host:port of Kafka."""
        self._engine = engine
        self._image = image
        self._broker = broker
        self.addresses = addresses
        self._services: Mapping[str, Any] = composed({})["services"]

    def prepare(self) -> None:
        """Run the containers that make secrets, topics and the tenant's configuration, as compose does before the services start."""
        self.forget()
        for name in ("secrets", "topics", "apply"):
            self._run("run", "--rm", *self._words(name, {"KAFKA_BOOTSTRAP_SERVERS": self._broker}))

    def forget(self) -> None:
        """Delete the volumes of the services. Containers must be gone."""
        names = {mount.split(":")[0] for each in self._services.values() for mount in each.get("volumes", ())}
        self._engine.docker("volume", "rm", "--force", *sorted(name for name in names if "/" not in name))

    def start(self, service: str) -> float:
        """Start a service; return the seconds until it is ready."""
        environment = self.addresses.environment(service, self._broker)
        # The port of the image's own health check is another service's here. `healthy` looks at that check.
        words = ["--no-healthcheck", *self._words(service, environment)]
        begun = time.monotonic()
        self._engine.docker("run", "--detach", f"--name={_PREFIX}{service}", *words)
        self._wait_ready(service)
        return time.monotonic() - begun

    def look(self, service: str) -> Facts:
        """Return what the first process of a container has, as a process in the container sees it."""
        seen = self._engine.docker("exec", f"{_PREFIX}{service}", "python", "-c", LOOK, *MAY_WRITE, *MAY_NOT_WRITE)
        return Facts.model_validate_json(seen)

    def metrics(self, service: str) -> str:
        """Return the text of a service's metrics."""
        answer = httpx.get(self.addresses.url(service, "/metrics"), timeout=10)
        answer.raise_for_status()
        return answer.text

    def reach(self) -> str:
        """Run the script of the chart's test against all services and return its output."""
        test = {**self._services["token"], "entrypoint": ["python", "/opt/chapar/reach.py"], "network_mode": "host"}
        targets = [f"{service}={servers['grpc']}" for service, servers in self.addresses.of.items()]
        return self._run("run", "--rm", *run_words(self._image, test, {}), _SECRETS, *targets)

    async def an_interaction(self) -> list[str]:
        """Play one interaction with an agent whose desk runs in a container; return the texts that reached the customer."""
        agent = one_interaction.DESK[2]
        token = self._run("run", "--rm", *self._words("token", {}), "--agent", agent).strip()
        environment = {
            "CHAPAR_TENANT": TENANT,
            "CHAPAR_TOKEN": token,
            **{f"CHAPAR_ADDRESS_{name.upper()}": self.addresses.of[name]["grpc"] for name in ("ingest", "router")},
            "CHAPAR_TLS_CA_FILE": f"{_SECRETS}/ca.crt",
        }
        desk = {**self._services["token"], "entrypoint": ["chapar"], "network_mode": "host"}
        words = [*run_words(self._image, desk, environment), *one_interaction.DESK]
        command = self._engine.command("run", "--rm", "--name", f"{_PREFIX}desk", *words)
        chat = f"ws://{self.addresses.of['ingest']['http']}/v1/{TENANT}/webchat/main/ws"
        try:
            return await one_interaction.play(chat, lambda: one_interaction.work(command, self._engine.environment))
        except ExceptionGroup as failed:
            logs = "\n".join(self.log(service)[-2000:] for service in ("ingest", "router"))
            raise DockerError(f"no interaction was completed: {failed.exceptions}\n{logs}") from failed

    def stop(self, service: str) -> Ended:
        """Send SIGTERM and wait for the end, as Kubernetes does; the grace period is compose's."""
        name = f"{_PREFIX}{service}"
        begun = time.monotonic()
        self._engine.docker("stop", name, timeout=120)
        took = time.monotonic() - begun
        state = self._state(name)
        return Ended(code=state["ExitCode"], seconds=took, killed=state["OOMKilled"])

    def log(self, service: str) -> str:
        """Return everything that a service has logged."""
        return self._engine.docker("logs", f"{_PREFIX}{service}")

    def healthy(self, service: str, within_s: float = 45) -> bool:
        """Return whether the image's own health check finds a service alive that has no network at all and its default ports.

        Kafka cannot be reached there. A health check that failed for it would restart every container during an outage.
        """
        name = f"{_PREFIX}health-{service}"
        words = run_words(
            self._image, self._services[service], {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}, network="none"
        )
        self._engine.docker("run", "--detach", f"--name={name}", *words)
        try:
            end = time.monotonic() + within_s
            while time.monotonic() < end:
                state = self._state(name)
                if state["Health"]["Status"] == "healthy":
                    return True
                if not state["Running"]:
                    raise DockerError(f"{service} ended without Kafka:\n{self._engine.docker('logs', name)}")
                time.sleep(0.5)  # polling: the engine asks every ten seconds
            return False
        finally:
            self._engine.docker("rm", "--force", "--volumes", name)

    def _wait_ready(self, service: str) -> None:
        end = time.monotonic() + READY_WITHIN_S
        url = self.addresses.url(service, "/readyz")
        said = "no answer"
        while time.monotonic() < end:
            try:
                answer = httpx.get(url, timeout=2)
                if answer.status_code == 200:
                    return
                said = answer.text
            except httpx.TransportError as error:
                said = type(error).__name__
                if not self._state(f"{_PREFIX}{service}")["Running"]:
                    break
            time.sleep(0.02)  # polling: only an answer shows that it is ready
        raise DockerError(f"{service} is not ready ({said}):\n{self.log(service)[-4000:]}")

    def _state(self, name: str) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._engine.docker("inspect", "--format={{json .State}}", name))
        return state

    def _words(self, service: str, changed: Mapping[str, str]) -> list[str]:
        return run_words(self._image, self._services[service], changed)

    def _run(self, *words: str) -> str:
        return self._engine.docker(*words, timeout=120)
