"""Without a broker, aiokafka logs each failed connection attempt: hundreds of lines a second. This filter limits each kind of line."""

import logging
import time
from collections.abc import Callable
from typing import Final

EVERY: Final = 5.0
_LOGGERS: Final = (
    "aiokafka",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
)


class OnceInAWhile(logging.Filter):
    """Passes warnings and errors of one template once per `EVERY` seconds, with the number of lines left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        template, now = str(record.msg), self._clock()
        last = self._last.get(template)
        if last is not None and now - last < EVERY:
            self._left_out[template] = self._left_out.get(template, 0) + 1
            return False
        self._last[template] = now
        left_out = self._left_out.pop(template, 0)
        if left_out:
            record.msg = f"{template} (and {left_out} more like it)"
        return True


def calm_logs() -> None:
    """Install the filter. Called whenever a client is built; one call is enough."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, OnceInAWhile) for known in logger.filters):
            logger.addFilter(OnceInAWhile())
