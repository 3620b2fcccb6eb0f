"""All figures of the sla service, one after another, each in a process of its own: `python -m tests.bench.sla` (`make bench-sla`)."""

import subprocess
import sys
from importlib.util import find_spec
from typing import Final

PARTS: Final = ("sla_calendar", "sla_engine", "sla_prediction")


def main() -> int:
    """Run each part; return 1 if one fails."""
    failed = []
    for part in PARTS:
        module = f"tests.bench.{part}"
        if find_spec(module) is None:
            continue
        print(f"== {part}", flush=True)
        if subprocess.run([sys.executable, "-m", module], check=False).returncode:
            failed.append(part)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
