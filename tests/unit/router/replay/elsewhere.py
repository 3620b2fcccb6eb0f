"""Run a fixed life in a process of its own and print the journal's hashes: `python -m tests.unit.router.replay.elsewhere`."""

import random

from tests.unit.router.replay.lives import Step, live, some_steps
from tests.unit.router.replay.recorded import Recorded


def a_fixed_life() -> list[Step]:
    """Return the same steps in every process."""
    return some_steps(random.Random(20_260_301), 400)


def main() -> None:
    """Run the life and print the hashes."""
    shard = Recorded()
    live(shard, a_fixed_life())
    log = shard.log()
    for number in range(len(log.journal_)):
        print(log.journaled(number).effects_sha256.hex())


if __name__ == "__main__":
    main()
