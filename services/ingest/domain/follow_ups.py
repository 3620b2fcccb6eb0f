"""Interactions that another service requests, for example a call back after a bad survey response. No customer message
opens them.

A follow-up belongs to the customer's current conversation, or continues the conversation that it names. A conversation
has at most one active interaction: a follow-up that arrives during one waits for its end. The customer's next message
joins the follow-up like any other open interaction. The customer gets no acknowledgement, because they sent nothing.
"""

from dataclasses import replace
from typing import Final

from services.ingest.domain import effects
from services.ingest.domain.belongings import owns
from services.ingest.domain.conversations import Conversation, Customer, Opening, OpenInteraction
from services.ingest.domain.decisions import IntakeDecision, Refused, Routing, first_known
from services.ingest.domain.effects import Effect
from services.ingest.domain.focus import focused, on_conversation, on_newest
from services.ingest.domain.messages import FollowUp
from services.ingest.domain.reasons import Reason
from services.ingest.domain.rules import travelling
from services.policy.model.intake import TenantPolicy

MOST_WAITING: Final = 8
REASON: Final = "FOLLOW_UP"


def interaction_of(routing: Routing, tenant: str, request_id: str) -> str:
    """Return the interaction's id. The caller can compute it before the interaction is opened."""
    return routing.derive("follow-up", tenant, request_id)


class FollowUps:
    """Decides about follow-ups. Holds no state."""

    def __init__(self, routing: Routing) -> None:
        self._routing = routing

    def ask(
        self, customer: Customer | None, request: FollowUp, now_ms: int, policy: TenantPolicy
    ) -> IntakeDecision | Refused:
        """Decide about a request under the identity's key."""
        if customer is None:
            return Refused(Reason.UNKNOWN_IDENTITY, "no message from this identity is in memory")
        if customer.home:
            vouched = bool(request.conversation_id) and owns(customer, request.conversation_id)
            return IntakeDecision(customer, (effects.Forwarded(customer.home, checked=vouched),), note="FORWARDED")
        if not (request.checked or owns(customer, request.conversation_id)):
            return Refused(Reason.UNKNOWN_CONVERSATION, "the conversation does not belong to this customer")
        if request.queue not in policy.pools:
            return Refused(Reason.UNKNOWN_QUEUE, f"version {policy.version} does not have this queue")
        named = request.conversation_id
        customer = on_conversation(customer, named) if named else on_newest(customer)
        if customer.conversation is not None and customer.conversation.active:
            if len(customer.follow_ups) >= MOST_WAITING:
                return Refused(Reason.TOO_MANY_FOLLOW_UPS, f"{MOST_WAITING} follow-ups already wait")
            return IntakeDecision(replace(customer, follow_ups=(*customer.follow_ups, request)), note="FOLLOW_UP_WAITS")
        out: list[Effect] = []
        opened = self._open(customer, request, now_ms, policy, out)
        return IntakeDecision(opened, tuple(out), note="FOLLOW_UP_OPENED")

    def next(self, customer: Customer, now_ms: int, policy: TenantPolicy, out: list[Effect]) -> Customer:
        """Open the follow-up that has waited longest for this conversation, if no other interaction is active there.
        Called when an interaction has ended."""
        conversation = customer.conversation
        if conversation is None or conversation.interaction is not None:
            return customer
        for request in customer.follow_ups:
            if request.conversation_id not in ("", conversation.conversation_id):
                continue
            customer = replace(customer, follow_ups=tuple(each for each in customer.follow_ups if each is not request))
            # If a queue was removed from the configuration, follow-ups that wait for it are dropped.
            if request.queue in policy.pools:
                return self._open(customer, request, now_ms, policy, out)
        return customer

    def _open(
        self, customer: Customer, request: FollowUp, now_ms: int, policy: TenantPolicy, out: list[Effect]
    ) -> Customer:
        person = self._routing.person(customer)
        conversation = customer.conversation
        named = request.conversation_id
        if conversation is None or not (named or conversation.current(now_ms)):
            customer = focused(customer, None)
            conversation = Conversation(
                conversation_id=named or self._routing.derive("conversation", customer.key, request.request_id),
                opened_at_ms=now_ms,
                last_at_ms=now_ms,
                language=customer.language,
                route=customer.route,
                place=customer.place,
            )
            if not named:
                out.append(
                    effects.ConversationStarted(conversation.conversation_id, person, customer.identity, customer.place)
                )
                customer = replace(customer, conversations=customer.conversations + 1)
        route = conversation.route or customer.route
        if route is not None:
            # A route that the conversation already has remains. This one is for a conversation that is new or that the
            # sender has forgotten.
            out.append(effects.RouteKnown(conversation.conversation_id, route, only_if_missing=True))
        identity, language = customer.identity, first_known(conversation.language, customer.language)
        opening = Opening(
            message_id="",
            channel=identity.channel,
            account=identity.account,
            language=language,
            labels=travelling(request.labels, policy.routing_labels),
            text="",
            text_length=0,
            arrived_at_ms=request.requested_at_ms or now_ms,
            verified=identity.verified,
            no_auto_reply=True,
        )
        interaction = OpenInteraction(
            interaction_id=interaction_of(self._routing, identity.tenant, request.request_id),
            queue=request.queue,
            pool=policy.pools[request.queue],
            opened_at_ms=now_ms,
            opening=opening,
        )
        out.append(
            effects.InteractionStarted(
                conversation.conversation_id,
                person,
                customer.key,
                interaction.interaction_id,
                request.queue,
                request.reason,
                REASON,
                policy.version,
                "",
                identity.channel,
            )
        )
        out.append(
            effects.Enqueue(
                interaction_id=interaction.interaction_id,
                conversation_id=conversation.conversation_id,
                person_id=person,
                identity_id=customer.key,
                channel=identity.channel,
                account=identity.account,
                language=first_known(language, policy.default_language),
                queue=request.queue,
                pool=interaction.pool,
                priority=request.priority,
                requirements=request.requirements,
                labels=opening.labels,
                arrived_at_ms=opening.arrived_at_ms,
                rule=request.reason,
                public=False,
            )
        )
        conversation = replace(conversation, interaction=interaction, last_at_ms=now_ms, over=False)
        return replace(customer, conversation=conversation)
