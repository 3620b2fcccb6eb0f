"""How long an idle fetch of a watcher waits at the broker.

The broker answers a fetch at once when there is a record, so this wait delays no record that arrives during it. It may
delay the next record of a partition whose records are being handled, because aiokafka fetches the other partitions
meanwhile. Lanes and tails, on which callers wait, fetch more often (`clients.FETCH_WAIT_MS`); an idle process spends most
of its CPU on such fetches.
"""

from typing import Any, Final

WATCHER_FETCH_WAIT_MS: Final = 500


def wait_longer(consumer: Any) -> Any:
    """Return the consumer, not yet started, with the longer wait.

    aiokafka takes the value at the start. tests/contract/relay/test_idle_fetches.py guards the name and the effect.
    """
    _ = consumer._fetch_max_wait_ms  # AttributeError if aiokafka no longer has the name
    consumer._fetch_max_wait_ms = WATCHER_FETCH_WAIT_MS
    return consumer
