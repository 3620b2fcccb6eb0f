"""Provokes every alert of the table, and reports each one that does not fire, does not resolve, or fires without a cause."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.alerts.demo import empty_panels
from tests.alerts.exposition import Change, Phase, ReplayServer
from tests.alerts.faults import callers_without_a_proof
from tests.alerts.installation import NAMESPACE, Installation, an_installation
from tests.alerts.monitoring import alertmanager, backfill, prometheus
from tests.alerts.receiver import Receiver
from tests.alerts.rows import ROWS, Real, Replayed, Row
from tests.alerts.shipped import (
    Target,
    alerts,
    lookback,
    metrics_read,
    receivers,
    write_alertmanager,
    write_prometheus,
)

SECOND: Final = "staging"
"""Another installation in the same Prometheus. It is healthy all the time, and must neither alert nor hide alerts."""
QUIET_S: Final = 15.0
_PAST_S: Final = range(6 * 3600, 20 * 60, -60)


@dataclass(slots=True)
class Result:
    """The result of a row. Times are None when it did not happen in time."""

    row: Row
    fired_s: float | None = None
    resolved_s: float | None = None
    complaint: str = ""

    def line(self) -> str:
        """Return the line of the table."""
        kind = "fault" if isinstance(self.row.how, Real) else "replay"
        times = " ".join("      -" if each is None else f"{each:6.1f}s" for each in (self.fired_s, self.resolved_s))
        return f"{self.row.name:62} {kind:6} {times}  {self.complaint or 'ok'}"


@dataclass(slots=True)
class Findings:
    """Everything that the check found."""

    results: list[Result] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    patience: float = 1.0
    """All times that the rows allow are multiplied by it: a busy machine is slow."""
    names: frozenset[str] = frozenset()
    """The names of all series of the installation."""
    empty: tuple[str, ...] = ()
    """Panels without data all the time."""


def missing_rows(rows: Sequence[Row] = ROWS) -> list[str]:
    """Return the shipped alerts without a row, and rows without an alert."""
    shipped, listed = set(alerts()), {row.alert for row in rows}
    return [f"{name} has no row" for name in sorted(shipped - listed)] + [
        f"there is no alert {name}" for name in sorted(listed - shipped)
    ]


def namespace_of(row: Row) -> str:
    """Return the namespace in which a row's alert fires: each replay has one of its own."""
    return NAMESPACE if isinstance(row.how, Real) else f"replay-{row.alert.lower()}"


async def provoke(
    directory: Path, recordings: Mapping[str, str], factor: int, rows: Sequence[Row], patience: float = 1.0
) -> Findings:
    """Provoke the alerts of the rows. `recordings`: healthy expositions by job. `patience`: see Findings."""
    directory.mkdir(parents=True)  # noqa: ASYNC240 - once, before anything runs
    findings = Findings(patience=patience)
    replayed = {namespace_of(row): row.how for row in rows if isinstance(row.how, Replayed)}
    async with AsyncExitStack() as exits:
        receiver = await exits.enter_async_context(Receiver())
        replays = await exits.enter_async_context(
            ReplayServer(recordings, {namespace: how.replay for namespace, how in replayed.items()}, metrics_read())
        )
        installation = await exits.enter_async_context(an_installation(directory))
        urls = {name: receiver.url(name) for name in receivers()}
        address = await exits.enter_async_context(alertmanager(write_alertmanager(directory, urls, factor)))
        await _fill_the_past(directory, replayed)
        file = write_prometheus(directory, _targets(installation, replays, recordings, replayed), address, factor)
        found = await exits.enter_async_context(prometheus(file, lookback(factor)))
        began_s = time.time()
        await asyncio.sleep(QUIET_S)  # nothing is wrong yet: nothing may fire
        unscraped = await found.unscraped(began_s, time.time())
        findings.complaints += [
            f"fires without a cause: {dict(each.labels)}"
            for each in receiver.firing({})
            if each.labels.get("namespace") not in unscraped
        ]
        async with asyncio.TaskGroup() as tasks:
            for row in rows:
                if isinstance(row.how, Replayed):
                    tasks.create_task(_replay(row, replays, receiver, findings))
            async with callers_without_a_proof(installation):
                await _inject(rows, installation, receiver, findings, tasks)
        # A fault restarts sla on purpose; no other process may end.
        restarts = installation.stack.supervisor.restarts()
        findings.complaints += [f"{name} ended {n} times" for name, n in restarts.items() if n and name != "sla"]
        unscraped = await found.unscraped(began_s, time.time()) - {NAMESPACE}
        if unscraped:
            print(
                f"not judged, because a scrape failed on this busy machine: {', '.join(sorted(unscraped))}", flush=True
            )
        findings.complaints += _collateral(receiver, rows, unscraped)
        findings.names = frozenset(await found.names(NAMESPACE))
        findings.empty = tuple(await empty_panels(found, began_s, time.time()))
    return findings


