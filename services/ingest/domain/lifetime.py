"""How state ends: links between identities, erasure, and expiry."""

from services.ingest.domain import effects, shared_preferences
from services.ingest.domain.conversations import Conversation, Customer
from services.ingest.domain.decisions import IntakeDecision, IntakeLimits, Refused, Routing
from services.ingest.domain.effects import Effect
from services.ingest.domain.focus import pruned, with_changed
from services.ingest.domain.messages import Erasure, Link
from services.ingest.domain.reasons import Reason
from services.policy.model.intake import TenantPolicy


class Lifetime:
    """Decides about links, erasure and expiry."""

    def __init__(self, routing: Routing, limits: IntakeLimits) -> None:
        self._routing = routing
        self._limits = limits

    def link(self, customer: Customer | None, link: Link) -> IntakeDecision | Refused:
        """Link an identity to the home of another one, or unlink it. The home must confirm a link first."""
        if link.home_identity_id and not link.confirmed:
            return self._confirm(customer, link)
        if customer is None:
            return Refused(Reason.UNKNOWN_IDENTITY, "no message from this identity is in memory")
        if link.home_identity_id == customer.key:
            return Refused(Reason.LINK_TO_ITSELF)
        person = self._routing.person_id(link.home_identity_id or customer.key)
        moved = effects.IdentityMoved(customer.key, person, link.request_id)
        return shared_preferences.linked(customer, link, moved)

    def _confirm(self, home: Customer | None, link: Link) -> IntakeDecision | Refused:
        """Decide under the home's key: the home must be known here, and the link must not form a cycle."""
        if home is None:
            return Refused(Reason.UNKNOWN_HOME, "no message from the home identity is in memory")
        if home.key == link.identity_id:
            return Refused(Reason.LINK_CIRCLE, "the home is linked to this identity")
        if home.home:
            return IntakeDecision(home, (effects.Forwarded(home.home),), note="FORWARDED")
        return shared_preferences.confirmed(home, link)

    def erase(self, key: str, customer: Customer | None, erasure: Erasure) -> IntakeDecision:
        """Erase an identity, whether it is in memory or not. Other services forget what they keep of it, past
        conversations too."""
        out: list[Effect] = []
        person = self._routing.person_id(key)
        conversations = dict.fromkeys(erasure.conversation_ids)
        counts = {"identities": 0, "interactions_ended": 0, "follow_ups_cancelled": 0, "surveys_closed": 0}
        if customer is not None:
            counts["identities"] = 1
            counts["follow_ups_cancelled"] = len(customer.follow_ups)
            counts["surveys_closed"] = len(customer.surveys)
        for conversation in customer.in_memory if customer is not None else ():
            conversations[conversation.conversation_id] = None
            if conversation.interaction is not None:
                # The agent must not go on working for a person who is to be forgotten.
                open_ = conversation.interaction
                out.append(effects.TellLeft(open_.pool, open_.interaction_id, erasure.request_id))
                counts["interactions_ended"] += 1
        # Without a conversation, the record still says that the identity's name is to be forgotten.
        out += [
            effects.ConversationForgotten(conversation_id, person, key, erasure.request_id)
            for conversation_id in conversations or ("",)
        ]
        out.append(effects.PersonForgotten(person, key, erasure.request_id, counts))
        return IntakeDecision(None, tuple(out), note="ERASED")

    def due_ms(self, customer: Customer) -> int | None:
        """Return when `expire` next has something to do for this customer; None: not before another record."""
        dues = [due for due in map(self._due_ms, customer.in_memory) if due is not None]
        if dues:
            return min(dues)
        if customer.has_open_work or _lasts(customer):
            return None
        idle_at_ms = customer.last_seen_ms + self._limits.idle_customer_ms
        return max((idle_at_ms, *(survey.expires_at_ms for survey in customer.surveys)))

    def expire(self, customer: Customer, now_ms: int, policy: TenantPolicy) -> IntakeDecision | Refused:
        """Apply the passing of time: route gathered interactions, remove conversations and inactive customers from memory."""
        out: list[Effect] = []
        changed: dict[str, Conversation | None] = {}
        for conversation in customer.in_memory:
            if conversation.gathering is None or now_ms < conversation.gathering.due_at_ms:
                continue
            routed = self._routing.route(customer, conversation, now_ms, policy, out)
            if isinstance(routed, Refused):
                return routed
            changed[routed.conversation_id] = routed
        if changed:
            return IntakeDecision(with_changed(customer, changed), tuple(out), note="ROUTED")
        customer = pruned(customer, now_ms, self._limits.closed_grace_ms)
        idle = now_ms >= customer.last_seen_ms + self._limits.idle_customer_ms
        awaited = any(now_ms < s.expires_at_ms for s in customer.surveys)
        current = any(each.current(now_ms - self._limits.closed_grace_ms) for each in customer.in_memory)
        if idle and not current and not awaited and not _lasts(customer):
            return IntakeDecision(None, note="FORGOTTEN")
        return IntakeDecision(customer)

    def _due_ms(self, conversation: Conversation) -> int | None:
        """Return when something happens in this conversation without another record; None: nothing does."""
        if conversation.gathering is not None:
            return conversation.gathering.due_at_ms
        if conversation.interaction is not None or conversation.over:
            return None
        return conversation.last_at_ms + conversation.window_ms + self._limits.closed_grace_ms


def _lasts(customer: Customer) -> bool:
    """Return whether the customer stays in memory however long they are silent: links and opt-outs hold."""
    return bool(customer.home or customer.members or customer.opt_outs)
