"""The generated parts of docs/scaling.md: the capacity table, from the figures of docs/performance.md, and the worked examples.

python -m docs.generate.capacity            # rewrite the parts
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.cli.sizing.costs import costs_of
from services.cli.sizing.model import Load, Plan, plan
from services.cli.sizing.reference import REFERENCE

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/scaling.md"
FIGURES: Final = ROOT / "docs/performance.md"
CAPACITY: Final = (
    ("the whole product, broker included, on two cores: first messages a second", "product_messages_per_s", "1/s"),
    ("one shard of the router: life cycles a second", "path_interactions_per_s", "1/s"),
    (
        "the routing engine, compiled, 15,000 agents in one pool: commands a second",
        "engine_commands_per_s{compiled}",
        "1/s",
    ),
    ("one process of feedback: survey responses a second", "answers_per_s", "1/s"),
    ("the routing engine: memory of an agent", "engine_bytes{agents}", "B"),
    ("the routing engine: memory of a waiting interaction", "engine_bytes{waiting}", "B"),
    ("sla: memory of a deadline", "deadline_bytes", "B"),
    ("sla: restore of a million deadlines", "sla_restore_s", "s"),
    ("router: time until the shards of a killed process are decided again (session time-out 2.5 s)", "takeover_s", "s"),
    *(
        (f"{name}: memory of an idle process", f"rss_idle_mb{{{name}}}", "MB")
        for name in ("ingest", "router", "sla", "feedback")
    ),
    *(
        (f"{name}: memory with 10,000 interactions open", f"rss_10k_mb{{{name}}}", "MB")
        for name in ("ingest", "router", "sla", "feedback")
    ),
)
"""What a row says, the figure that says it, and its unit."""
EXAMPLES: Final[Mapping[str, Load]] = {
    "25000-agents": Load(106.0, agents=25_000, tenants=1, pools=1, exchanges=4, open_s=900),
    "1200-per-s": Load(1200.0, agents=100_000, tenants=500, pools=1000, exchanges=4, open_s=900),
}


def figures(page: str) -> dict[str, str]:
    """Return the values of the table of figures in docs/performance.md, by name."""
    rows = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| `")
    )
    return {cells[0].strip("`"): cells[1] for cells in rows if len(cells) == 7}


def capacity(page: str) -> str:
    """Return the capacity table. Raises KeyError for a figure that the page lacks."""
    found = figures(page)
    rows = "\n".join(f"| {what} | {found[name]} {unit} | `{name}` |" for what, name, unit in CAPACITY)
    return f"| what | measured | figure |\n|---|---|---|\n{rows}"


def example(load: Load) -> str:
    """Return the plan for a load, from the reference figures."""
    found: Plan = plan(load, costs_of(REFERENCE, "reference"))
    lines = [
        "| service | pods | partitions of its input | cores in use | busiest pod | memory of a pod |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {of.pods} | {of.partitions} | {of.cores:.1f} | {of.busiest:.2f} of a core | {of.memory_mb:.0f} MB |"
        for name, of in found.services.items()
    ]
    brokers = found.brokers
    lines += [
        "",
        f"Brokers: {brokers.brokers} with 8 cores each ({brokers.cores:.1f} cores in use), {brokers.in_mb_s:.0f} MB/s in and",
        f"{brokers.out_mb_s:.0f} MB/s out over all of them, {brokers.disk_gb:,.0f} GB of disk each when all topics have",
        f"reached their retention. The busiest pool uses {found.pool_share:.1%} of one shard.",
    ]
    lines += [f"\n{warning[0].upper()}{warning[1:]}." for warning in found.warnings]
    return "\n".join(lines)


def rendered(page: str) -> str:
    """Return the page with its generated parts. Raises ValueError for a part without its markers."""
    parts = {"capacity": capacity(FIGURES.read_text(encoding="utf-8"))}
    parts |= {name: example(load) for name, load in EXAMPLES.items()}
    for name, text in parts.items():
        begin, end = f"<!-- {name}: python -m docs.generate.capacity -->", f"<!-- end of {name} -->"
        head, found, rest = page.partition(begin)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{PAGE.name} lacks the markers of {name}")
        page = f"{head}{begin}\n{text}\n{end}{tail}"
    return page


def main() -> int:
    """Rewrite the page."""
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
