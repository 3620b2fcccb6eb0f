"""Python runs this module at its start, because the campaign puts its directory into PYTHONPATH of the services.

- On SIGUSR2 the process writes the stacks of all its tasks to its log: the campaign asks for them when work is stuck.
- With CHAPAR_CHAOS_POINT the process kills itself with SIGKILL at this named point of a batch, once, when the file
  CHAPAR_CHAOS_ARMED has appeared. The process that removes the file dies: no other process and no successor does.
- With CHAPAR_CHAOS_CLOCK the time of this process is wrong by the number of seconds in this file.
"""

import asyncio
import gc
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def _show_tasks(*_: object) -> None:
    """Write to the log's file itself: the stream belongs to the program."""
    tasks = [each for each in gc.get_objects() if isinstance(each, asyncio.Task) and not each.done()]
    lines = [f"task {task.get_name()}: {' > '.join(_places(task.get_coro()))}\n" for task in tasks]
    os.write(2, "".join(lines).encode())


def _places(waiting: Any) -> Iterator[str]:
    """Yield where a coroutine and those that it awaits are suspended, the outermost first."""
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is not None:
            yield f"{frame.f_code.co_qualname} at {frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)


def _die(point: str) -> None:
    if point != os.environ["CHAPAR_CHAOS_POINT"]:
        return
    try:
        os.unlink(os.environ["CHAPAR_CHAOS_ARMED"])
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(tuning: type[Any], default: Any) -> None:
    """Give every tuning of this class the hook that it has for tests, and the default one, which exists already."""
    build = tuning.__init__

    def with_fault(self: Any, *arguments: Any, **named: Any) -> None:
        build(self, *arguments, **named)
        if self.fault is None:
            object.__setattr__(self, "fault", _die)

    tuning.__init__ = with_fault
    object.__setattr__(default, "fault", _die)


_READ_AGAIN_S = 0.25


def _follow_clock(file: Path) -> None:
    """Let `time.time` and `time.time_ns` return the time that the file says. Other clocks stay right."""
    seconds, nanoseconds, monotonic = time.time, time.time_ns, time.monotonic
    wrong_s, read_at = 0, 0.0

    def ahead_s() -> int:
        nonlocal wrong_s, read_at
        if monotonic() - read_at > _READ_AGAIN_S:
            # A file that is being written is empty for a moment.
            wrong_s, read_at = int(file.read_text() or wrong_s), monotonic()
        return wrong_s

    time.time = lambda: seconds() + ahead_s()
    time.time_ns = lambda: nanoseconds() + ahead_s() * 1_000_000_000


signal.signal(signal.SIGUSR2, _show_tasks)
if wrong := os.environ.get("CHAPAR_CHAOS_CLOCK"):
    _follow_clock(Path(wrong))
if os.environ.get("CHAPAR_CHAOS_POINT"):
    from services.chassis.kafka import runner, writer
    from services.chassis.kafka.contract import LaneTuning

    _arm(LaneTuning, runner._DEFAULT_TUNING)
    _arm(writer.WriterTuning, writer._DEFAULT_TUNING)
