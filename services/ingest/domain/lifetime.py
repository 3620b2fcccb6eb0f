"""How things come to an end in memory: links, erasure, and what time does."""

from dataclasses import replace

from services.ingest.domain import effects
from services.ingest.domain.conversations import Customer
from services.ingest.domain.decisions import Decision, IntakeLimits, Refused, Routing
from services.ingest.domain.effects import Effect
from services.ingest.domain.messages import Erasure, Link
from services.ingest.domain.policy import TenantPolicy


class Lifetime:
    """Decisions about links, erasure and time."""

    def __init__(self, routing: Routing, limits: IntakeLimits) -> None:
        self._routing = routing
        self._limits = limits

    def link(self, customer: Customer | None, link: Link) -> Decision | Refused:
        if link.home_identity_id and not link.confirmed:
            return self._confirm(customer, link)
        if customer is None:
            return Refused("UNKNOWN_IDENTITY", "nobody has written by this identity within memory")
        if link.home_identity_id == customer.key:
            return Refused("LINK_TO_ITSELF")
        return Decision(
            replace(customer, home=link.home_identity_id), note="LINKED" if link.home_identity_id else "UNLINKED"
        )

    def _confirm(self, home: Customer | None, link: Link) -> Decision | Refused:
        """Under the home's key: who is to be linked must find somebody here, and not go round in a circle."""
        if home is None:
            return Refused("UNKNOWN_HOME", "nobody has written by the home identity within memory")
        if home.key == link.identity_id:
            return Refused("LINK_CIRCLE", "the home is linked to this identity")
        if home.home:
            return Decision(home, (effects.Forwarded(home.home),), note="FORWARDED")
        return Decision(home, (effects.LinkConfirmed(link.identity_id, home.key),), note="LINK_CONFIRMED")

    def erase(self, customer: Customer | None, erasure: Erasure) -> Decision:
        if customer is None:
            return Decision(None, note="NOTHING_TO_ERASE")
        out: list[Effect] = []
        conversation = customer.conversation
        if conversation is not None:
            if conversation.interaction is not None:
                # The agent must not go on working for somebody who is to be forgotten.
                open_ = conversation.interaction
                out.append(effects.TellLeft(open_.pool, open_.interaction_id, erasure.request_id))
            out.append(
                effects.ConversationForgotten(
                    conversation.conversation_id,
                    self._routing.person(customer),
                    customer.key,
                    erasure.request_id,
                )
            )
        return Decision(None, tuple(out), note="ERASED")

    def due_ms(self, customer: Customer) -> int:
        """When `expire` has something to do for this customer."""
        conversation = customer.conversation
        if conversation is not None:
            if conversation.gathering is not None:
                return conversation.gathering.due_at_ms
            if conversation.interaction is None:
                return conversation.last_at_ms + conversation.window_ms + self._limits.closed_grace_ms
        return customer.last_seen_ms + self._limits.idle_customer_ms

    def expire(self, customer: Customer, now_ms: int, policy: TenantPolicy) -> Decision | Refused:
        """What time does: gathered work is routed, threads and silent customers leave memory."""
        conversation = customer.conversation
        if conversation is not None and conversation.gathering is not None:
            if now_ms < conversation.gathering.due_at_ms:
                return Decision(customer)
            out: list[Effect] = []
            routed = self._routing.route(customer, conversation, now_ms, policy, out)
            if isinstance(routed, Refused):
                return routed
            return Decision(replace(customer, conversation=routed), tuple(out), note="ROUTED")
        if conversation is not None and conversation.interaction is not None:
            return Decision(customer)
        if conversation is not None and not conversation.current(now_ms - self._limits.closed_grace_ms):
            customer = replace(customer, conversation=None)
            conversation = None
        idle = now_ms >= customer.last_seen_ms + self._limits.idle_customer_ms
        awaited = any(now_ms < s.expires_at_ms for s in customer.surveys)
        if idle and conversation is None and not customer.home and not awaited:
            return Decision(None, note="FORGOTTEN")
        return Decision(customer)
