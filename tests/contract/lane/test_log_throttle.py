"""The log lines of an outage."""

import logging

from services.chassis.kafka.log_throttle import EVERY, OnceInAWhile


def test_each_kind_of_line_comes_once_in_a_while() -> None:
    """Repeated warnings of one template are counted, not shown, until some time has passed; INFO lines are not changed."""
    now = 0.0
    filter_ = OnceInAWhile(lambda: now)

    def shown(level: int, template: str, *args: object) -> str | None:
        record = logging.LogRecord("aiokafka", level, "", 0, template, args, None)
        return record.getMessage() if filter_.filter(record) else None

    assert shown(logging.ERROR, "no %s", 1) == "no 1"
    assert shown(logging.ERROR, "no %s", 2) is None
    assert shown(logging.ERROR, "never %s", 3) == "never 3"
    assert shown(logging.INFO, "no %s", 4) == "no 4"
    now += EVERY
    assert shown(logging.ERROR, "no %s", 5) == "no 5 (and 1 more like it)"
