"""`python -m tests.unit.router.replay.elsewhere`: lives a fixed life in a process of its own, and prints the journal's hashes."""

import random

from tests.unit.router.replay.lives import Step, live, some_steps
from tests.unit.router.replay.recorded import Recorded


def a_fixed_life() -> list[Step]:
    """The same in every process."""
    return some_steps(random.Random(20_260_301), 400)


def main() -> None:
    """See the module."""
    shard = Recorded()
    live(shard, a_fixed_life())
    log = shard.log()
    for number in range(len(log.journal_)):
        print(log.journaled(number).effects_sha256.hex())


if __name__ == "__main__":
    main()
