"""Builds the image, runs all four services from it, and reports what it found."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from services.chassis.build import version
from tests.bench.figures import tell
from tests.fixtures.broker import EmbeddedTestBroker
from tests.fixtures.one_interaction import REPLY
from tests.image.bases import DOCKERFILE, bases, import_bases
from tests.image.engine import Engine, words_of_build
from tests.image.findings import (
    INSTALLED,
    about_bill,
    about_engine,
    about_labels,
    about_logs,
    about_rights,
    about_start,
    listed,
)
from tests.image.guide import follow
from tests.image.installation import Installation
from tests.image.machine import PROXIES
from tests.image.ports import SERVERS, free_addresses

ROOT: Final = Path(__file__).parents[2]
IMAGE: Final = "chapar:check"
SIZE_GOAL, READY_GOAL = "<=350", "<=10"
_MB: Final = 1e6


def check_image(engine: Engine, directory: Path) -> list[str]:
    """Build and run the image; report its figures. Returns complaints; raises DockerError when a step fails altogether."""
    import_bases(engine, directory)
    print("building the image", flush=True)
    begun = time.monotonic()
    words = words_of_build(DOCKERFILE, ROOT, IMAGE, [name for name in PROXIES if name in engine.environment])
    engine.docker(*words, timeout=1800)
    tell("image_build_s", round(time.monotonic() - begun, 1), "s")
    size = own_layers(engine)
    tell("image_own_layers_mb", round(size / _MB, 1), "MB", SIZE_GOAL)
    wrong = [f"the image's own layers have {size / _MB:.0f} MB"] if size > _limit(SIZE_GOAL) * _MB else []
    (image,) = json.loads(engine.docker("image", "inspect", IMAGE))
    wrong += listed("image", about_labels(image["Config"]["Labels"], version()))
    found = json.loads(engine.docker("run", "--rm", "--network=none", "--entrypoint=python", IMAGE, "-c", INSTALLED))
    print(f"{follow(engine, IMAGE)} commands of docs/operating ran", flush=True)
    wrong += listed("bill of materials", about_bill(found["bill"], found["installed"], version()))
    with tempfile.TemporaryDirectory(prefix="chapar-image-") as home, closing(EmbeddedTestBroker(Path(home))) as broker:
        return wrong + _run_services(Installation(engine, IMAGE, broker.bootstrap, free_addresses()))


def own_layers(engine: Engine) -> int:
    """Return the bytes that the image adds to its base image."""
    (base,) = [each.tag for each in bases(DOCKERFILE.read_text(encoding="utf-8")) if each.slim]
    whole, below = (int(engine.docker("image", "inspect", "--format={{.Size}}", tag)) for tag in (IMAGE, base))
    return whole - below


def _run_services(installation: Installation) -> list[str]:
    wrong = []
    installation.prepare()
    for service in SERVERS:
        load = os.getloadavg()[0]
        seconds = installation.start(service)
        tell(f"image_ready_s{{{service}}}", round(seconds, 1), "s", READY_GOAL, load_before=load)
        wrong += listed(service, about_start(seconds, _limit(READY_GOAL), load, os.cpu_count() or 1))
        wrong += listed(service, about_rights(installation.look(service)))
    wrong += listed("router", about_engine(installation.metrics("router")))
    print(installation.reach(), end="", flush=True)
    texts = asyncio.run(installation.an_interaction())
    if REPLY not in texts:
        wrong.append(f"the agent's reply did not reach the customer, who received {texts}")
    else:
        print("a customer's message reached an agent, and the reply the customer", flush=True)
    for service in reversed(list(SERVERS)):
        ended = installation.stop(service)
        print(f"{service}: exit code {ended.code}, {ended.seconds:.1f} s after SIGTERM", flush=True)
        if ended.code != 0 or ended.killed:
            wrong.append(f"{service} ended with exit code {ended.code}{' for lack of memory' if ended.killed else ''}")
        wrong += listed(f"log of {service}", about_logs(installation.log(service)))
    for service in SERVERS:
        if not installation.healthy(service):
            wrong.append(f"{service}: the health check of the image does not find it alive")
    return wrong


def _limit(goal: str) -> float:
    return float(goal.removeprefix("<="))
