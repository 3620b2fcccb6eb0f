"""Arrivals for a what-if simulation, from the router's events: one line for each interaction that entered a queue.

Handling is the total time with all agents, without wrap-up (the policy sets wrap-up). The patience of customers who left is the time they
waited. For customers who were answered it is censored: they would have waited at least that long. Ids, names and texts are not kept; of the
labels, only the requested ones are kept.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from google.protobuf.message import DecodeError

from chapar.common.v1 import types_pb2
from chapar.router.v1 import records_pb2

COLUMNS: Final = (
    "time", "type", "queue", "channel", "language", "priority", "labels", "requirements", "handling", "patience", "patience_censored",
)  # fmt: skip
_OPERATOR: Final = "SELECTOR_OPERATOR_"


@dataclass(slots=True)
class _Story:
    """The part of one interaction that the log has shown so far."""

    attributes: records_pb2.InteractionAttributes
    arrived_at_ms: int
    held_since_ms: int = 0
    handled_ms: int = 0
    completed: bool = False
    waited_ms: int = -1
    answered: bool = False


class Recorder:
    """Folds routing events, which arrive in order for each interaction."""

    def __init__(self, *, tenant: str = "", pool: str = "", from_ms: int = 0, to_ms: int = 1 << 62) -> None:
        """Record the given tenant and pool, or all if empty; arrivals from `from_ms` until `to_ms`."""
        self._tenant, self._pool = tenant, pool
        self._from_ms, self._to_ms = from_ms, to_ms
        self._stories: dict[str, _Story] = {}

    def add(self, value: bytes) -> None:
        """Add one record of routing.events.v1. Records that are not about an interaction are ignored."""
        try:
            event = records_pb2.RoutingEvent.FromString(value)
        except DecodeError:
            return
        if not event.HasField("interaction") or (self._tenant and event.tenant != self._tenant):
            return
        if self._pool and event.pool != self._pool:
            return
        kind, at = event.WhichOneof("event"), event.occurred_at_ms
        name = f"{event.tenant}/{event.interaction.interaction_id}"
        story = self._stories.get(name)
        if kind == "queued" and story is None:
            arrived = event.interaction.arrived_at_ms or at
            if self._from_ms <= arrived < self._to_ms:
                self._stories[name] = _Story(event.interaction, arrived)
            return
        if story is None:
            return
        if kind == "assigned":
            if story.waited_ms < 0:
                story.waited_ms, story.answered = event.assigned.waited_ms, True
            story.held_since_ms = at
        elif kind == "abandoned":
            if story.waited_ms < 0:
                story.waited_ms = event.abandoned.waited_ms
        elif kind in ("transferred", "queued", "completed", "cancelled"):
            if story.held_since_ms:
                story.handled_ms += at - story.held_since_ms
                story.held_since_ms = 0
            story.completed = story.completed or kind == "completed"

    def rows(self, labels: Collection[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows by time of arrival, then by name. Partitions are read in any order, but the same topics must give the same file. Empty
        fields are omitted."""
        for _, story in sorted(self._stories.items(), key=lambda one: (one[1].arrived_at_ms, one[0])):
            attributes = story.attributes
            row: dict[str, Any] = {
                "time": datetime.fromtimestamp(story.arrived_at_ms / 1_000, UTC).isoformat(timespec="milliseconds"),
                "type": attributes.queue,
                "queue": attributes.queue,
                "channel": attributes.channel,
                "language": attributes.language,
                "priority": attributes.priority,
                "labels": {name: text for name, text in sorted(attributes.labels.items()) if name in labels},
                "requirements": [_selector(one) for one in attributes.requirements],
            }
            if story.completed:
                row["handling"] = f"{story.handled_ms}ms"
            if story.waited_ms >= 0:
                row["patience"] = f"{story.waited_ms}ms"
                row["patience_censored"] = story.answered
            yield {column: value for column, value in row.items() if value not in ("", {}, [])}


def _selector(selector: types_pb2.Selector) -> dict[str, Any]:
    """Convert a requirement to the format of a scenario."""
    made: dict[str, Any] = {}
    if selector.attribute:
        made["attribute"] = selector.attribute
    if selector.operator:
        name = types_pb2.SelectorOperator.Name(selector.operator)
        made["operator"] = name.removeprefix(_OPERATOR).lower()
    for field in ("number", "text", "weight"):
        if getattr(selector, field):
            made[field] = getattr(selector, field)
    if selector.texts:
        made["texts"] = list(selector.texts)
    if selector.expires_after_ms:
        made["expires_after"] = f"{selector.expires_after_ms}ms"
    if selector.steps:
        made["steps"] = [{"after": f"{step.after_ms}ms", "number": step.number} for step in selector.steps]
    for group in ("any_of", "all_of"):
        if members := getattr(selector, group):
            made[group] = [_selector(one) for one in members]
    return made


def write_json(rows: Iterable[dict[str, Any]], out: TextIO) -> int:
    """Write JSON lines. Returns the number of lines."""
    count = 0
    for row in rows:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
    return count


def write_csv(rows: Iterable[dict[str, Any]], out: TextIO) -> int:
    """Write CSV with a header. Returns the number of rows."""
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    count = 0
    for row in rows:
        count += 1
        flat = dict(row)
        if "labels" in flat:
            flat["labels"] = ";".join(f"{name}={text}" for name, text in flat["labels"].items())
        if "requirements" in flat:
            flat["requirements"] = json.dumps(flat["requirements"], ensure_ascii=False)
        if "patience_censored" in flat:
            flat["patience_censored"] = "true" if flat["patience_censored"] else "false"
        writer.writerow(flat)
    return count
