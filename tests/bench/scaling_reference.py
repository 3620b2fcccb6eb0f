"""Writes the figures that `chapar size` uses where no bench has run: services/cli/sizing/reference.py."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from services.chassis.clock import system_clock
from services.cli.sizing.costs import PROCESSES, newest
from tests.bench.__main__ import PAGE
from tests.bench.figures import FILE

TARGET: Final = Path("services/cli/sizing/reference.py")
OTHERS: Final = (
    *(f"{figure}{{{name}}}" for figure in ("rss_idle_mb", "rss_10k_mb") for name in PROCESSES if name != "broker"),
    "engine_bytes{agents}",
    "path_interactions_per_s",
)
"""Figures of other benches that the model reads."""


def keep(figures: Mapping[str, float]) -> None:
    """Write the figures of this run, and those of other benches from build/figures.jsonl or from docs/performance.md."""
    own = newest(FILE.read_text()) if FILE.exists() else {}
    table = of_page(PAGE.read_text())
    chosen = {**figures, **{name: own.get(name, table.get(name, 0.0)) for name in OTHERS}}
    day = datetime.fromtimestamp(system_clock() / 1000, UTC).strftime("%Y-%m-%d")
    rows = "\n".join(f'    "{name}": {round(value, 3):g},' for name, value in sorted(chosen.items()))
    TARGET.write_text(
        f'"""Figures of {day} on two cores, Python 3.11, written by `python -m tests.bench.scaling --keep`."""\n\n'
        "from collections.abc import Mapping\nfrom typing import Final\n\n"
        f"REFERENCE: Final[Mapping[str, float]] = {{\n{rows}\n}}\n"
    )


def of_page(page: str) -> dict[str, float]:
    """Return the figures in the table of docs/performance.md."""
    found = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 7:
            found[cells[0].strip("`")] = float(cells[1])
    return found
