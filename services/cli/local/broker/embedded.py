"""The embedded broker for asynchronous programs: it is ready when the context begins, and it never outlives the program.

    async with EmbeddedBroker(BrokerSettings()) as broker:
        … broker.bootstrap …

Everything that blocks runs in one separate thread, and that thread lives as long as the broker must live: the operating system ties the
broker's life to the thread that started it (see tether.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from services.cli.local.broker.properties import TEMPLATE
from services.cli.local.broker.server import BrokerServer, ShowProgress, silently
from services.cli.local.broker.settings import BrokerSettings
from services.cli.local.broker.state import Running

T = TypeVar("T")


class EmbeddedBroker:
    """Runs a broker in a context. If the home's broker already runs (`make kafka`), it is used, and it keeps running when the context ends."""

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        detached: bool = False,
        show_progress: ShowProgress = silently,
        template: Path = TEMPLATE,
        say: Callable[[str], object] = lambda sentence: None,
    ) -> None:
        """`detached`: the broker survives this program; leaving the context does not stop it. `template`: another
        server.properties, with the same places to fill in. `say` gets a sentence for each repair after a kill."""
        self._server = BrokerServer(settings, show_progress=show_progress, template=template, say=say)
        self._detached = detached
        self._running: Running | None = None
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="broker-keeper")

    @property
    def bootstrap(self) -> str:
        """Return host:port for clients. Raises RuntimeError outside the context."""
        if self._running is None:
            raise RuntimeError("the broker has not been started")
        return self._running.bootstrap

    @property
    def is_ours(self) -> bool:
        """Return whether the broker stops with this context. False when it is detached or was already running."""
        return self._running is not None and self._running.owner == self._server.owner

    @property
    def pid(self) -> int | None:
        """The process id of the broker; None while none runs."""
        return self._running.pid if self._running else None

    @property
    def sizing(self) -> str:
        """The broker's heap and compiler, and why, in words; empty while none runs."""
        return self._running.sizing if self._running else ""

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def start(self) -> None:
        """Start, also after `kill` or `stop`: with the same data, and the same address unless another process took its port. Raises BrokerError."""
        self._running, _ = await self._in_keeper(lambda: self._server.start(tethered=not self._detached))

    async def ended(self) -> bool:
        """Return whether the broker was started and does not run any more."""
        return await self._in_keeper(self._server.running) is None

    async def stop(self) -> None:
        """Stop the broker properly; its data remain."""
        await self._in_keeper(self._server.stop)

    async def kill(self) -> None:
        """Kill the broker as a power cut would: for tests of recovery."""
        await self._in_keeper(self._server.kill)

    async def restart(self) -> None:
        """Stop the broker properly and start it again with the same data."""
        await self.stop()
        await self.start()

    async def _close(self) -> None:
        try:
            if not self._detached:
                # Also after a cancelled start: the keeper finishes the start first, and then finds the broker that it started.
                await self._in_keeper(self._end_if_ours)
        finally:
            self._keeper.shutdown(wait=False)

    def _end_if_ours(self) -> None:
        running = self._server.running()
        if running is not None and running.owner == self._server.owner:
            self._server.stop()

    async def _in_keeper(self, work: Callable[[], T]) -> T:
        # Shielded: a blocking call cannot be cancelled, only waited for, and the cleanup needs its result.
        future = asyncio.get_running_loop().run_in_executor(self._keeper, work)
        return await asyncio.shield(future)
