"""Watches that a member of the analytics' group gets partitions, and lets it join again when it has none although some have no owner.

A member that joins before the broker knows the topic, or while the broker restarts, gets an empty assignment, and nothing makes the group
assign again: neither the topic's appearance nor time. Without this watch such a member counts nothing until another one joins or leaves.

A member may rightly have nothing: when each partition has an owner it is a spare. So the broker is asked who owns what.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiokafka.protocol.metadata import MetadataRequest

from services.chassis.kafka.clients import BrokerError, KafkaAccess, admin_client
from services.chassis.kafka.contract import LaneMetrics
from services.chassis.kafka.groups import owners
from services.chassis.logs import get_logger

_EVERY_S: Final = 1.0
_ANSWER_S: Final = 10.0
log = get_logger(__name__)


class AssignmentWatch:
    """See the module. `group` and `topic` are logical names.

    `assigned`: the number of partitions that this member has now. `rejoin`: makes the member read the topics' metadata and join again.
    `say`: called when readiness changes, with a reason if it is lost; a watch begins ready.
    `empty_s`: how long an empty assignment is taken for a rebalance.
    """

    def __init__(
        self,
        kafka: KafkaAccess,
        group: str,
        topic: str,
        *,
        assigned: Callable[[], int],
        rejoin: Callable[[], Awaitable[None]],
        say: Callable[[bool, str], None],
        metrics: LaneMetrics,
        empty_s: float,
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._topic = topic
        self._assigned = assigned
        self._rejoin = rejoin
        self._say = say
        self._metrics = metrics
        self._empty_s = empty_s
        self._ready = True

    async def run(self) -> None:
        """For ever. Looks at its own assignment each second, and asks the broker after a change and after `empty_s` without one."""
        shown, counted, empty_since = -1, False, time.monotonic()
        while True:
            count = self._assigned()
            if count != shown:
                self._metrics.rebalanced(self._group, count)
                shown, counted = count, False
            if count:
                empty_since = time.monotonic()
                self._report_readiness(True)
                counted = counted or await self._asked(self._partitions) is not None
            elif time.monotonic() - empty_since >= self._empty_s:
                await self._asked(self.look)
                empty_since = time.monotonic()
            await asyncio.sleep(_EVERY_S)

    async def _asked(self, ask: Callable[[], Awaitable[int]]) -> int | None:
        """The broker's answer; None, and a warning, when it gives none in time."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await ask()
        except (BrokerError, OSError, TimeoutError) as error:
            log.warning("can't see which partitions have an owner", why=str(error) or type(error).__name__)
            return None

    async def look(self) -> int:
        """The number of partitions without an owner. If there are some, this member joins again."""
        partitions = await self._partitions()
        unowned = partitions - len(await owners(self._kafka, self._group, self._topic)) if partitions else 0
        if unowned:
            self._report_readiness(
                False, f"{unowned} partitions of {self._topic} have no owner, and this process has none"
            )
            log.warning("no partition although some have no owner: joining the group again", unowned=unowned)
            await self._rejoin()
        else:
            self._report_readiness(True)
        return unowned

    async def _partitions(self) -> int:
        """The number of partitions that the topic has on the broker; 0 when the broker does not know it."""
        request = MetadataRequest([self._kafka.topic_prefix + self._topic], allow_auto_topic_creation=False)
        async with admin_client(self._kafka, client_id=f"{self._group}-assignment") as admin:
            (found,) = (await admin._send_request(request)).to_object()["topics"]
        partitions = 0 if found["error_code"] else len(found["partitions"])
        self._metrics.input_partitions(self._group, partitions)
        return partitions

    def _report_readiness(self, ready: bool, reason: str = "") -> None:
        if ready != self._ready:
            self._ready = ready
            self._say(ready, reason)
