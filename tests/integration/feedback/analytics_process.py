"""Analytics in a process of its own that kills or stops itself at a given point: `python -m … PREFIX POINT COUNT
SIGNAL`.

POINT is a point of `run_analytics`, COUNT is the number of times it is passed before the process sends itself the
signal; with "never" it runs on.
"""

import asyncio
import os
import signal
import sys

from services.chassis.clock import system_clock
from services.chassis.kafka_settings import KafkaSettings
from services.feedback.adapters.analytics_faust import run_analytics


def main(prefix: str, point: str, count: int, how: str) -> None:
    """Run until killed."""
    left = count

    def fault(passed: str) -> None:
        nonlocal left
        if passed == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.Signals[how])

    settings = KafkaSettings.from_environment().model_copy(update={"topic_prefix": prefix})
    asyncio.run(
        run_analytics(
            settings,
            system_clock,
            say=lambda ready, _: print("ready" if ready else "not ready", flush=True),
            session_timeout_s=6.0,  # the minimum that a broker allows: after a kill the next process waits this long
            fault=fault,
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
