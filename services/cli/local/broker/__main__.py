"""`python -m services.cli.local.broker start|stop|status|reset`: controls the embedded broker of this working copy."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator

from pydantic import ValidationError

from services.cli.local.broker import process
from services.cli.local.broker.errors import BrokerError
from services.cli.local.broker.server import BrokerServer, Progress
from services.cli.local.broker.settings import BrokerSettings
from services.cli.local.broker.state import Running

COULD_NOT, NOT_RUNNING = 1, 3


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, COULD_NOT or NOT_RUNNING."""
    parser = argparse.ArgumentParser(prog="python -m services.cli.local.broker", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="download missing files, start the broker, and return when it is ready")
    start.add_argument(
        "--foreground", action="store_true", help="stay in the foreground and stop the broker when this command ends"
    )
    commands.add_parser("stop", help="stop the broker; its data is kept")
    commands.add_parser("status", help=f"show where the broker runs; exit code {NOT_RUNNING} when it does not run")
    commands.add_parser("reset", help="stop the broker and delete its data")
    parsed = parser.parse_args(arguments)
    try:
        server = BrokerServer(BrokerSettings(), show_progress=_bar, say=print)
        match parsed.command:
            case "start":
                return _start(server, foreground=parsed.foreground)
            case "stop":
                stopped = server.stop()
                print(
                    f"Kafka at {stopped.bootstrap} has stopped; its data is kept."
                    if stopped
                    else "Kafka was not running."
                )
            case "status":
                return _status(server)
            case "reset":
                server.reset()
                print(f"Deleted the data of Kafka in {server.home}.")
    except BrokerError as error:
        print(error, file=sys.stderr)
        return COULD_NOT
    except ValidationError as error:
        for problem in error.errors(include_input=False):
            print(f"The setting {'.'.join(map(str, problem['loc']))} is wrong: {problem['msg']}.", file=sys.stderr)
        return COULD_NOT
    return 0


def _start(server: BrokerServer, *, foreground: bool) -> int:
    begun = time.monotonic()
    running, is_new = server.start(tethered=foreground)
    if not is_new:
        print(f"Kafka already runs at {running.bootstrap} (process {running.pid}).")
        return 0
    print(f"Kafka is ready at {running.bootstrap} after {time.monotonic() - begun:.1f} s ({_facts(running)}).")
    print(f"Data and log: {server.home}")
    if foreground:
        asked_to_end = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: asked_to_end.set())
        while server.running() is not None and not asked_to_end.wait(1.0):
            pass  # each second, check that the broker still runs
        server.stop()
    return 0


def _status(server: BrokerServer) -> int:
    running = server.running()
    if running is None:
        print("Kafka is not running.")
        return NOT_RUNNING
    print(f"Kafka runs at {running.bootstrap} ({_facts(running)}).")
    return 0


def _facts(running: Running) -> str:
    resident = process.resident_bytes(running.pid)
    memory = f", {resident / 2**20:.0f} MB" if resident is not None else ""
    sizing = f"; {running.sizing}" if running.sizing else ""
    return f"process {running.pid}{memory}{sizing}"


@contextlib.contextmanager
def _bar(files: int, size: int) -> Iterator[Progress]:
    if not sys.stderr.isatty():
        print(f"Downloading Kafka: {files} files, {size / 1e6:.0f} MB", flush=True)
        yield lambda count: None
        return
    from rich import progress as bars  # imported here: needed once on each machine
    from rich.console import Console

    columns = (
        "Downloading Kafka",
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(f"{files} files", total=size)
        yield lambda count: shown.advance(task, count)


if __name__ == "__main__":
    sys.exit(main())