def _targets(
    installation: Installation, replays: ReplayServer, recordings: Mapping[str, str], replayed: Mapping[str, Replayed]
) -> dict[str, list[Target]]:
    found = installation.targets()
    served = [(namespace, how.replay.job) for namespace, how in replayed.items()]
    served += [(SECOND, job) for job in recordings]
    for namespace, job in served:
        found.setdefault(job, []).append(Target(replays.address, namespace, "0", f"/{namespace}/{job}"))
    return found


async def _fill_the_past(directory: Path, replayed: Mapping[str, Replayed]) -> None:
    """Write the series that alerts compare with over days."""
    now_s = int(time.time())
    past = [(namespace, how.replay.job, change) for namespace, how in replayed.items() for change in how.past]
    lines = [
        _sample(namespace, job, change, now_s - ago_s)
        for namespace, job, change in sorted(past, key=lambda each: each[2].name)
        for ago_s in _PAST_S
    ]
    if lines:
        file = directory / "past.openmetrics"
        file.write_text("".join(lines) + "# EOF\n", encoding="utf-8")
        await backfill(file, directory / "data")


def _sample(namespace: str, job: str, change: Change, at_s: int) -> str:
    labels = {**change.labels, "namespace": namespace, "job": job, "instance": "0"}
    inner = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{change.name}{{{inner}}} {change.value} {at_s}\n"


async def _replay(row: Row, replays: ReplayServer, receiver: Receiver, findings: Findings) -> None:
    namespace = namespace_of(row)
    result = Result(row)
    findings.results.append(result)
    replays.phases[namespace] = Phase.FAULT
    if await _fires(result, namespace, receiver, time.monotonic(), findings.patience):
        replays.phases[namespace] = Phase.CURED
        await _resolves(result, namespace, receiver, findings.patience)
    print(result.line(), flush=True)


async def _inject(
    rows: Sequence[Row], installation: Installation, receiver: Receiver, findings: Findings, tasks: asyncio.TaskGroup
) -> None:
    """Inject one fault after another. The alerts of a cured fault may resolve while the next faults are injected."""
    real = [row for row in rows if isinstance(row.how, Real)]
    for how, group in itertools.groupby(real, key=lambda row: row.how):
        assert isinstance(how, Real)
        results = [Result(row) for row in group]
        findings.results += results
        began_s = time.monotonic()
        async with how.fault(installation):
            fired = await asyncio.gather(
                *(_fires(each, NAMESPACE, receiver, began_s, findings.patience) for each in results)
            )
        for result, has_fired in zip(results, fired, strict=True):
            tasks.create_task(_cured(result, has_fired, receiver, findings.patience))


async def _cured(result: Result, has_fired: bool, receiver: Receiver, patience: float) -> None:
    if has_fired:
        await _resolves(result, NAMESPACE, receiver, patience)
    print(result.line(), flush=True)


async def _fires(result: Result, namespace: str, receiver: Receiver, since_s: float, patience: float) -> bool:
    row, within_s = result.row, result.row.fires_s * patience
    severity = alerts()[row.alert]["labels"]["severity"]
    wanted = {"alertname": row.alert, "namespace": namespace, **row.labels}
    try:
        notice = await receiver.fires(wanted, since_s, within_s)
    except TimeoutError:
        result.complaint = f"did not fire within {within_s:g} s"
        return False
    result.fired_s = notice.at_s - since_s
    if notice.receiver != f"{severity}s":
        result.complaint = f"a {severity} was sent to {notice.receiver}"
    return True


async def _resolves(result: Result, namespace: str, receiver: Receiver, patience: float) -> None:
    row, within_s = result.row, result.row.resolves_s * patience
    cured_s = time.monotonic()
    try:
        await receiver.resolves({"alertname": row.alert, "namespace": namespace, **row.labels}, within_s)
    except TimeoutError:
        result.complaint = f"did not resolve within {within_s:g} s"
        return
    result.resolved_s = time.monotonic() - cured_s


def _collateral(receiver: Receiver, rows: Sequence[Row], unscraped: Collection[str]) -> list[str]:
    """Return alerts of the healthy installation, and of replays that provoke another alert; `unscraped` namespaces are not
    judged."""
    expected = {namespace_of(row): row.alert for row in rows}
    fired = {
        (each.labels.get("namespace", ""), each.labels["alertname"])
        for each in receiver.notices
        if each.firing and each.labels.get("namespace") != NAMESPACE
    }
    return [
        f"fires without a cause: {alert} in {namespace or 'no namespace'}"
        for namespace, alert in sorted(fired)
        if expected.get(namespace) != alert and namespace not in unscraped
    ]
