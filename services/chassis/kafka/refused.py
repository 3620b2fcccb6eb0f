"""A partition that its lane refuses to take over: shows it, and waits for an operator's decision (`witness`, `intervention`)."""

import logging

from services.chassis.kafka.lane_dependencies import LaneDependencies
from services.chassis.kafka.ownership import Ownership
from services.chassis.kafka.witness import TakeoverRefused

log = logging.getLogger(__name__)


class RefusedPartition:
    """The refusal of one partition, if there is one now. Neighbours are not affected."""

    def __init__(self, parts: LaneDependencies, partition: int, ownership: Ownership) -> None:
        self.reason: str | None = None
        self._parts = parts
        self._partition = partition
        self._ownership = ownership

    async def wait(self, refusal: TakeoverRefused) -> None:
        """Show a refusal; return when an operator may have decided. Raises as `Ownership.until_written`."""
        if refusal.reason != self.reason:
            log.critical("%s", refusal)
            self._show(refusal.reason)
        await self._ownership.until_written()

    def end(self) -> None:
        """Show that the partition is refused no longer, or is no longer ours."""
        if self.reason is not None:
            self._show(None)

    def _show(self, reason: str | None) -> None:
        self.reason = reason
        self._parts.metrics.refused(self._parts.spec.name, self._partition, reason)
        self._parts.on_assignment()
