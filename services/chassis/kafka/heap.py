"""The one owner of Python's garbage collector in a process with lanes.

A restored pool is large and lives long. The collector would visit it again and again and find nothing, and a full collection
takes half a second in a large pool. So a pool is frozen (`gc.freeze`: the collector no longer visits it) once it is restored.

A frozen pool is never collected, not even when its partition is lost, because a pool contains reference cycles. So when an
ownership ends, everything is unfrozen, and nothing is frozen again before a full collection has freed what is dead:

    restoring   the collector is off while any partition restores
    live        full collection if an ownership has ended since the last one; freeze
    ended       unfreeze; the full collection follows with the next `live`, or a little later if no partition is taken over

Several lanes of a process share one owner, so that one lane does not switch the collector on while another restores.
"""

import asyncio
import gc
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Self

_SOON: Final = 1.0
"""Seconds after the end of an ownership. A rebalance ends several at once: they are collected together."""


class Heap:
    """Controls the garbage collector; see the module. Use it in one event loop."""

    def __init__(self, soon: float = _SOON) -> None:
        self._soon = soon
        self._restoring = 0
        self._ended = False

    def ownership(self) -> "Ownership":
        """Return one ownership of one partition, from the beginning of the restore to its end."""
        return Ownership(self)

    def _begin(self) -> None:
        self._restoring += 1
        gc.disable()

    def _restored(self) -> None:
        self._restoring -= 1
        if self._restoring == 0:
            gc.enable()

    def _live(self) -> None:
        if self._ended:
            self._collect()
        gc.freeze()

    def _lost(self) -> None:
        gc.unfreeze()
        if not self._ended:
            self._ended = True
            asyncio.get_running_loop().call_later(self._soon, self._sweep)

    def _sweep(self) -> None:
        """Collect what the next takeover would collect, in case none comes."""
        if self._ended:
            self._collect()
            gc.freeze()

    def _collect(self) -> None:
        gc.unfreeze()  # a lane with another `Heap` may have frozen since
        gc.collect()
        self._ended = False


class Ownership(AbstractContextManager["Ownership"]):
    """Enter before the restore; call `live` when the state is complete; leave when nothing refers to the state any more."""

    def __init__(self, heap: Heap) -> None:
        self._heap = heap
        self._restoring = False

    def __enter__(self) -> Self:
        self._restoring = True
        self._heap._begin()
        return self

    def live(self) -> None:
        """Record that the state is restored."""
        self._end_restore()
        self._heap._live()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_restore()
        self._heap._lost()

    def _end_restore(self) -> None:
        if self._restoring:
            self._restoring = False
            self._heap._restored()
