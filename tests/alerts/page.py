"""The table of docs/alerts.md: `python -m tests.alerts.page` prints it; a test compares."""

from __future__ import annotations

from tests.alerts.rows import ROWS, Real
from tests.alerts.shipped import alerts


def table() -> str:
    """Return the table of all alerts, in the order of the rules: how each is provoked."""
    lines = ["| alert | severity | how | cause |", "|---|---|---|---|"]
    for name, rule in alerts().items():
        for how in dict.fromkeys(row.how for row in ROWS if row.alert == name):
            kind = "fault" if isinstance(how, Real) else "replay"
            lines.append(f"| `{name}` | {rule['labels']['severity']} | {kind} | {how.cause.removesuffix('.')} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
