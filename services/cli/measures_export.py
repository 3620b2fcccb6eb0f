"""Writes measures to a file: CSV, or Parquet if pyarrow is installed. One line per group; counts are exact, times are in milliseconds."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from chapar.config.v1 import config_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.cli.reasons import Reason

_COUNTS: Final = ("contacts", "completed", "abandoned", "cancelled")
_DURATIONS: Final = ("pick_up", "first_response", "response", "resolution")
_TARGETS: Final = ("pick_up", "first_response", "next_response", "resolution")
_DECIDED: Final = ("met_desired", "met_adequate", "breached", "late", "abandoned")
KEYS: Final = ("begins_at", "queue", "channel")
COLUMNS: Final = (
    *KEYS,
    *_COUNTS,
    *(f"{name}_{part}" for name in _DURATIONS for part in ("n", "sum_ms", "mean_ms", "p50_ms", "p90_ms")),
    "repeat_known",
    "repeat_share",
    *(f"target_{name}_{part}" for name in _TARGETS for part in _DECIDED),
)
_SHARES: Final = frozenset(name for name in COLUMNS if name.endswith(("mean_ms", "p50_ms", "p90_ms", "share")))
Line = Mapping[str, str | int | float | datetime | None]


def line_of(row: sla_pb2.MeasureRow) -> Line:
    """Convert one row to a mapping with the keys COLUMNS; unknown values are None."""
    begins = row.key.begins_at
    found: dict[str, str | int | float | datetime | None] = {
        "begins_at": datetime.fromtimestamp(begins.seconds, UTC) if row.key.HasField("begins_at") else None,
        "queue": row.key.queue,
        "channel": row.key.channel,
        **{name: getattr(row, name) for name in _COUNTS},
    }
    for name in _DURATIONS:
        times: sla_pb2.Durations = getattr(row, name)
        some = times.mean_ms.n > 0
        found[f"{name}_n"] = times.mean_ms.n
        found[f"{name}_sum_ms"] = times.sum_ms
        found[f"{name}_mean_ms"] = times.mean_ms.value if some else None
        found[f"{name}_p50_ms"] = times.p50_ms if some else None
        found[f"{name}_p90_ms"] = times.p90_ms if some else None
    found["repeat_known"] = row.repeat_contacts.n
    found["repeat_share"] = row.repeat_contacts.value if row.repeat_contacts.n else None
    targets = {config_pb2.TargetKind.Name(p.target)[12:].lower(): p for p in row.targets}
    for name in _TARGETS:
        target = targets.get(name, sla_pb2.Attainment())
        for part in _DECIDED:
            found[f"target_{name}_{part}"] = getattr(target, part)
    return found


def require_writer(file: Path) -> None:
    """Check the file's format before any request is sent. Raises ChaparError for an unknown format or one whose library is not installed."""
    if file.suffix == ".csv":
        return
    if file.suffix != ".parquet":
        raise ChaparError(
            ErrorKind.INVALID, Reason.UNKNOWN_FORMAT, f"{file.name}: the name of the file must end in .csv or .parquet"
        )
    if importlib.util.find_spec("pyarrow") is None:
        raise ChaparError(
            ErrorKind.FAILED_PRECONDITION,
            Reason.NO_PARQUET,
            "writing Parquet needs pyarrow: `uv sync --group export` (or `pip install pyarrow`) installs it; .csv works without it",
        )


def write(file: Path, rows: Iterable[sla_pb2.MeasureRow]) -> int:
    """Write the file completely or not at all. Returns its number of lines. Raises as `require_writer`, and OSError."""
    require_writer(file)
    lines = [line_of(row) for row in rows]
    unfinished = file.with_name(f".{file.name}.part")
    try:
        if file.suffix == ".csv":
            _write_csv(unfinished, lines)
        else:
            _write_parquet(unfinished, lines)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return len(lines)


def _write_csv(file: Path, lines: Sequence[Line]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for line in lines:
            writer.writerow(_text(line[name]) for name in COLUMNS)


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t"):
        return f"'{value}"  # a spreadsheet would treat it as a formula
    return value


def _write_parquet(file: Path, lines: Sequence[Line]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"begins_at": pa.timestamp("ms", tz="UTC"), "queue": pa.string(), "channel": pa.string()}
    kinds |= {name: pa.float64() if name in _SHARES else pa.int64() for name in COLUMNS if name not in KEYS}
    schema = pa.schema([(name, kinds[name]) for name in COLUMNS])
    table = pa.table({name: [line[name] for line in lines] for name in COLUMNS}, schema=schema)
    pq.write_table(table, file)
