"""Starts and stops the one broker of a home. The calls block; `embedded.py` is the asynchronous interface.

Rules:
- One home, one broker: starts of the same home wait for each other (a lock file), and the second finds the first's broker running.
- A *detached* broker survives the process that started it (`make kafka`); a *tethered* one ends with that process, even if it is killed.
  A tethered broker lives only as long as the *thread* that started it (see tether.py).
- Ready means: the broker answers a metadata request, lists itself as a live broker, is the cluster whose data is in this home, and groups
  and transactions can begin.
- A broker that was not stopped properly is repaired after its start, before the call returns (repair.py).
- Data survives everything but `reset`. Formatting uses another directory, which is then renamed: a killed first start leaves no partial data.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from services.cli.local.broker import process, state, tether, trouble
from services.cli.local.broker.cache import Cache
from services.cli.local.broker.errors import BrokerError
from services.cli.local.broker.java import find_java, packaged_java
from services.cli.local.broker.jvm import Jvm, adopt
from services.cli.local.broker.lock import load_lock
from services.cli.local.broker.machine import measure
from services.cli.local.broker.ports import Ports, settle_ports
from services.cli.local.broker.probe import ask_metadata, has_coordinators
from services.cli.local.broker.properties import TEMPLATE, render
from services.cli.local.broker.settings import BrokerSettings
from services.cli.local.broker.sizing import choose
from services.cli.local.broker.state import Running

READY_WITHIN_S = 60.0
"""A start takes 2 s; the rest is for the recovery of many logs after a kill, on a slow disk."""
STOP_GRACE_S = 40.0
"""A stop takes 0.3 s, but up to 6 s of a free core when Java also writes the archive of classes (see jvm.py)."""

Progress = Callable[[int], object]
"""Called with the number of bytes each time some arrived; negative when some had to be discarded."""
ShowProgress = Callable[[int, int], AbstractContextManager[Progress]]
"""Given the number of files and of bytes, shows the progress of a download while its context is open."""


@contextlib.contextmanager
def silently(files: int, size: int) -> Iterator[Progress]:
    """Show no progress."""
    yield lambda count: None


class BrokerServer:
    """Starts, finds and stops the one broker of a home directory."""

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        show_progress: ShowProgress = silently,
        template: Path = TEMPLATE,
        say: Callable[[str], object] = lambda sentence: None,
    ) -> None:
        """`template`: another server.properties, with the same places to fill in. `say` gets a sentence for each repair."""
        self._template = template
        self._say = say
        self.settings = settings
        self.home = settings.kafka_home
        self._show_progress = show_progress

    @property
    def log(self) -> Path:
        """The file with the broker's output."""
        return self.home / "kafka.log"

    @property
    def owner(self) -> str:
        """The text that names this process in a tethered broker's state."""
        return f"{os.getpid()}/{process.identity(os.getpid())}"

    def running(self) -> Running | None:
        """Return the broker that runs in this home; None if none does."""
        return state.read(self.home)

    def fetch(self) -> Jvm:
        """Find or download everything that a start needs. Raises BrokerError."""
        lock = load_lock()
        java = find_java(packaged=packaged_java())
        cache = Cache(self.settings.cache)
        if missing := cache.missing(lock):
            from services.cli.local.broker.fetch import (
                Fetcher,
            )  # imported here: importing an HTTP client costs more than hashing all jars

            fetcher = Fetcher(cache, self.settings.maven_url)
            with self._show_progress(len(missing), sum(jar.size for jar in missing)) as progress:
                fetcher.fetch(missing, progress)
        return Jvm(
            java=java,
            classpath=cache.classpath(lock),
            archives=self.settings.cache / "kafka",
            sizing=choose(measure(), self.settings.kafka_heap, self.settings.kafka_full_compiler),
        )

    def start(self, *, tethered: bool = False) -> tuple[Running, bool]:
        """Return the ready broker, and whether this call started it. Raises BrokerError."""
        with self._explained(), self._alone():
            if (running := self.running()) is not None:
                self._wait_ready(running)
                return running, False
            jvm = self.fetch()
            killed = self._was_killed()
            for last_try in (False, True):
                running = self._spawn(jvm, tethered=tethered)
                try:
                    self._wait_ready(running)
                    if killed:
                        self._repair(running)
                except trouble.PortTakenError:
                    if last_try or self.settings.kafka_port is not None:
                        raise
                    (self.home / "ports.json").unlink(missing_ok=True)
                    continue
                except BaseException:
                    self._end(running)
                    raise
                return running, True
            raise AssertionError("the loop returns or raises")

    def stop(self) -> Running | None:
        """Stop the broker properly. Return the broker that was running, or None."""
        with self._explained(), self._alone():
            if (running := self.running()) is not None:
                self._end(running)
            return running

    def kill(self) -> None:
        """Kill the broker as a power cut would: for tests of recovery."""
        if (running := self.running()) is not None:
            os.kill(running.pid, 9)
            process.wait_gone(running.pid, running.identity, STOP_GRACE_S, lambda: _reap(running.pid))

    def reset(self) -> None:
        """Stop the broker and delete its data, ports and logs."""
        self.stop()
        with self._explained():
            if self.home.exists():
                shutil.rmtree(self.home)

    def _spawn(self, jvm: Jvm, *, tethered: bool) -> Running:
        ports = settle_ports(self.home, self.settings.kafka_port)
        self._format(jvm, ports)
        properties = self.home / "server.properties"
        properties.write_text(render(ports, Path("data"), self._template))
        scratch = self._fresh_scratch()
        if self.log.exists():
            self.log.replace(self.log.with_name("kafka.log.1"))
        command = jvm.command(
            "kafka.Kafka", properties.name, scratch=scratch, record=self.home / f"{jvm.archive.name}.new"
        )
        parent = str(os.getpid() if tethered else 0)
        argv = [sys.executable, "-I", "-S", tether.__file__, parent, str(self.home), str(self.log), *command]
        pid = os.posix_spawn(sys.executable, argv, dict(os.environ))
        running = Running(
            pid=pid,
            identity=process.identity(pid) or "gone",
            ports=ports,
            java=str(jvm.java.executable),
            owner=self.owner if tethered else None,
            sizing=str(jvm.sizing),
        )
        state.write(self.home, running)
        return running

    def _format(self, jvm: Jvm, ports: Ports) -> None:
        data = self.home / "data"
        if (data / "meta.properties").exists():
            return
        new = self.home / "data.new"
        for leftover in (data, new):
            if leftover.exists():
                shutil.rmtree(leftover)
        properties = self.home / "format.properties"
        properties.write_text(render(ports, Path(new.name), self._template))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # '=' because an id may begin with '-'
        command = jvm.command(
            "kafka.tools.StorageTool",
            *("format", f"--cluster-id={cluster}", "-c", properties.name),
            scratch=self._fresh_scratch(),
        )
        done = subprocess.run(command, cwd=self.home, capture_output=True, timeout=READY_WITHIN_S, check=False)  # noqa: S603
        if done.returncode != 0:
            self.log.write_bytes(done.stdout + done.stderr)
            raise trouble.explain(self.log)
        new.replace(data)

    def _wait_ready(self, running: Running) -> None:
        meta = (self.home / "data" / "meta.properties").read_text()
        cluster = next((line.partition("=")[2] for line in meta.splitlines() if line.startswith("cluster.id=")), "")
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            found = ask_metadata("127.0.0.1", running.ports.client)
            is_ours = found is not None and found.id == cluster and running.bootstrap in found.brokers
            if is_ours and has_coordinators("127.0.0.1", running.ports.client):
                return
            _reap(running.pid)
            if process.identity(running.pid) != running.identity:
                state.forget(self.home)
                raise trouble.explain(self.log)
            time.sleep(0.03)  # polling: only a response shows that it is ready
        raise BrokerError(
            f"The broker (process {running.pid}) has not answered within {READY_WITHIN_S:.0f} s: see {self.log}."
        )

    def _was_killed(self) -> bool:
        """Return whether transactions may have been open when the last broker of this home ended: Kafka leaves a file when it stops."""
        data = self.home / "data"
        return any(data.glob("__transaction_state-*")) and not (data / ".kafka_cleanshutdown").exists()

    def _repair(self, running: Running) -> None:
        # Imported here: it needs the client, which costs more than the start of most commands.
        from services.cli.local.broker.repair import end_hanging

        end_hanging(running.bootstrap, self._say)

    def _end(self, running: Running) -> None:
        proper = process.end(running.pid, running.identity, STOP_GRACE_S, lambda: _reap(running.pid))
        state.forget(self.home)
        for recorded in self.home.glob("classes-*.new"):
            if proper:
                adopt(recorded, self.settings.cache / "kafka")
            else:
                recorded.unlink()

    def _fresh_scratch(self) -> Path:
        scratch = self.home / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        return scratch

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.home.parent / f"{self.home.name}.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise BrokerError(
                    f"The disk of {self.home} is full: free some space there, or set CHAPAR_HOME to another disk."
                ) from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT, errno.EEXIST):
                raise BrokerError(
                    f"The broker's home {self.home} cannot be written ({error.strerror}): "
                    "fix its permissions, or set CHAPAR_HOME to a directory that you own."
                ) from error
            raise


def _reap(pid: int) -> None:
    """Wait for the process if it is our child. A detached broker that another process started is not."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
