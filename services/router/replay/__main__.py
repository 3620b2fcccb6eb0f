"""Entry point of `chapar replay`: `python -m services.router.replay`. KAFKA_* and CHAPAR_TOPIC_PREFIX name the cluster.

Exit codes: 0 identical, 1 different, 2 nothing could be compared (the message says why), 130 interrupted.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.chassis.clock import system_clock
from services.chassis.kafka.clients import BrokerError
from services.chassis.kafka_settings import KafkaSettings
from services.router.lanes.shard import COMMANDS, FEED
from services.router.replay.capture import capture
from services.router.replay.kafka_log import KafkaShardLog, partitions_of
from services.router.replay.log import NotComparable
from services.router.replay.report import tell
from services.router.replay.run import Progress as Tell
from services.router.replay.run import ShardReport, replay
from services.router.replay.state import ShardState, StateFile, StateRefused, StateWriter
from services.router.replay.window import Offset, Window, parse_bound

IDENTICAL: Final = 0
DIFFERENT: Final = 1
NOT_COMPARED: Final = 2
INTERRUPTED: Final = 130


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="replay", description="Replays the router's journal and compares every effect."
    )
    parser.add_argument(
        "--from", dest="begin", default="", metavar="WHEN", help="time, time ago (2h), or offset; default: the start"
    )
    parser.add_argument(
        "--to", dest="end", default="", metavar="WHEN", help="the same, exclusive; default: the journal's end"
    )
    parser.add_argument("--shard", type=int, default=None, metavar="N", help="only this shard")
    parser.add_argument("--state", type=Path, default=None, metavar="FILE", help="start from this state file")
    parser.add_argument(
        "--save", type=Path, default=None, metavar="FILE", help="write the state at the end, if nothing differs"
    )
    parser.add_argument(
        "--capture", type=Path, default=None, metavar="FILE", help="write the running shards' state and compare nothing"
    )
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for programs")
    chosen = parser.parse_args(argv)
    if chosen.capture and (chosen.state or chosen.save or chosen.begin or chosen.end):
        parser.error("--capture can be combined only with --shard")
    now_ms = system_clock()
    try:
        chosen.window = Window(*(parse_bound(text, now_ms) if text else None for text in (chosen.begin, chosen.end)))
    except ValueError as error:
        parser.error(str(error))
    if chosen.shard is None and any(isinstance(bound, Offset) for bound in (chosen.window.begin, chosen.window.end)):
        parser.error("an offset is valid only within one shard: add --shard")
    return chosen


async def interaction(chosen: argparse.Namespace, kafka: KafkaSettings, console: Console, errors: Console) -> int:
    """Do everything after the command line is parsed. Returns the exit code."""
    partitions = await partitions_of(kafka)
    shards = range(partitions[COMMANDS])
    if chosen.shard is not None:
        if chosen.shard not in shards:
            raise NotComparable(f"there is no shard {chosen.shard}: {COMMANDS} has the partitions 0 to {shards[-1]}")
        shards = range(chosen.shard, chosen.shard + 1)
    if chosen.capture is not None:
        return await _capture(chosen, kafka, {n: KafkaShardLog(kafka, n, partitions) for n in shards}, console)
    known = StateFile(chosen.state, kafka.topic_prefix) if chosen.state is not None else None
    reports: list[ShardReport] = []
    unknown: list[str] = []
    with ExitStack() as stack:
        saved = stack.enter_context(StateWriter(chosen.save, kafka.topic_prefix)) if chosen.save is not None else None
        for shard in shards:
            try:
                state = known.shard(shard) if known is not None else ShardState(shard)
                log = KafkaShardLog(kafka, shard, partitions)
                async with _bar(errors, f"shard {shard}") as progress:
                    report = await replay(
                        log, state, window=chosen.window, feed_partitions=partitions[FEED], progress=progress
                    )
            except (NotComparable, StateRefused) as reason:
                unknown.append(str(reason))
                continue
            reports.append(report)
            if saved is not None and report.identical:
                saved.add(state)
        code = DIFFERENT if not all(r.identical for r in reports) else NOT_COMPARED if unknown else IDENTICAL
        if saved is not None and code == IDENTICAL:
            saved.commit()
    _tell(chosen, reports, unknown, code, console, errors)
    return code


def _tell(
    chosen: argparse.Namespace,
    reports: list[ShardReport],
    unknown: list[str],
    code: int,
    console: Console,
    errors: Console,
) -> None:
    verdict = {IDENTICAL: "identical", DIFFERENT: "different"}.get(code, "not compared")
    if chosen.as_json:
        data = {"verdict": verdict, "shards": [report.as_data() for report in reports], "not_compared": unknown}
        print(json.dumps(data, ensure_ascii=False, indent=2, default=_plain))
        return
    tell(console, reports)
    for reason in unknown:
        errors.print(reason, markup=False, highlight=False, soft_wrap=True)
    if chosen.save is not None:
        written = f"state saved in {chosen.save}" if code == IDENTICAL else "no state saved"
        console.print(written, markup=False, highlight=False, soft_wrap=True)
    console.print(verdict, markup=False, highlight=False)


def _plain(value: object) -> str:
    """Return a JSON value for a type that JSON does not have."""
    assert isinstance(value, bytes)
    return value.hex()


async def _capture(
    chosen: argparse.Namespace, kafka: KafkaSettings, logs: dict[int, KafkaShardLog], console: Console
) -> int:
    found = []
    with StateWriter(chosen.capture, kafka.topic_prefix) as writer:
        for shard, log in logs.items():
            state = await capture(kafka, log, shard)
            writer.add(state)
            found.append({"shard": shard, "entities": len(state.entities), "next_offset": state.position})
        writer.commit()
    if chosen.as_json:
        print(json.dumps({"captured": found}, indent=2))
    else:
        for one in found:
            console.print(
                f"shard {one['shard']}: {one['entities']} entities, next command {one['next_offset']}", highlight=False
            )
        console.print(f"state saved in {chosen.capture}", markup=False, highlight=False, soft_wrap=True)
    return IDENTICAL


@asynccontextmanager
async def _bar(errors: Console, name: str) -> AsyncIterator[Tell]:
    """Show progress over the journal's offsets when standard error is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # errors that matter are raised
    console, errors = Console(width=None if sys.stdout.isatty() else 160), Console(stderr=True)
    chosen = arguments(argv)
    try:
        kafka = KafkaSettings.from_environment()
    except ValidationError as error:
        names = ", ".join(sorted({str(part) for problem in error.errors() for part in problem["loc"]})) or "KAFKA_…"
        return _not_compared(errors, f"the cluster's settings are wrong or missing: {names}")
    try:
        return asyncio.run(interaction(chosen, kafka, console, errors))
    except KeyboardInterrupt:
        errors.print("interrupted; no state was saved")
        return INTERRUPTED
    except BrokerError as error:
        return _not_compared(errors, f"Kafka at {kafka.bootstrap_servers} can't be read ({error})")
    except (NotComparable, StateRefused, OSError) as error:
        return _not_compared(errors, str(error) or type(error).__name__)


def _not_compared(errors: Console, why: str) -> int:
    errors.print(why, markup=False, highlight=False, soft_wrap=True)
    return NOT_COMPARED


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that an orchestrator's stop is as clean as Ctrl-C
    try:
        sys.exit(main())
    except Exception:  # noqa: BLE001 - Python would exit with 1, but a defect of the replay is not a difference of the router
        traceback.print_exc()
        sys.exit(NOT_COMPARED)
