"""`python -m tests.mutation`, or `make mutants`: draws mutants of the routing engine at random and reports the share of
them that the tests kill.

The same seed draws the same mutants of the same source. Exit 1 when the share misses its goal.
"""

import argparse
import os
import random
import sys
import time
from collections import Counter
from math import sqrt
from pathlib import Path
from typing import Final

from tests.bench import figures
from tests.mutation.mutants import Mutant, Source, sources
from tests.mutation.trial import Outcome, Stage, judge, prepare, root

DOMAIN: Final = Path("services/router/domain")
GOAL: Final = ">=0.9"
_UNIT: Final = Path("tests/unit/router")
_FIRST: Final = ("rules", "stories", "policies", "scenarios", "scenarios_waiting", "refusals")
_GAMES: Final = ("written", "oracle", "machine", "fuzz")
_PROCESSES: Final = ("test_command.py", "test_elsewhere.py")
_BEHIND: Final = Path("build/mutants.txt")


def stages() -> tuple[Stage, ...]:
    """Return the stages from fast to slow: later stages run only on mutants that survived the earlier ones."""

    def named(*names: str) -> tuple[str, ...]:
        return tuple(str(_UNIT / f"test_{name}.py") for name in names)

    others = sorted({str(file) for file in _UNIT.glob("test_*.py")} - {*named(*_FIRST, *_GAMES)})
    replay = sorted(str(file) for file in (_UNIT / "replay").glob("test_*.py") if file.name not in _PROCESSES)
    return (
        Stage("examples", named(*_FIRST), 20),
        Stage("parts", tuple(others), 40),
        Stage("games", named(*_GAMES), 120),
        Stage("flow", ("tests/flow/router", *replay), 80),
    )


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (E. B. Wilson, 1927)."""
    if not n:
        return 0.0, 1.0
    z, share = 1.959964, successes / n
    middle, spread = share + z * z / (2 * n), z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def main() -> None:
    """Run the command line. See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=150, help="number of mutants to draw")
    parser.add_argument("--seed", type=int, default=1, help="seed of the draw")
    parser.add_argument("--file", default="", help="draw from this file of the domain only")
    parser.add_argument("--mutant", action="append", default=[], metavar="FILE#N", help="try only these mutants")
    parser.add_argument("--show", action="store_true", help="list the mutants that would be tried, and stop")
    wanted = parser.parse_args()
    os.chdir(root())
    found = {source.mutants[0].path: source for source in sources(DOMAIN.rglob("*.py"), Path()) if source.mutants}
    drawn, of = _draw(found, wanted)
    if wanted.show:
        print(*drawn, sep="\n")
        return
    killed, survivors = _try(found, drawn)
    n = len(drawn)
    print(f"{n} mutants drawn from {of} with seed {wanted.seed}; {len(survivors)} survived:", *survivors, sep="\n  ")
    print("  ".join(f"{where}: {number}" for where, number in killed.most_common()))
    low, high = wilson(n - len(survivors), n)
    print(f"95 % interval {low:.3f}-{high:.3f} (Wilson), n = {n}")
    share = (n - len(survivors)) / n if n else 0.0
    figures.tell("mutants_killed_share", share, "ratio", GOAL, n=n, of=of, seed=wanted.seed, low=low, high=high)
    sys.exit(not figures.reached(share, GOAL))


def _draw(found: dict[str, Source], wanted: argparse.Namespace) -> tuple[list[Mutant], int]:
    everything = [mutant for source in found.values() for mutant in source.mutants]
    if wanted.mutant:
        return [mutant for mutant in everything if mutant.name in wanted.mutant], len(wanted.mutant)
    among = [mutant for mutant in everything if wanted.file in ("", Path(mutant.path).name)]
    drawn = random.Random(wanted.seed).sample(among, min(wanted.sample, len(among)))
    return drawn, len(among)


def _try(found: dict[str, Source], drawn: list[Mutant]) -> tuple[Counter[str], list[Mutant]]:
    """Return the number of mutants killed by each stage or outcome, and the survivors."""
    plan = stages()
    began = time.monotonic()
    prepare(plan)
    print(f"all stages pass without any change after {time.monotonic() - began:.0f} s", flush=True)
    killed: Counter[str] = Counter()
    survivors: list[Mutant] = []
    _BEHIND.parent.mkdir(exist_ok=True)
    with _BEHIND.open("w") as told:
        for place, mutant in enumerate(drawn, 1):
            outcome, where = judge(mutant.path, found[mutant.path].text(mutant), plan)
            if outcome is Outcome.SURVIVED:
                survivors.append(mutant)
            else:
                killed[f"{outcome.value} ({where})"] += 1
            line = f"{place}/{len(drawn)} {time.monotonic() - began:.0f} s {outcome.value} {where} {mutant}"
            print(line, flush=True)
            told.write(line + "\n")
    return killed, survivors


if __name__ == "__main__":
    main()
