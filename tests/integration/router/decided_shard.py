"""Lives of a whole shard as text: the records that it read, and every byte that it wrote. `decided` compares the compiled one with the sources."""

import random
from collections.abc import Iterator
from typing import Final

from tests.unit.router.replay.lives import live, some_steps
from tests.unit.router.replay.recorded import Recorded

_LIVES: Final = 8


def records(steps: int) -> Iterator[str]:
    """Yield what lives of `steps` steps each write: all kinds of commands, refused and undecodable records, timers, and changes of the owner."""
    for seed in range(_LIVES):
        shard = Recorded()
        live(shard, some_steps(random.Random(seed), steps))
        for send in shard.lane.sent:
            headers = " ".join(f"{name}={value!r}" for name, value in send.headers)
            yield f"{send.topic} {send.partition} {send.key!r} {send.value.hex()} {headers} {send.verdict}"
        for record, verdict in shard.lane.dead_letters:
            yield f"refused {record.offset} {verdict}"
        for key, value in shard.lane.changelog.items():
            yield f"state {key!r} {value.hex()}"
