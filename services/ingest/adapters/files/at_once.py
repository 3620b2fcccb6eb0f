"""Carries out one operation for several items, some of them at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def each_at_once(
    operation: Callable[[Item], Awaitable[Result]], items: Iterable[Item], most: int
) -> list[Result]:
    """Return the results in the order of the items; at most `most` operations run at the same time.

    When one fails, no further one begins, and its error is raised when all that had begun have ended: none of them runs
    beside a second attempt of the caller. A caller that is cancelled waits for them too.
    """
    waiting = list(enumerate(items))
    if len(waiting) == 1:
        return [await operation(waiting[0][1])]
    waiting.reverse()
    results: dict[int, Result] = {}
    errors: list[BaseException] = []

    async def work() -> None:
        while waiting and not errors:
            number, item = waiting.pop()
            try:
                results[number] = await operation(item)
            except BaseException as error:
                errors.append(error)
                raise

    ended = await asyncio.gather(*(work() for _ in range(min(most, len(waiting)))), return_exceptions=True)
    for error in ended:
        if error is not None:
            raise error
    return [results[number] for number in range(len(results))]
