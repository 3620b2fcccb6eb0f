"""Print the result of a replay: the figures of each shard, and a difference with both sides."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console

from services.router.replay.difference import Located, Side
from services.router.replay.run import Difference, ShardReport, per_second


def tell(console: Console, reports: Iterable[ShardReport]) -> None:
    """Print everything, for a terminal or a file."""
    for report in reports:
        for line in _figures(report):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        if report.difference is not None:
            for line in _difference(report.shard, report.difference):
                console.print(line, markup=False, highlight=False, soft_wrap=True)


def _figures(report: ShardReport) -> Iterable[str]:
    verdict = "identical" if report.identical else "DIFFERENT"
    if not report.batches and report.identical:
        before = f", {report.before_window} before it" if report.before_window else ""
        yield f"shard {report.shard}: no batch in the window{before}: {verdict}"
        return
    pace = per_second(report.effects, report.seconds)
    yield (
        f"shard {report.shard}: {report.batches} batches, {report.commands} commands, {report.effects} effects, {report.takeovers} takeovers "
        f"in {report.seconds:.1f} s ({pace} events/s): {verdict}"
    )
    if report.batches:
        yield f"  {_moment(report.from_ms)} to {_moment(report.to_ms)}, next command {report.next_offset}"
    gone = f"; {report.not_kept} are no longer kept" if report.not_kept else ""
    yield f"  {report.published} published events and notices were compared{gone}"
    if report.before_window:
        yield f"  {report.before_window} batches before the window were folded and compared as well"


def _difference(shard: int, difference: Difference) -> Iterable[str]:
    journaled, ours = difference.effects
    commands = (
        f"commands {difference.first_offset} to {difference.next_offset - 1}"
        if difference.first_offset < difference.next_offset
        else "a takeover"
        if difference.took_over
        else "timers alone"
    )
    found = difference.found
    yield ""
    yield f"The first difference: shard {shard}, batch {difference.batch} (journal offset {difference.journal_offset}, owner {difference.owner})"
    yield f"  clock     {_moment(difference.clock_ms)} ({difference.clock_ms})"
    yield f"  input     {commands}"
    yield f"  effects   {journaled} in the journal, {ours} in the re-run"
    yield f"  {'what' if found.ordinal is None else f'effect {found.ordinal}':9} {found.summary}"
    for path, original, rerun in found.fields:
        yield f"    {path}: {_shown(original)} in the original, {_shown(rerun)} in the re-run"
    yield from _sides(found)


def _sides(found: Located) -> Iterable[str]:
    for name, side in (("original", found.original), ("re-run", found.rerun)):
        if side is not None:
            yield from _side(name, side)


def _side(name: str, side: Side) -> Iterable[str]:
    yield f"  {name}: {side.topic}, partition {side.partition}, key {side.key}"
    yield from (f"    {line}" for line in json.dumps(side.record, ensure_ascii=False, indent=1).splitlines())


def _shown(value: object) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _moment(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).astimezone().isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"  # a journal that was tampered with may contain any number
