"""The output of every command: a table for people, JSON for programs (`--json`), one sentence for an error."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.chassis.jalali import JalaliDay

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Without a terminal there is no width to respect, and 80 columns would break ids into pieces.
console = Console(width=None if sys.stdout.isatty() else 160)
errors = Console(stderr=True)


def as_data(message: Message) -> dict[str, Any]:
    """Convert a message to plain data with the field names of the contract."""
    data: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return data


def emit_json(data: Any) -> None:
    """Write data for programs: one JSON document on standard output."""
    json.dump(data, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def emit_line(data: Mapping[str, Any]) -> None:
    """Write one line of a stream of JSON lines."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Build a table; columns whose name begins with # hold numbers and are aligned right.

    Designed for 80 columns: no frame; an id is not broken, so that people can copy it; a heading is not broken within a word.
    """
    rows = list(rows)
    title = title if rows else f"{title}: none"
    made = Table(
        title=title,
        min_width=len(title),
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=0,
    )
    for number, column in enumerate(columns):
        heading = column.lstrip("#")
        made.add_column(
            Text(heading, style="bold"),
            justify="right" if column.startswith("#") else "left",
            overflow="fold",
            min_width=max(map(len, heading.split()), default=1),
            no_wrap=any(_ID.fullmatch(str(row[number])) for row in rows),
        )
    for row in rows:
        made.add_row(*("" if cell is None else str(cell) for cell in row))
    return made


def moment(ms: int, *, jalali: bool = False) -> str:
    """Format a time for people, in the machine's time zone, with the Jalali date if `jalali`."""
    if not ms:
        return ""
    at = datetime.fromtimestamp(ms / 1_000, UTC).astimezone()
    if jalali:
        return f"{JalaliDay.of(at.date())} {at:%H:%M:%S}"
    return at.strftime("%Y-%m-%d %H:%M:%S")
