"""One machine on which `chapar run` runs, with its history in PostgreSQL, and on which the commands of the guide are run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.architecture.guide import ROOT, Block

READY_WITHIN_S: Final = 90.0
STOPPED_WITHIN_S: Final = 60.0
COMMANDS_S: Final = 60.0


class Machine:
    """Its home is a directory that can be lost."""

    def __init__(self, home: Path, database: str) -> None:
        self.home = home
        self._database = database
        self._process: subprocess.Popen[str] | None = None
        self._ended = threading.Event()
        self.endpoints: Mapping[str, Mapping[str, str]] = {}

    @property
    def pid(self) -> int:
        """The process of `chapar run`."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Run `chapar run` until it reports that everything is ready."""
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "run", "--json"],
            cwd=ROOT,
            env=self._environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        self._process, self._ended = process, threading.Event()
        late = threading.Timer(READY_WITHIN_S, process.kill)
        late.start()
        assert process.stdout is not None
        line = process.stdout.readline()
        late.cancel()
        assert line, f"chapar run ended with {process.wait()}; its logs are in {self.home}"
        self.endpoints = json.loads(line)["endpoints"]
        ended = self._ended

        def reap() -> None:  # a command that waits for the process would wait for ever while it is a zombie
            process.communicate()
            ended.set()

        threading.Thread(target=reap, name="reap", daemon=True).start()

    def run(self, block: Block, values: Mapping[str, str]) -> str:
        """Run the commands of a block as a shell does, and return their output. Each of them must succeed."""
        if block.commands() == ["chapar run"]:
            self.start()
            return ""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.filled(values)],
            cwd=ROOT,
            env=self._environment(),
            input="a password\n",
            capture_output=True,
            text=True,
            timeout=COMMANDS_S,
            check=False,
        )
        assert done.returncode == 0, f"{block} ended with {done.returncode}:\n{block.text}{done.stdout}{done.stderr}"
        return done.stdout

    def chapar(self, *words: str) -> Any:
        """Run a command, and return what it printed for programs."""
        done = subprocess.run(
            [sys.executable, "-m", "services.cli", *words, "--json"],
            cwd=ROOT,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=COMMANDS_S,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def lose(self) -> None:
        """Lose the disk. Nothing runs any more."""
        assert self._ended.is_set(), "the services still run"
        shutil.rmtree(self.home)

    def environment(self) -> dict[str, str]:
        """Return the environment of the machine's shell."""
        return self._environment()

    def _environment(self) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("CHAPAR_", "KAFKA_"))}
        kept = {name: os.environ[name] for name in ("CHAPAR_CACHE_DIR", "CHAPAR_MAVEN_URL") if name in os.environ}
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        own = {"CHAPAR_HOME": str(self.home), "CHAPAR_INGEST_DATABASE_URL": self._database, "CHAPAR_COMPILE": "false"}
        return {**outside, **kept, "PATH": programs, **own}

    def stop(self) -> None:
        """Stop the services, if they run."""
        if self._process is not None and not self._ended.is_set():
            self._process.send_signal(signal.SIGINT)
            if not self._ended.wait(STOPPED_WITHIN_S):
                self._process.kill()
                self._ended.wait()


@contextlib.contextmanager
def a_machine(home: Path, database: str) -> Iterator[Machine]:
    """Start a machine, and stop it at the end."""
    machine = Machine(home, database)
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()
