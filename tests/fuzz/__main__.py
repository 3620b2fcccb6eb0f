"""Fuzzes each kind of parser for a share of the seconds: `python -m tests.fuzz SECONDS`. New inputs and faults: build/fuzz."""

import subprocess
import sys
from pathlib import Path

from tests.fuzz.targets import KINDS

BUILD = Path("build/fuzz")


def fuzz(kind: str, seconds: int, directory: Path) -> subprocess.CompletedProcess[str]:
    """One process to its end."""
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.one", kind, str(seconds), str(directory)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def main() -> None:
    """Ends with 1 when a fault was found; keep its file in tests/fuzz/corpus/KIND once it is repaired."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    failed = False
    for kind in KINDS:
        done = fuzz(kind, max(2, seconds // len(KINDS)), BUILD / kind)
        failed = failed or done.returncode != 0
        print(
            f"{kind}: {'nothing found' if done.returncode == 0 else done.stderr[-4_000:] + done.stdout[-2_000:]}",
            flush=True,
        )
    sys.exit(failed)


if __name__ == "__main__":
    main()
