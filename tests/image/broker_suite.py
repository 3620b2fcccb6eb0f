"""Runs the broker suite with the Docker provider, on an image of the pinned jars under the name of the image that the provider takes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from services.cli.local.broker.cache import Cache
from services.cli.local.broker.lock import load_lock
from services.cli.local.broker.server import BrokerServer
from services.cli.local.broker.settings import BrokerSettings
from tests.fixtures.broker_in_docker import IMAGE
from tests.image.bases import DOCKERFILE, bases, import_bases
from tests.image.engine import Engine, words_of_build
from tests.image.machine import PROXIES

ROOT: Final = Path(__file__).parents[2]
PLACE: Final = Path(__file__).parent / "kafka"
SUITE: Final = ("tests/integration/broker", "tests/contract/transactions")
BROKERS_OF_THEIR_OWN: Final = ("test_lifecycle.py", "test_rights.py", "test_rights_refused.py", "test_secured.py")
"""Tests that start another broker than the provider's: `make test` runs them, and they would only take time here."""


def run_broker_suite(engine: Engine, directory: Path) -> list[str]:
    """Build the broker's image and run the suite. Returns complaints."""
    import_bases(engine, directory)
    build_broker_image(engine)
    environment = {
        **engine.environment,
        "CHAPAR_TEST_BROKER": "docker",
        "TESTCONTAINERS_RYUK_DISABLED": "true",  # its image is in a registry; the engine ends with this run
    }
    ignored = [f"--ignore={SUITE[0]}/{name}" for name in BROKERS_OF_THEIR_OWN]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ignored, *SUITE],
        cwd=ROOT,
        env=environment,
        check=False,
    )
    return [f"the broker suite in a container: exit code {done.returncode}"] if done.returncode else []


def build_broker_image(engine: Engine) -> None:
    """Build the image from the jars of the lock, which are downloaded when the cache lacks them."""
    settings = BrokerSettings()
    BrokerServer(settings).fetch()
    lock = load_lock()
    base = next(each.tag for each in bases(DOCKERFILE.read_text(encoding="utf-8")) if each.slim)
    with tempfile.TemporaryDirectory(prefix="chapar-broker-image-") as name:
        context = Path(name)
        (context / "jars").mkdir()
        for jar in Cache(settings.cache).classpath(lock):
            shutil.copyfile(jar, context / "jars" / jar.name)
        shutil.copyfile(PLACE / "start.py", context / "start.py")
        given = [f"BASE={base}", *(name for name in PROXIES if name in engine.environment)]
        engine.docker(*words_of_build(PLACE / "Dockerfile", context, IMAGE, given), timeout=900)
