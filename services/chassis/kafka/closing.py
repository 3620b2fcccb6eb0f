"""Closes a Kafka client whose results no longer matter, so that it cannot fail its owner.

aiokafka closes gracefully: it flushes, waits for responses and leaves groups. Without a broker that waits for ever. With a request
in progress it raises unexpected exceptions: `KeyError` from the producer's accumulator, `AssertionError` from its batches,
`CancelledError` from a background task. A service must survive each of these, because closing a client is part of each recovery.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

log = logging.getLogger(__name__)

_GRACE: Final = 0.2
"""Seconds that a step gets to end after it was cancelled. After that it is abandoned."""

Step = tuple[str, Callable[[], Awaitable[object]]]
"""A name for the log, and the function that closes it."""


async def close_all(steps: Sequence[Step], timeout: float) -> int:  # noqa: ASYNC109 - a deadline for giving up, not for the result
    """Run each step in order, for at most `timeout` seconds each. Return how many did not end well.

    Never raises, except for the cancellation of the caller, and then only after every step has had its turn.
    """
    failed, cancelled = 0, False
    for what, close in steps:
        task = asyncio.ensure_future(_run(what, close))
        cancelled |= await _wait(task, timeout)
        if not task.done():
            log.warning("closing a %s took longer than %.1f s; left to the broker's own time-outs", what, timeout)
            task.cancel()
            cancelled |= await _wait(task, _GRACE)
            task.add_done_callback(_seen)
            failed += 1
        elif task.cancelled():  # aiokafka awaits background tasks of its own that were cancelled already
            log.debug("closing a %s met a task that was already cancelled", what)
        else:
            failed += not task.result()
    if cancelled:
        raise asyncio.CancelledError
    return failed


async def _run(what: str, close: Callable[[], Awaitable[object]]) -> bool:
    """Whether it ended without an exception."""
    try:
        await close()
    except Exception as error:  # noqa: BLE001 - whatever a broken client raises must not reach its owner
        log.warning("closing a %s: %s", what, repr(error))
        return False
    return True


async def _wait(task: "asyncio.Future[bool]", seconds: float) -> bool:
    """Wait for the task, at most `seconds`, and not shorter when the caller is cancelled. Return whether the caller was."""
    cancelled, loop = False, asyncio.get_running_loop()
    until = loop.time() + seconds
    while not task.done() and (left := until - loop.time()) > 0:
        try:
            await asyncio.wait({task}, timeout=left)
        except asyncio.CancelledError:
            cancelled = True
    return cancelled


def _seen(task: "asyncio.Future[Any]") -> None:
    """Retrieve the result, so that asyncio does not report it as never retrieved."""
    if not task.cancelled():
        task.exception()
