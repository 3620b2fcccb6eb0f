"""The receiver of Alertmanager's notifications: it knows which alerts fire, and which have resolved."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from tests.alerts.web import Web

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Notice:
    """One alert in one notification. `at_s`: when it arrived, by the monotonic clock."""

    receiver: str
    labels: Labels
    firing: bool
    at_s: float

    def concerns(self, wanted: Labels) -> bool:
        """Whether the alert has all these labels."""
        return all(self.labels.get(name) == value for name, value in wanted.items())


class Receiver:
    """Receives notifications at `/<name of the receiver>`. Use it as an async context manager."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self._newest: dict[frozenset[tuple[str, str]], Notice] = {}
        self._arrived = asyncio.Condition()
        self._web = Web(self._answer)
        self._waking: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._web.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._waking)
        await self._web.__aexit__()

    def url(self, receiver: str) -> str:
        """Return where Alertmanager sends the notifications of a receiver."""
        return f"http://{self._web.address}/{receiver}"

    def firing(self, wanted: Labels) -> list[Notice]:
        """Return the alerts with these labels that fire now, according to the newest notifications."""
        return [notice for notice in self._newest.values() if notice.firing and notice.concerns(wanted)]

    async def fires(self, wanted: Labels, since_s: float, within_s: float) -> Notice:
        """Wait until an alert with these labels is reported after `since_s`. Raises TimeoutError."""

        def found() -> Notice | None:
            late = (each for each in self.notices if each.firing and each.at_s >= since_s and each.concerns(wanted))
            return next(late, None)

        async with asyncio.timeout(within_s), self._arrived:
            await self._arrived.wait_for(found)
        notice = found()
        assert notice is not None
        return notice

    async def resolves(self, wanted: Labels, within_s: float) -> None:
        """Wait until no alert with these labels fires any more. Raises TimeoutError."""
        async with asyncio.timeout(within_s), self._arrived:
            await self._arrived.wait_for(lambda: not self.firing(wanted))

    def _answer(self, path: str, body: bytes) -> tuple[int, str]:
        for alert in json.loads(body)["alerts"]:
            notice = Notice(path[1:], alert["labels"], alert["status"] == "firing", time.monotonic())
            self.notices.append(notice)
            self._newest[frozenset(notice.labels.items())] = notice
        task = asyncio.get_running_loop().create_task(self._wake())
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)
        return 200, ""

    async def _wake(self) -> None:
        async with self._arrived:
            self._arrived.notify_all()
