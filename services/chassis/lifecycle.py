"""The life of a process: start, serve, drain, close in reverse order; the shutdown is the same after SIGTERM and after a crash.

    start   settings → logs → metrics → ops server → wiring (an async context manager) → health: wired
    drain   SIGTERM or SIGINT: health NOT_SERVING, `on_drain` hooks (stop offering, move streams), wait `drain_s`
    close   the wiring's context exits, which closes servers with grace, then lanes, then clients, in reverse

A task that fails, or that ends although it should not, closes everything else and makes the process exit with 1 and one
log line. A second signal ends the drain early. Exit codes: 0 asked to stop, 1 crashed, 2 settings refused.

`serving` is the whole service inside another program's event loop: tests embed it, `run_service` wraps it with signals.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from services.chassis.bounded_clock import BoundedClock
from services.chassis.build import show_build
from services.chassis.clock import Clock, system_clock
from services.chassis.clock_metrics import watched_clock
from services.chassis.connections import dropped_counter
from services.chassis.endpoints import FILE_VARIABLE, Endpoints
from services.chassis.errors import ChaparError
from services.chassis.health import Health
from services.chassis.http import http_server
from services.chassis.logs import configure_logging, get_logger
from services.chassis.metrics import Metrics
from services.chassis.ops import OPS_LIMITS, ops_app
from services.chassis.settings import ServiceSettings
from services.chassis.tracing import Tracing

S = TypeVar("S", bound=ServiceSettings)
Hook = Callable[[], Awaitable[None]]

EXIT_OK, EXIT_CRASH, EXIT_SETTINGS = 0, 1, 2
_LAG_PERIOD_S = 0.25
_LAG_WINDOW = 40  # periods: the worst of the last ten seconds


class Ended(RuntimeError):  # noqa: N818 - reads as what happened
    """A task that must run as long as the process has returned."""


@dataclass(slots=True)
class Service(Generic[S]):
    """The objects that the chassis passes to a wiring."""

    name: str
    settings: S
    clock: BoundedClock
    metrics: Metrics
    health: Health
    endpoints: Endpoints
    tracing: Tracing
    _group: asyncio.TaskGroup
    _hooks: list[Hook] = field(default_factory=list)

    def on_drain(self, hook: Hook) -> None:
        """Call `hook` when the drain begins, in order of registration, before servers stop."""
        self._hooks.append(hook)

    @asynccontextmanager
    async def background(
        self, work: Coroutine[Any, Any, None], name: str, *, may_end: bool = False
    ) -> AsyncIterator[asyncio.Task[None]]:
        """Run `work` beside the block and cancel it when the block ends. Its failure is the process's failure."""
        task = self._group.create_task(_guarded(work, name, may_end), name=name)
        try:
            yield task
        finally:
            task.cancel()
            # Its exception, if any, is raised by the group.
            await asyncio.wait([task])
            work.close()  # a task that is cancelled before its first step never touches what it was to run

    async def drain(self) -> None:
        """Call the drain hooks, which make clients go elsewhere, and give the clients time."""
        if self.health.draining:
            return
        self.health.set_draining()
        for hook in self._hooks:
            try:
                async with asyncio.timeout(self.settings.stop_grace_s):
                    await hook()
            except TimeoutError:
                # Other processes will notice by themselves that this one is gone; work in progress must still finish.
                get_logger(__name__).warning("drain hook takes too long", hook=getattr(hook, "__qualname__", "?"))
        await asyncio.sleep(self.settings.drain_s)


Build = Callable[[Service[S]], AbstractAsyncContextManager[None]]
"""A service's wiring: after entering, everything is started; after leaving, everything is closed."""


