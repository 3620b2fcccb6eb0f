"""How much faster the engine decides when it is compiled: `make bench-engine` after the pure figures, or

    python -m tests.bench.engine_compiled [rounds]

Pure and compiled runs alternate, so that other load on the machine affects both; each run is `tests.bench.engine speed`
in a process of its own. Without a C compiler the bench reports that, and gives no figure.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from tests.bench.figures import tell

_ROOT: Final = Path(__file__).parents[2]
_ROUNDS: Final = 2
_RATE: Final = "engine_commands_per_s"
_P99: Final = "engine_p99_ms"
_SIZE: Final = ("--agents", "15000", "--waiting", "10000", "--commands", "40000")


def build() -> Path | None:
    """Return build/compiled, built now unless it is of these sources already; None if there is no C compiler."""
    spec = importlib.util.spec_from_file_location("hatch_build", _ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    hatch_build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hatch_build)
    if not hatch_build.has_compiler():
        return None
    built: Path = hatch_build.build_beside()
    return built


def importing_from(*first: Path) -> dict[str, str]:
    """Return variables with which a process imports Chapar's modules from the first directory on the path that has
    them."""
    return {"PYTHONPATH": os.pathsep.join(map(str, [*first, _ROOT, _ROOT / "protos"])), "PYTHONSAFEPATH": "1"}


def turn(*first: Path) -> dict[str, float]:
    """Return the figures of one run, by name. The run imports the engine from the first directory on the path that
    has one."""
    environment = {**os.environ, **importing_from(*first)}
    # In a separate directory, where the run keeps its figures: under their plain names they are the pure engine's.
    with TemporaryDirectory() as apart:
        command = [sys.executable, "-m", "tests.bench.engine", "speed", *_SIZE]
        subprocess.run(command, check=True, cwd=apart, env=environment, stdout=subprocess.DEVNULL)
        lines = (Path(apart) / "build/figures.jsonl").read_text().splitlines()
    return {figure["figure"]: figure["value"] for figure in map(json.loads, lines)}


def compare(compiled: Path, rounds: int) -> Iterator[tuple[dict[str, float], dict[str, float]]]:
    """Yield the figures of a pure and of a compiled run, side by side."""
    for number in range(rounds):
        pair = {kind: turn(*first) for kind, first in (("pure", ()), ("compiled", (compiled,)))}
        print(
            f"round {number + 1}: " + ", ".join(f"{kind} {found[_RATE]:.0f}/s" for kind, found in pair.items()),
            flush=True,
        )
        yield pair["pure"], pair["compiled"]


def main() -> None:
    """Print the figures."""
    compiled = build()
    if compiled is None:
        print("there is no C compiler: only the pure engine is measured")
        return
    rounds = list(compare(compiled, int(sys.argv[1]) if sys.argv[1:] else _ROUNDS))
    rates = [fast[_RATE] for _, fast in rounds]
    ratios = [fast[_RATE] / slow[_RATE] for slow, fast in rounds]
    tell(f"{_RATE}{{compiled}}", median(rates), "1/s", ">=35000", rates=rates)
    tell(f"{_P99}{{compiled}}", median(fast[_P99] for _, fast in rounds), "ms")
    tell("engine_compiled_vs_pure", round(median(ratios), 2), "ratio", ratios=[round(ratio, 2) for ratio in ratios])


if __name__ == "__main__":
    main()
