"""The measured costs of the model: figures of `make scaling-check` and of the benches of footprint and path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.cli.sizing.reference import REFERENCE

PROCESSES: Final = ("ingest", "router", "sla", "feedback", "broker")
"""The processes that the model computes, by the names that the figures have."""
FILE: Final = Path("build/figures.jsonl")
"""Where benches write, below a checkout."""


@dataclass(frozen=True, slots=True)
class ProcessCost:
    """CPU of one kind of process. `idle`: milliseconds a second of a process without traffic.

    `at`: rates of interactions a second in one process, ascending, with milliseconds of CPU for an interaction of one exchange at
    that rate, above idle. `exchange`: milliseconds for each further exchange (a message and its reply).
    """

    idle: float
    at: tuple[tuple[float, float], ...]
    exchange: float

    def interaction(self, rate: float) -> float:
        """Return milliseconds for an interaction at a rate in one process: between two measured rates on a line, outside the nearest.

        A lane commits what came during its last commit as one batch, so an interaction costs less in a busy process.
        """
        first, last = self.at[0], self.at[-1]
        if rate <= first[0]:
            return first[1]
        for (low, dear), (high, cheap) in zip(self.at, self.at[1:], strict=False):
            if rate <= high:
                return dear + (cheap - dear) * (rate - low) / (high - low)
        return last[1]


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs that the model reads, and their source."""

    processes: Mapping[str, ProcessCost]
    kilobytes_in: float
    """That brokers receive for an interaction, from the services."""
    kilobytes_out: float
    """That brokers send for an interaction."""
    kilobyte_days: float
    """That an interaction adds to the topics, times the days for which each keeps it. Compacted topics keep only what is open."""
    idle_mb: Mapping[str, float]
    """Resident memory of a process without work."""
    open_kb: Mapping[str, float]
    """Memory of one open interaction in the process that has its partition."""
    agent_kb: float
    """Memory of one agent in the router."""
    shard_per_s: float
    """Life cycles a second that one shard of the router decides, with nothing else in its process."""
    source: str
    """Where the figures are from."""


def costs_of(figures: Mapping[str, float], source: str) -> Costs:
    """Return costs from figures by name. Raises KeyError for one that is missing."""
    rates = sorted(
        float(name.partition(" at ")[2].removesuffix("/s}"))
        for name in figures
        if name.startswith("interaction_cpu_ms{broker at ")
    )
    opened = 10_000
    return Costs(
        {
            name: ProcessCost(
                figures[f"idle_cpu_ms{{{name}}}"],
                tuple((rate, figures[f"interaction_cpu_ms{{{name} at {rate:g}/s}}"]) for rate in rates),
                figures[f"exchange_cpu_ms{{{name}}}"],
            )
            for name in PROCESSES
        },
        figures["interaction_kb{in}"],
        figures["interaction_kb{out}"],
        figures["interaction_kb{days}"],
        {name: figures[f"rss_idle_mb{{{name}}}"] for name in PROCESSES if name != "broker"},
        {
            name: max(0.0, figures[f"rss_10k_mb{{{name}}}"] - figures[f"rss_idle_mb{{{name}}}"]) * 1024 / opened
            for name in PROCESSES
            if name != "broker"
        },
        figures["engine_bytes{agents}"] / 1024,
        figures["path_interactions_per_s"],
        source,
    )


def newest(lines: str) -> dict[str, float]:
    """Return the newest value of each figure in the text of a figures file. Lines that are not such figures are left out."""
    found: dict[str, float] = {}
    for line in lines.splitlines():
        try:
            figure = json.loads(line)
        except ValueError:
            continue
        if isinstance(figure, dict) and isinstance(figure.get("figure"), str):
            value = figure.get("value")
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[figure["figure"]] = float(value)
    return found


def measured(checkout: Path) -> Costs:
    """Return the costs of the checkout's own figures, with the reference where it has none; the reference alone elsewhere."""
    file = checkout / FILE
    own = newest(file.read_text(encoding="utf-8")) if file.exists() else {}
    of_scaling = {name: value for name, value in own.items() if name in REFERENCE}
    if not of_scaling:
        return costs_of(REFERENCE, "reference figures (services/cli/sizing/reference.py)")
    return costs_of({**REFERENCE, **of_scaling}, f"{len(of_scaling)} of {len(REFERENCE)} figures from {FILE}")