@asynccontextmanager
async def serving(
    name: str,
    settings: S,
    build: Build[S],
    *,
    clock: Clock = system_clock,
    metrics: Metrics | None = None,
    endpoints: Endpoints | None = None,
) -> AsyncIterator[Service[S]]:
    """Run the whole service for the time of the block. Leaving the block drains and closes it.

    Raises an exception group when a background task fails; the block is cancelled then.
    """
    metrics = metrics or Metrics(most_series=settings.metrics.series, tenants=settings.metrics.tenants)
    show_build(metrics)
    health = Health()
    ready = metrics.gauge("chapar_ready").labels()
    health.on_change(lambda now: ready.set(1 if now else 0))
    tracing = Tracing.start(name, settings.instance, settings.otlp_endpoint, settings.trace_ratio)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, tracing.close)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        bounded = watched_clock(clock, settings.lane.clock_bound_ms, metrics)
        service = Service(name, settings, bounded, metrics, health, endpoints or Endpoints(), tracing, group)
        await stack.enter_async_context(service.background(_watch_loop(metrics), "event loop lag"))
        ops = await stack.enter_async_context(
            http_server(
                ops_app(metrics, health),
                settings.ops_host,
                settings.ops_port,
                grace_s=1,
                limits=OPS_LIMITS,
                dropped=dropped_counter(metrics, "ops"),
            )
        )
        service.endpoints.publish("ops", ops)
        await stack.enter_async_context(build(service))
        health.set_wired()
        try:
            yield service
        except BaseException:
            health.set_draining()
            raise
        await service.drain()


async def run_service(name: str, settings: S, build: Build[S]) -> int:
    """Run until SIGTERM, SIGINT or a crash. Return the exit code."""
    log = get_logger("services.chassis.lifecycle")
    file = os.environ.get(FILE_VARIABLE)
    endpoints = Endpoints(Path(file) if file else None)
    signals = _Signals()
    try:
        with signals.installed():
            async with serving(name, settings, build, endpoints=endpoints) as service:
                log.info("started", endpoints=dict(service.endpoints.known))
                await signals.wait()
                log.info("draining")
        log.info("stopped")
    except asyncio.CancelledError:
        # Interrupted by a second signal, or stopped before it had started.
        log.warning("stopped without draining")
    except Exception as error:  # noqa: BLE001 - the last resort: logged once; the exit code reports it
        _log_crash(error)
        return EXIT_CRASH
    return EXIT_OK


def main(name: str, settings_class: type[S], build: Build[S], argv: Sequence[str] | None = None) -> int:
    """Run a service's `__main__`: settings, logs, run."""
    try:
        settings = settings_class.from_args(argv)
    except ChaparError as error:
        print(f"{name}: {error.message}", file=sys.stderr)
        return EXIT_SETTINGS
    configure_logging(name, settings.instance, settings.log_level, settings.log_human)
    if sys.platform == "win32":
        return asyncio.run(run_service(name, settings, build))
    import uvloop

    return uvloop.run(run_service(name, settings, build))


class _Signals:
    """The first signal asks for a drain; one before the service has started, or the second one, cancels."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._waiting = False

    @contextlib.contextmanager
    def installed(self) -> Any:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received, task)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _received(self, task: asyncio.Task[Any]) -> None:
        if self._waiting and not self._asked.is_set():
            self._asked.set()
        else:
            task.cancel()

    async def wait(self) -> None:
        self._waiting = True
        await self._asked.wait()


async def _guarded(work: Coroutine[Any, Any, None], name: str, may_end: bool) -> None:
    await work
    if not may_end:
        raise Ended(f"{name} ended although it should run as long as the process")


async def _watch_loop(metrics: Metrics) -> None:
    """Measure how late the loop wakes up: this delays everything else in the process."""
    gauge = metrics.gauge("chapar_event_loop_lag_seconds").labels()
    loop = asyncio.get_running_loop()
    recent: list[float] = []
    while True:
        due = loop.time() + _LAG_PERIOD_S
        await asyncio.sleep(_LAG_PERIOD_S)
        recent.append(max(0.0, loop.time() - due))
        del recent[:-_LAG_WINDOW]
        gauge.set(max(recent))


def leaves(error: BaseException) -> list[BaseException]:
    """Return the exceptions inside a group, in order; the error itself when it is not a group."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


def _log_crash(error: Exception) -> None:
    log = get_logger("services.chassis.lifecycle")
    first = leaves(error)[0]
    if isinstance(first, ChaparError):
        # The message is for people: a stack trace would add nothing.
        log.error("service failed", reason=first.reason, message=first.message)
        return
    log.error("service crashed", error=type(first).__name__, message=str(first), exc_info=first)
