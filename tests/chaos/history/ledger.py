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
        self._replies: dict[str, dict[str, bool]] = defaultdict(dict)
        """The replies since the customer's last message, of each interaction, and whether each was sent."""
        self._written_at: dict[str, int] = {}
        """When a customer who was awaited wrote again."""
        self._busy_with: set[str] = set()
        """Interactions in wrap-up, and those that their agent is handing on."""

    def fold(self, event: router_pb2.RoutingEvent) -> set[str]:
        """Fold one event. Returns the agents who got more: not those whose customers wrote again, and not those who accepted an offer."""
        if not event.HasField("interaction"):
            return set()
        interaction_id = event.interaction.interaction_id
        self._channel[interaction_id] = event.interaction.channel
        kind = event.WhichOneof("event")
        self._turn(event, interaction_id, kind or "")
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
            self._busy_with.add(interaction_id)
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

    def awaited(self, agent: str, at_ms: int) -> Counter[str]:
        """Return the number of those whose customer was awaited at that time, by channel. A message of the same millisecond may have come first
        or last, so its customer counts as awaited."""
        found = Counter[str]()
        for interaction_id in self.held[agent] - self._uncounted - self._busy_with:
            if any(self._replies[interaction_id].values()) or self._written_at.get(interaction_id) == at_ms:
                found[self._channel[interaction_id]] += 1
        return found

    def _turn(self, event: router_pb2.RoutingEvent, interaction_id: str, kind: str) -> None:
        """Note who waits for whom: the customer for the agent, or the agent for the customer."""
        replies = self._replies[interaction_id]
        if kind == "agent_replied":
            replies[event.agent_replied.reply_id] = not event.agent_replied.awaits_outcome
        elif kind == "reply_outcome" and event.reply_outcome.reply_id in replies:
            replies[event.reply_outcome.reply_id] = event.reply_outcome.state == router_pb2.REPLY_STATE_SENT
        elif kind == "customer_message_recorded" and not event.customer_message_recorded.automatic:
            if any(replies.values()):
                self._written_at[interaction_id] = event.occurred_at_ms
            replies.clear()
        elif event.reason == "WARM_TRANSFER":
            self._busy_with.add(interaction_id)
        elif event.reason == "TRANSFER_RECALLED" and kind == "changed":
            self._busy_with.discard(interaction_id)

    def _assign(self, interaction_id: str, assigned: router_pb2.InteractionAssigned) -> set[str]:
        self._release(interaction_id)
        self.waiting.discard(interaction_id)
        offered = self.offers[assigned.agent_id].pop(assigned.offer_id, None)
        self.held[assigned.agent_id].add(interaction_id)
        self._holder[interaction_id] = assigned.agent_id
        if assigned.over_capacity:
            self._uncounted.add(interaction_id)
        return set() if offered else {assigned.agent_id}

    def _offered(self, interaction_id: str) -> bool:
        return any(interaction_id in offers.values() for offers in self.offers.values())

    def _release(self, interaction_id: str) -> None:
        holder = self._holder.pop(interaction_id, "")
        self.held[holder].discard(interaction_id)
        self._uncounted.discard(interaction_id)
        self._replies.pop(interaction_id, None)
        self._busy_with.discard(interaction_id)
