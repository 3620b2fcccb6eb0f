"""A Docker engine of our own: own data, own socket, no firewall rules and no bridge, so the machine is as before when it has stopped.

Containers of it use the host's network. Images and the build's cache stay in its directory, for the next run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.image.programs import NoEngineError

READY_WITHIN_S: Final = 60.0
STOP_WITHIN_S: Final = 60.0
_LONGEST_SOCKET: Final = 107
"""Bytes of the path of a Unix socket, on Linux."""


class DockerError(Exception):
    """A docker command failed. The text is the command and the end of its output."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine, by the variables that the docker command reads."""

    environment: Mapping[str, str]

    def docker(self, *words: str, timeout: float = 600, stdin: bytes | None = None) -> str:
        """Run a docker command and return its output. Raises DockerError."""
        try:
            done = subprocess.run(
                self.command(*words),
                env=dict(self.environment),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise DockerError(f"docker {' '.join(words)}: no end after {timeout:g} s") from late
        said = done.stdout.decode(errors="replace")
        if done.returncode != 0:
            end = (said + done.stderr.decode(errors="replace")).strip()[-4000:]
            raise DockerError(f"docker {' '.join(words)}: exit code {done.returncode}\n{end}")
        return said

    def command(self, *words: str) -> list[str]:
        """Return the words that run a docker command, for a process that the caller starts with `environment`."""
        return ["docker", *words]

    def has_image(self, tag: str) -> bool:
        """Return whether the engine has an image of this name."""
        return bool(self.docker("images", "--quiet", tag).strip())


def variables(directory: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of docker commands for the engine in `directory`; the user's own settings of docker do not count."""
    kept = {name: value for name, value in given.items() if not name.startswith("DOCKER_")}
    return {
        **kept,
        "DOCKER_HOST": f"unix://{directory / 'socket'}",
        "DOCKER_CONFIG": str(directory / "client"),
        "DOCKER_BUILDKIT": "0",  # the builder that is part of the engine
    }


def arguments(directory: Path) -> list[str]:
    """Return the engine's command line. Raises NoEngineError when the path is too long for its sockets."""
    longest = directory / "exec/containerd/containerd-debug.sock"
    if len(os.fsencode(longest)) > _LONGEST_SOCKET:
        raise NoEngineError(f"The path {longest} is too long for a socket: use a checkout with a shorter path.")
    return [
        "dockerd",
        f"--host=unix://{directory / 'socket'}",
        f"--data-root={directory / 'data'}",
        f"--exec-root={directory / 'exec'}",
        f"--pidfile={directory / 'pid'}",
        f"--config-file={directory / 'daemon.json'}",
        "--iptables=false",
        "--bridge=none",
        "--userland-proxy=false",
        "--log-level=warn",
    ]


@contextmanager
def running_engine(directory: Path) -> Iterator[Engine]:
    """Run an engine in `directory` until the block ends, also when it fails. Raises NoEngineError when the engine cannot start here."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "client").mkdir(exist_ok=True)
    (directory / "daemon.json").write_text("{}\n")
    words = arguments(directory)
    _stop_left_over(directory)
    log = directory / "dockerd.log"
    with log.open("wb") as output:
        # In a session of its own: Ctrl-C ends this process, which then stops the engine.
        process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    engine = Engine(variables(directory, os.environ))
    try:
        _wait_ready(process, engine, log)
        yield engine
    finally:
        _remove_containers(engine)
        stop(process)
        unmount_below(directory)


def mounts_below(directory: Path, mounts: str) -> list[str]:
    """Return the places below `directory` where something is mounted, the deepest first. `mounts`: the text of /proc/self/mounts."""
    places = [line.split(" ")[1].encode().decode("unicode_escape") for line in mounts.splitlines()]
    return sorted((place for place in places if Path(place).is_relative_to(directory)), reverse=True)


def unmount_below(directory: Path) -> None:
    """Unmount what the engine leaves mounted, such as the network's namespace; otherwise the directory could not be deleted."""
    for place in mounts_below(directory, Path("/proc/self/mounts").read_text()):
        subprocess.run(["umount", place], check=True)


def _stop_left_over(directory: Path) -> None:
    """Stop the engine of a run that was killed."""
    try:
        pid = int((directory / "pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ValueError):
        return
    if os.fsencode(f"--data-root={directory / 'data'}") not in command.split(b"\0"):
        return
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + STOP_WITHIN_S
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > end:
            raise NoEngineError(f"The engine of an earlier run (process {pid}) does not stop.")
        time.sleep(0.1)  # polling: it is not our child


def _wait_ready(process: subprocess.Popen[bytes], engine: Engine, log: Path) -> None:
    end = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            engine.docker("version", timeout=10)
        except DockerError as error:
            if process.poll() is not None:
                raise NoEngineError(f"The engine ended at its start:\n{_tail(log)}") from error
            if time.monotonic() > end:
                raise NoEngineError(
                    f"The engine has not answered within {READY_WITHIN_S:.0f} s:\n{_tail(log)}"
                ) from error
            time.sleep(0.2)  # polling: only an answer shows that it is ready
        else:
            return


def _remove_containers(engine: Engine) -> None:
    """Remove what a failed run left behind, with the anonymous volumes."""
    try:
        if left := engine.docker("ps", "--all", "--quiet", timeout=30).split():
            engine.docker("rm", "--force", "--volumes", *left, timeout=120)
    except DockerError as error:
        print(error, flush=True)  # the engine is stopped next, and its containers with it


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the engine and its containers; kill its whole session when it does not end."""
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(log: Path, lines: int = 12) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def words_of_build(dockerfile: Path, context: Path, tag: str, build_arguments: Sequence[str] = ()) -> list[str]:
    """Return the words of a docker build with the host's network: the engine has no other."""
    given = [f"--build-arg={each}" for each in build_arguments]
    return ["build", "--network=host", f"--file={dockerfile}", f"--tag={tag}", *given, str(context)]
