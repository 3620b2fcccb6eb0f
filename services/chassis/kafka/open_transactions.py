"""Measures for how long open transactions have held back the readers of a service's topics.

The lag of a group or a lane counts committed records only, so it stays 0 behind a transaction that hangs: this gauge shows it.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.protocol.offset import OffsetRequest

from services.chassis.kafka.open_ages import OpenAges
from services.chassis.kafka.transactions.contents import Place
from services.chassis.metrics import Metrics

_LATEST: Final = -1
_EVERY_S: Final = 10.0


class OpenTransactions:
    """Looks at the ends of some topics (logical names by physical ones), at most every `every_s` seconds."""

    def __init__(self, topics: Mapping[str, str], metrics: Metrics, *, every_s: float = _EVERY_S) -> None:
        self._topics = topics
        self._every_s = every_s
        self._open = metrics.gauge("chapar_transaction_open_seconds")
        self._ages = OpenAges()
        self._looked_at = float("-inf")

    async def look(self, admin: Any, metadata: Mapping[str, Any]) -> None:
        """Set the gauge of each topic. `metadata`: the brokers' response about these topics. Raises aiokafka's KafkaError."""
        now = time.monotonic()
        if now - self._looked_at < self._every_s:
            return
        self._looked_at = now
        leaders = _by_leader(metadata)
        # The committed ends come first: they may be behind the others only because a transaction has begun since.
        stable = await _ends(admin, leaders, committed=True)
        ends = await _ends(admin, leaders, committed=False)
        longest = dict.fromkeys(self._topics, 0.0)
        for place in stable.keys() & ends.keys():
            age = self._ages.note(place, stable[place], ends[place], now)
            longest[place[0]] = max(longest[place[0]], age)
        for name, seconds in longest.items():
            self._open.labels(self._topics[name]).set(seconds)


def _by_leader(metadata: Mapping[str, Any]) -> dict[int, dict[str, list[int]]]:
    found: dict[int, dict[str, list[int]]] = {}
    for topic in metadata["topics"]:
        for each in topic["partitions"]:
            if each["leader"] >= 0:
                found.setdefault(each["leader"], {}).setdefault(topic["topic"], []).append(each["partition"])
    return found


async def _ends(admin: Any, leaders: Mapping[int, Mapping[str, list[int]]], *, committed: bool) -> dict[Place, int]:
    """Return the ends of the partitions that answer: another look follows."""
    found: dict[Place, int] = {}
    for leader, topics in leaders.items():
        wanted = [(topic, [(each, _LATEST) for each in partitions]) for topic, partitions in topics.items()]
        answer = await admin._send_request(OffsetRequest(-1, int(committed), wanted), leader)
        for topic, partitions in answer.topics:
            found |= {(topic, partition): offset for partition, error, _, offset, *_ in partitions if not error}
    return found
