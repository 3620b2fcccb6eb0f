"""Write what happens on simulated floors. Run in two processes, one with the compiled floor: the lines must be the same.

    python -m tests.integration.router.simulated FILE

Each line is the `repr` of a log: every wait and every busy time, to the last bit. The first line names the floor.
"""

import sys
from pathlib import Path
from types import FunctionType

from services.router.simulation.customers import draw
from services.router.simulation.floor import Floor
from tests.unit.router.simulation.floors import cases


def floor_kind() -> str:
    """Return `compiled` or `pure`: a compiled method is not a Python function."""
    return "pure" if isinstance(Floor.run, FunctionType) else "compiled"


if __name__ == "__main__":
    lines = [floor_kind()]
    for name, plan in cases().items():
        for replication in range(3):
            log = Floor(plan, draw(plan, replication), replication).run()
            lines.append(f"{name} {replication}: {log!r}")
    Path(sys.argv[1]).write_text("\n".join(lines))
