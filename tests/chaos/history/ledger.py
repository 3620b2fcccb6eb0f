"""The ledger of docs/routing-policies.md, folded from routing events: what each agent is offered, holds and wraps up."""

from __future__ import annotations

from collections import Counter, defaultdict

from chapar.router.v1 import records_pb2 as router_pb2
from tests.chaos.history.history import ENDS

_LOST = frozenset({"AGENT_LOST", "SIGNED_OUT"})


class Ledger:
    """Folds the routing events of one tenant. Each interaction's own events must come in their order."""

    def __init__(self) -> None:
        self.offers: dict[str, dict[str, str]] = defaultdict(dict)
        """The interaction of each open offer, by agent and offer."""
        self.held: dict[str, set[str]] = defaultdict(set)
        """Interactions that are assigned or in wrap-up, by agent."""
        self.waiting: set[str] = set()
        self._holder: dict[str, str] = {}
        self._channel: dict[str, str] = {}
        self._uncounted: set[str] = set()
        """Interactions that are parked, or were forced upon their agent."""

    def fold(self, event: router_pb2.RoutingEvent) -> set[str]:
        """Fold one event. Returns the agents whose load may have grown."""
        if not event.HasField("interaction"):
            return set()
        interaction_id = event.interaction.interaction_id
        self._channel[interaction_id] = event.interaction.channel
        kind = event.WhichOneof("event")
        if kind == "offered":
            self.waiting.discard(interaction_id)
            self.offers[event.offered.agent_id][event.offered.offer_id] = interaction_id
            return {event.offered.agent_id}
        if kind == "offer_ended":
            self.offers[event.offer_ended.agent_id].pop(event.offer_ended.offer_id, None)
            if interaction_id not in self._holder and not self._offered(interaction_id):
                self.waiting.add(interaction_id)
        elif kind == "assigned":
            return self._assign(interaction_id, event.assigned)
        elif kind == "parked":
            self._uncounted.add(interaction_id)
        elif kind == "resumed":
            self._uncounted.discard(interaction_id)
            return {event.resumed.agent_id}
        elif kind == "completed":
            self.waiting.discard(interaction_id)
            if not event.completed.wrap_up_until_ms:
                self._release(interaction_id)
        elif kind == "queued":
            self._release(interaction_id)
            self.waiting.add(interaction_id)
        elif kind in ENDS or kind == "scheduled":
            self._release(interaction_id)
            self.waiting.discard(interaction_id)
        elif kind in ("transferred", "wrap_up_ended") or (kind == "changed" and event.reason in _LOST):
            self._release(interaction_id)
        return set()

    def channels(self, agent: str) -> Counter[str]:
        """Return the number of interactions that count on an agent's ledger, by channel."""
        offered = list(self.offers[agent].values())
        held = [interaction_id for interaction_id in self.held[agent] if interaction_id not in self._uncounted]
        return Counter(self._channel[interaction_id] for interaction_id in (*offered, *held))

    def _assign(self, interaction_id: str, assigned: router_pb2.InteractionAssigned) -> set[str]:
        self._release(interaction_id)
        self.waiting.discard(interaction_id)
        self.offers[assigned.agent_id].pop(assigned.offer_id, None)
        self.held[assigned.agent_id].add(interaction_id)
        self._holder[interaction_id] = assigned.agent_id
        if assigned.over_capacity:
            self._uncounted.add(interaction_id)
        return {assigned.agent_id}

    def _offered(self, interaction_id: str) -> bool:
        return any(interaction_id in offers.values() for offers in self.offers.values())

    def _release(self, interaction_id: str) -> None:
        holder = self._holder.pop(interaction_id, "")
        self.held[holder].discard(interaction_id)
        self._uncounted.discard(interaction_id)
