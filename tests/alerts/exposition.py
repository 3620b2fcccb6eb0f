"""Metrics that were recorded from the real services, served again with some series changed."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from tests.alerts.web import Web

Series = tuple[str, tuple[tuple[str, str], ...]]
"""Name and sorted labels."""


class Phase(Enum):
    """What a replay shows."""

    HEALTHY = "as recorded"
    FAULT = "with the changes of the fault"
    CURED = "as recorded, and what does not go back: counters"


@dataclass(frozen=True, slots=True)
class Change:
    """A series with another value. Without such a series in the recording it is born. `since_now`: seconds are added to the
    time of the scrape, for metrics that are moments."""

    name: str
    labels: Mapping[str, str]
    value: float
    since_now: bool = False
    stays: bool = False
    """Whether the cure leaves the value: counters never go back."""
    grows: float = 0
    """Added for each second of the fault, to counters that go on rising."""


@dataclass(frozen=True, slots=True)
class Replay:
    """One job in a namespace of its own. `missing`: metrics that the fault removes."""

    job: str
    changes: Sequence[Change] = ()
    missing: frozenset[str] = frozenset()


def recorded(text: str) -> dict[Series, float]:
    """Return the series of an exposition."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def changed(
    series: Mapping[Series, float], replay: Replay, phase: Phase, now_s: float, fault_s: float = 0
) -> dict[Series, float]:
    """Return the series in a phase of a replay. `fault_s`: how long the fault has lasted, or lasted until its cure."""
    found = dict(series)
    if phase is Phase.HEALTHY:
        return found
    for change in replay.changes:
        if phase is Phase.FAULT or change.stays:
            key = (change.name, tuple(sorted(change.labels.items())))
            found[key] = change.value + (now_s if change.since_now else 0) + change.grows * fault_s
    if phase is Phase.FAULT:
        found = {key: value for key, value in found.items() if key[0] not in replay.missing}
    return found


def exposition(series: Mapping[Series, float]) -> str:
    """Return series as the text that Prometheus scrapes."""
    return "".join(f"{name}{_braces(labels)} {value!r}\n" for (name, labels), value in series.items())


def _braces(labels: Iterable[tuple[str, str]]) -> str:
    escaped = ((name, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for name, value in labels)
    inner = ",".join(f'{name}="{value}"' for name, value in escaped)
    return f"{{{inner}}}" if inner else ""


@dataclass
class ReplayServer:
    """Serves `/<namespace>/<job>`. `recordings`: expositions by job; `replays`: by namespace. Only metrics in `names` are served:
    what no rule reads would cost as much as the rest together."""

    recordings: Mapping[str, str]
    replays: Mapping[str, Replay]
    names: Collection[str]
    phases: dict[str, Phase] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._series = {
            job: {key: value for key, value in recorded(text).items() if key[0] in self.names}
            for job, text in self.recordings.items()
        }
        self._texts = {job: exposition(series) for job, series in self._series.items()}
        self._began: dict[str, float] = {}
        self._lasted: dict[str, float] = {}
        self._web = Web(self._answer)

    async def __aenter__(self) -> Self:
        await self._web.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._web.__aexit__()

    @property
    def address(self) -> str:
        """host:port of the server."""
        return self._web.address

    def _answer(self, path: str, _body: bytes) -> tuple[int, str]:
        _, namespace, job = path.split("/")
        replay, phase = self.replays.get(namespace), self.phases.get(namespace, Phase.HEALTHY)
        if replay is None or replay.job != job or phase is Phase.HEALTHY:
            return 200, self._texts.get(job, "")
        now_s = time.time()
        if phase is Phase.FAULT:
            self._lasted[namespace] = now_s - self._began.setdefault(namespace, now_s)
        lasted_s = self._lasted.get(namespace, 0)
        return 200, exposition(changed(self._series.get(job, {}), replay, phase, now_s, lasted_s))
