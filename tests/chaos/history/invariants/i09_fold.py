"""I9: the fold from zero equals the live state, under the same version of the configuration.

The routing events, folded from the first on, say which interactions wait, which offers are open, and what each agent
holds. The services say the same when all is quiet, and a replay of the router's journal makes the same decisions.
"""

from collections.abc import Iterator

from tests.chaos.history.history import History
from tests.chaos.history.invariants.i03_capacity import configurations, profiles_of, used_by
from tests.chaos.history.ledger import Ledger
from tests.chaos.history.model import LiveState, Violation

NAME = "I9"


def check(history: History) -> Iterator[Violation]:
    """See the module's docstring."""
    for live in history.live:
        ledger = Ledger()
        for events in history.interactions.values():
            for event in events:
                if event.value.tenant == live.tenant:
                    ledger.fold(event.value)
        yield from _compare(history, live, ledger)
        if live.replay_difference:
            yield Violation(NAME, "replay differs", f"tenant {live.tenant}", live.replay_difference)


def _compare(history: History, live: LiveState, ledger: Ledger) -> Iterator[Violation]:
    if live.waiting != ledger.waiting:
        detail = f"live {sorted(live.waiting)}, folded {sorted(ledger.waiting)}"
        yield Violation(NAME, "fold differs", f"waiting lines of {live.tenant}", detail)
    configuration = configurations(history).get(live.tenant)
    profiles = profiles_of(configuration) if configuration is not None else {}
    for agent in sorted(live.held):
        offered, held = frozenset(ledger.offers[agent]), frozenset(ledger.held[agent])
        if (live.offered.get(agent, frozenset()), live.held[agent]) != (offered, held):
            detail = f"live {sorted(live.held[agent])}, folded {sorted(held)}"
            yield Violation(NAME, "fold differs", f"agent {agent} of {live.tenant}", detail)
        channels = ledger.channels(agent)
        used = used_by(profiles[agent], channels, ledger.awaited(agent, 0)) if channels else 0
        if agent in live.used and live.used[agent] != used:
            detail = f"live {live.used[agent]}, folded {used}"
            yield Violation(NAME, "fold differs", f"capacity of {agent} of {live.tenant}", detail)
