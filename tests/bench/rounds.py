"""One round of messages at a steady rate, and the times of each message."""

import asyncio
import time
from collections.abc import Awaitable, Callable

LATE_S = 120.0
"""The time that a round waits for missing messages after the last one was sent, seconds."""

Submit = Callable[[int], Awaitable[None]]


class RoundIncomplete(Exception):  # noqa: N818 - the name says what happened
    """Some messages of a round did not arrive in time. The text says how many, and of which part."""


class Clocked:
    """Times of submission, acknowledgement and arrival, by number of the message; seconds on one clock."""

    def __init__(self, expected: int) -> None:
        self.submitted: dict[int, float] = {}
        self.acknowledged: dict[int, float] = {}
        self.arrived: dict[int, float] = {}
        self._expected = expected
        self._done = asyncio.Event()

    def submit(self, number: int) -> None:
        self.submitted.setdefault(number, time.monotonic())

    def acknowledge(self, number: int) -> None:
        self.acknowledged.setdefault(number, time.monotonic())
        self._check()

    def arrive(self, number: int) -> None:
        self.arrived.setdefault(number, time.monotonic())
        self._check()

    def _check(self) -> None:
        if len(self.arrived) >= self._expected and len(self.acknowledged) >= self._expected:
            self._done.set()

    async def complete(self, within_s: float = LATE_S) -> None:
        """Wait until every message was acknowledged and has arrived. Raises RoundIncomplete."""
        try:
            async with asyncio.timeout(within_s):
                await self._done.wait()
        except TimeoutError as error:
            raise RoundIncomplete(
                f"of {self._expected} messages, {len(self.acknowledged)} were acknowledged and "
                f"{len(self.arrived)} arrived within {within_s:.0f} s"
            ) from error

    def latencies(self) -> list[float]:
        """Return the seconds from acknowledgement to arrival of all messages; 0 for an arrival before its
        acknowledgement was seen."""
        return [max(0.0, self.arrived[number] - at) for number, at in self.acknowledged.items()]

    def acknowledged_per_s(self) -> float:
        """Return the rate at which messages were acknowledged, from the first submission to the last
        acknowledgement."""
        return len(self.acknowledged) / (max(self.acknowledged.values()) - min(self.submitted.values()))


async def at_rate(rate: float, count: int, submit: Submit) -> None:
    """Submit in an open loop: message n at n / rate, however long the others take."""
    begun = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            ahead = begun + number / rate - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)
            tasks.create_task(_run(submit, number))


async def _run(submit: Submit, number: int) -> None:
    await submit(number)
