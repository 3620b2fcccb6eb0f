"""Fuzzes each kind of parser for a share of the seconds: `python -m tests.fuzz SECONDS`. New inputs and faults: build/fuzz."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.fuzz.targets import KINDS

BUILD = Path("build/fuzz")


def command(kinds: Iterable[str], seconds: int, directory: Path) -> list[str]:
    """Return the command of a process that fuzzes each kind for a number of seconds."""
    return [sys.executable, "-m", "tests.fuzz.one", str(seconds), str(directory), *kinds]


def main() -> None:
    """Ends with 1 when a fault was found; keep its file in tests/fuzz/corpus/KIND once it is repaired."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    sys.exit(subprocess.run(command(KINDS, max(2, seconds // len(KINDS)), BUILD), check=False).returncode)


if __name__ == "__main__":
    main()
