"""I10: everything is drained within `Bounds.drain_ms` after the last fault heals.

Every end of an interaction and every final outcome of a delivery that began before the heal comes within the bound. (That
each comes at all is I1.) No transaction stays open: it would hide every later record of its partition from all readers.
"""

from collections.abc import Iterator

from tests.chaos.history.history import ENDS, History
from tests.chaos.history.model import Violation

NAME = "I10"


def check(history: History) -> Iterator[Violation]:
    """See the module's docstring."""
    for topic, partition, offset in history.hanging:
        yield Violation(NAME, "hanging transaction", f"{topic}/{partition}", f"nothing is readable from {offset} on")
    latest_ms = history.healed_at_ms + history.bounds.drain_ms
    for interaction_id, events in history.interactions.items():
        began_ms = events[0].value.occurred_at_ms
        for event in events:
            late_ms = event.value.occurred_at_ms - latest_ms
            if event.value.WhichOneof("event") in ENDS and began_ms <= history.healed_at_ms and late_ms > 0:
                yield Violation(NAME, "drained late", f"interaction {interaction_id}", f"{late_ms} ms")
    for delivery, outcomes in history.outcomes.items():
        request = history.requests.get(delivery)
        began_ms = request.value.request.requested_at_ms if request is not None else 0
        late_ms = outcomes[-1].value.occurred_at_ms - latest_ms
        if began_ms <= history.healed_at_ms and late_ms > 0:
            yield Violation(NAME, "drained late", f"delivery {delivery}", f"{late_ms} ms")
