"""The checker: all invariants over one history."""

from collections.abc import Callable, Iterator
from typing import Final

from tests.chaos.history.history import History
from tests.chaos.history.invariants import (
    i01_terminal,
    i02_holders,
    i03_capacity,
    i04_offers,
    i05_deadlines,
    i06_scores,
    i07_order,
    i08_causes,
    i09_fold,
    i10_drained,
    i11_tenants,
)
from tests.chaos.history.model import Evidence, Violation

INVARIANTS: Final[dict[str, Callable[[History], Iterator[Violation]]]] = {
    module.NAME: module.check
    for module in (
        i01_terminal,
        i02_holders,
        i03_capacity,
        i04_offers,
        i05_deadlines,
        i06_scores,
        i07_order,
        i08_causes,
        i09_fold,
        i10_drained,
        i11_tenants,
    )
}
UNDECODABLE: Final = "DECODE"


def violations(evidence: Evidence) -> list[Violation]:
    """Return what a history violates, in the order of the invariants; empty for a sound one.

    A record that does not decode by its contract, and that the campaign did not inject, is a violation too.
    """
    history = History(evidence)
    unreadable = [
        Violation(UNDECODABLE, "undecodable", "{}/{}@{}".format(*record.place)) for record in history.topics.undecodable
    ]
    return unreadable + [found for check in INVARIANTS.values() for found in check(history)]
