"""`python -m services.chassis.broker start|stop|status|reset`: the embedded broker of this copy of the project."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Iterator

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from services.chassis.broker import process
from services.chassis.broker.errors import BrokerError
from services.chassis.broker.fetch import Progress as Count
from services.chassis.broker.server import BrokerServer
from services.chassis.broker.settings import BrokerSettings
from services.chassis.broker.state import Running

COULD_NOT, NOT_RUNNING = 1, 3


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m services.chassis.broker", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="fetch what is missing, start, and return when it is ready")
    start.add_argument("--foreground", action="store_true", help="stay, and end the broker when this command ends")
    commands.add_parser("stop", help="end the broker; its data stay")
    commands.add_parser("status", help=f"say where it runs; exit code {NOT_RUNNING} when it does not")
    commands.add_parser("reset", help="end the broker and drop its data")
    parsed = parser.parse_args(arguments)
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        server = BrokerServer(BrokerSettings(), say=out.print, show_progress=lambda files, size: _bar(err, files, size))
        match parsed.command:
            case "start":
                return _start(server, out, foreground=parsed.foreground)
            case "stop":
                stopped = server.stop()
                out.print(
                    f"Kafka at {stopped.bootstrap} has ended; its data stay." if stopped else "Kafka was not running."
                )
            case "status":
                return _status(server, out)
            case "reset":
                server.reset()
                out.print(f"Dropped the data of Kafka in {server.home}.")
    except BrokerError as error:
        err.print(str(error), markup=False)
        return COULD_NOT
    except ValidationError as error:
        for problem in error.errors(include_input=False):
            err.print(f"The setting {'.'.join(map(str, problem['loc']))} is wrong: {problem['msg']}.", markup=False)
        return COULD_NOT
    return 0


def _start(server: BrokerServer, out: Console, *, foreground: bool) -> int:
    begun = time.monotonic()
    running, is_new = server.start(tethered=foreground)
    if not is_new:
        out.print(f"Kafka already runs at {running.bootstrap} (process {running.pid}).")
        return 0
    out.print(f"Kafka is ready at {running.bootstrap} after {time.monotonic() - begun:.1f} s ({_facts(running)}).")
    out.print(f"Data and log: {server.home}", markup=False)
    if foreground:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        while server.running() is not None and signal.sigtimedwait({signal.SIGINT, signal.SIGTERM}, 1.0) is None:
            pass
        server.stop()
    return 0


def _status(server: BrokerServer, out: Console) -> int:
    running = server.running()
    if running is None:
        out.print("Kafka does not run.")
        return NOT_RUNNING
    out.print(f"Kafka runs at {running.bootstrap} ({_facts(running)}).")
    return 0


def _facts(running: Running) -> str:
    resident = process.resident_bytes(running.pid)
    memory = f", {resident / 2**20:.0f} MB" if resident is not None else ""
    return f"process {running.pid}{memory}"


@contextlib.contextmanager
def _bar(console: Console, files: int, size: int) -> Iterator[Count]:
    columns = ("Fetching Kafka", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{files} files", total=size)
        yield lambda count: progress.advance(task, count)


if __name__ == "__main__":
    sys.exit(main())
