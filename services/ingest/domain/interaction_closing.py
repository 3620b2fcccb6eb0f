"""Decisions after an interaction was opened: requests to send, notices of the router, the interaction's end."""

from dataclasses import replace
from typing import assert_never

from services.ingest.domain import acknowledgement, blocking, effects, preferences, reply_window
from services.ingest.domain.belongings import owns
from services.ingest.domain.conversations import (
    Conversation,
    Customer,
    EndedInteraction,
    Gathering,
    OpenInteraction,
    OpenSurvey,
)
from services.ingest.domain.decisions import IntakeDecision, IntakeLimits, Refused, Routing, first_known
from services.ingest.domain.effects import Effect
from services.ingest.domain.focus import focused, on_conversation, on_interaction, on_newest
from services.ingest.domain.follow_ups import FollowUps
from services.ingest.domain.messages import Check, Notice, NoticeKind, Purpose, Route, SendRequest
from services.ingest.domain.reasons import Reason
from services.policy.model.intake import TenantPolicy


class InteractionClosing:
    """Decides about requests to send and about notices."""

    def __init__(self, routing: Routing, limits: IntakeLimits, follow_ups: FollowUps) -> None:
        self._routing = routing
        self._follow_ups = follow_ups
        self._limits = limits

    def send(
        self, customer: Customer | None, request: SendRequest, now_ms: int, policy: TenantPolicy
    ) -> IntakeDecision | Refused:
        """Decide about a request to send: the conversation must belong to the customer, and have a reply route."""
        if customer is None:
            return Refused(Reason.UNKNOWN_IDENTITY, "no message from this identity is in memory")
        named = request.conversation_id
        customer = on_conversation(customer, named) if named else on_newest(customer)
        conversation = customer.conversation
        owned = request.checked or owns(customer, named, request.interaction_id)
        if customer.home and (conversation is None or not named):
            # The home has the surveys and the newest route. Only this lane knows that the conversation is this
            # customer's.
            vouched = bool(named) and owned
            return IntakeDecision(customer, (effects.Forwarded(customer.home, checked=vouched),), note="FORWARDED")
        if not owned:
            return Refused(
                Reason.UNKNOWN_CONVERSATION, "the conversation or interaction does not belong to this customer"
            )
        route, place = customer.route, customer.place
        if conversation is not None and (named or conversation.current(now_ms)):
            route = conversation.route or route
        elif not named and (preferred := preferences.beginning_route(customer)) is not None and preferred != route:
            route, place = preferred, ""
        if route is not None and request.template is not None:
            where = route.identity
            wrong = reply_window.filled(request, policy.account(where.channel, where.account))
            if isinstance(wrong, Reason):
                return Refused(wrong, f"template {request.template.name} of {where.channel} account {where.account}")
        out: list[Effect] = []
        if named and conversation is None:
            # An older conversation: the sender knows its route while the sender has it in memory.
            target = named
            if customer.route is not None:
                out.append(effects.RouteKnown(target, customer.route, only_if_missing=True))
        else:
            if conversation is None or not (named or conversation.current(now_ms)):
                if route is None:
                    return Refused(
                        Reason.NO_ROUTE, "this identity has never sent a message, so there is no reply route"
                    )
                customer = focused(customer, None)
                conversation = Conversation(
                    conversation_id=self._routing.derive("conversation", customer.key, request.request_id),
                    opened_at_ms=now_ms,
                    last_at_ms=now_ms,
                    language=customer.language,
                    route=route,
                    place=place,
                )
                out.append(
                    effects.ConversationStarted(
                        conversation.conversation_id,
                        self._routing.person(customer),
                        route.identity,
                        place,
                    )
                )
                out.append(effects.RouteKnown(conversation.conversation_id, route))
                customer = replace(customer, conversations=customer.conversations + 1)
            conversation = replace(conversation, last_at_ms=now_ms, over=False)
            customer = replace(customer, conversation=conversation)
            target = conversation.conversation_id
        wanted = self._as_wanted(customer, request, route, policy)
        if isinstance(wanted, Refused):
            return wanted
        request = wanted
        if request.purpose is Purpose.SURVEY and request.invitation_id and not request.forbidden:
            survey = OpenSurvey(
                invitation_id=request.invitation_id,
                kind=request.survey_kind,
                expires_at_ms=request.survey_expires_at_ms,
                person_id=self._routing.person(customer),
                interaction_id=request.interaction_id,
                amend_for_ms=request.survey_amend_for_ms,
            )
            others = tuple(
                s for s in customer.surveys if s.invitation_id != survey.invitation_id and now_ms < s.expires_at_ms
            )
            customer = replace(customer, surveys=(*others, survey))
            request = replace(request, person_id=survey.person_id)
        out.append(effects.SendAsked(target, replace(request, conversation_id=target)))
        return IntakeDecision(customer, tuple(out), note="SEND")

    def _as_wanted(
        self, customer: Customer, request: SendRequest, route: Route | None, policy: TenantPolicy
    ) -> SendRequest | Refused:
        """Return the request, forbidden if the person does not want it or their address has failed."""
        if route is None:  # only the sender knows where an older conversation is answered
            return request
        where = route.identity
        marketing = reply_window.is_marketing(request, policy.account(where.channel, where.account))
        purpose = Purpose.NOTICE if marketing else request.purpose
        if preferences.forbids(customer, purpose, where.channel):
            if request.purpose is not Purpose.SURVEY:
                return Refused(Reason.OPTED_OUT, f"the person does not want such messages by {where.channel}")
            return replace(request, forbidden=Reason.OPTED_OUT, person_id=self._routing.person(customer))
        if request.purpose is Purpose.SURVEY and where.identity_id == request.blocked_identity:
            return replace(request, forbidden=Reason.SENDER_BLOCKED, person_id=self._routing.person(customer))
        if request.purpose is Purpose.SURVEY and where.identity_id in customer.failed_addresses:
            return replace(request, forbidden=Reason.ADDRESS_FAILED, person_id=self._routing.person(customer))
        return request

    def check(self, customer: Customer | None, asked: Check) -> IntakeDecision | Refused:
        """Check ownership as for a request to send, without any effect."""
        if customer is None:
            return Refused(Reason.UNKNOWN_IDENTITY, "no message from this identity is in memory")
        owned = asked.checked or owns(customer, asked.conversation_id, asked.interaction_id)
        if customer.home:
            vouched = bool(asked.conversation_id or asked.interaction_id) and owned
            return IntakeDecision(customer, (effects.Forwarded(customer.home, checked=vouched),), note="FORWARDED")
        if not owned:
            return Refused(
                Reason.UNKNOWN_CONVERSATION, "the conversation or interaction does not belong to this customer"
            )
        if asked.person_id not in ("", self._routing.person(customer)):
            return Refused(Reason.UNKNOWN_PERSON, "the identity belongs to another person")
        return IntakeDecision(customer, note="CHECKED")

    def notice(
        self, customer: Customer | None, notice: Notice, now_ms: int, policy: TenantPolicy
    ) -> IntakeDecision | Refused:
        """Decide about a notice of the router: acknowledge the interaction, note that it was assigned, or close it."""
        if customer is not None:
            customer = on_interaction(customer, notice.interaction_id)
        conversation = customer.conversation if customer is not None else None
        open_ = conversation.interaction if conversation is not None else None
        if customer is None or conversation is None or open_ is None or open_.interaction_id != notice.interaction_id:
            if customer is not None and customer.home:
                return IntakeDecision(customer, (effects.Forwarded(customer.home),), note="FORWARDED")
            return IntakeDecision(customer, note="LATE_NOTICE")
        match notice.kind:
            case NoticeKind.QUEUED:
                return self._acknowledge(customer, conversation, open_, notice, now_ms, policy)
            case NoticeKind.ASSIGNED:
                changed = replace(conversation, interaction=replace(open_, assigned=True))
                return IntakeDecision(replace(customer, conversation=changed), note="ASSIGNED")
            case NoticeKind.COMPLETED | NoticeKind.ABANDONED | NoticeKind.CANCELLED:
                return self._close(customer, conversation, open_, notice, now_ms, policy)
            case NoticeKind.MESSAGE_RECORDED:
                changed = replace(conversation, interaction=open_.taken(notice.message_id))
                return IntakeDecision(replace(customer, conversation=changed), note="MESSAGE_RECORDED")
            case NoticeKind.CUSTOMER_SILENT:
                return self._warn(customer, conversation, open_, notice, now_ms, policy)
            case NoticeKind.UNSPECIFIED:
                return Refused(Reason.UNKNOWN_NOTICE)
            case _:
                assert_never(notice.kind)

    def _acknowledge(
        self,
        customer: Customer,
        conversation: Conversation,
        open_: OpenInteraction,
        notice: Notice,
        now_ms: int,
        policy: TenantPolicy,
    ) -> IntakeDecision:
        opening = open_.opening
        account = policy.account(opening.channel, opening.account)
        silent = open_.acknowledged or not account.acknowledge
        if silent or self._wants_no_text(customer, open_):
            return IntakeDecision(customer, note="NOT_ACKNOWLEDGED")
        closed = policy.hours.closed(open_.queue, opening.channel, opening.account, now_ms)
        # The gap bounds the two statements separately: a customer who learned the wait just before closing still learns of
        # the closing.
        told_at_ms = customer.acknowledged_at_ms if closed is None else customer.told_closed_at_ms
        if now_ms < told_at_ms + account.acknowledge_gap_ms:
            return IntakeDecision(customer, note="NOT_ACKNOWLEDGED")
        languages = (first_known(opening.language, conversation.language, customer.language), policy.default_language)
        if closed is None:
            customer = replace(customer, acknowledged_at_ms=now_ms)
            text = acknowledgement.acknowledgement(
                policy.templates, *languages, estimated_wait_ms=notice.estimated_wait_ms, position=notice.position
            )
        else:
            customer = replace(customer, told_closed_at_ms=now_ms)
            text = acknowledgement.closed_notice(
                policy.templates, *languages, closed=closed, now_ms=now_ms, shown=policy.hours.shown
            )
        customer = replace(
            customer,
            conversation=replace(conversation, interaction=replace(open_, acknowledged=True)),
        )
        request_id = self._routing.derive("acknowledgement", open_.interaction_id)
        asked = self._automatic(request_id, conversation, open_, text, now_ms)
        return IntakeDecision(customer, (asked,), note="ACKNOWLEDGED")

    def _warn(
        self,
        customer: Customer,
        conversation: Conversation,
        open_: OpenInteraction,
        notice: Notice,
        now_ms: int,
        policy: TenantPolicy,
    ) -> IntakeDecision:
        """Warn a customer who has not answered a reply; not one who has written meanwhile, and not who gets no automatic texts."""
        if open_.untaken or self._wants_no_text(customer, open_):
            return IntakeDecision(customer, note="NOT_WARNED")
        language = first_known(open_.opening.language, conversation.language, customer.language)
        text = acknowledgement.silence_warning(
            policy.templates, language, policy.default_language, closes_in_ms=notice.closes_at_ms - now_ms
        )
        request_id = self._routing.derive("silence-warning", notice.event_id)
        return IntakeDecision(
            customer, (self._automatic(request_id, conversation, open_, text, now_ms),), note="WARNED"
        )

    @staticmethod
    def _wants_no_text(customer: Customer, open_: OpenInteraction) -> bool:
        """Return whether the customer gets no automatic text about their interaction. In a group chat, all members would get it."""
        opening = open_.opening
        return (
            opening.no_auto_reply
            or open_.left
            or opening.public
            or preferences.forbids(customer, Purpose.ACKNOWLEDGEMENT, opening.channel)
        )

    @staticmethod
    def _automatic(
        request_id: str, conversation: Conversation, open_: OpenInteraction, text: str, now_ms: int
    ) -> effects.SendAsked:
        request = SendRequest(
            request_id=request_id,
            conversation_id=conversation.conversation_id,
            interaction_id=open_.interaction_id,
            text=text,
            purpose=Purpose.ACKNOWLEDGEMENT,
            author_id="ingest",
            requested_at_ms=now_ms,
        )
        return effects.SendAsked(conversation.conversation_id, request)

    def _close(
        self,
        customer: Customer,
        conversation: Conversation,
        open_: OpenInteraction,
        notice: Notice,
        now_ms: int,
        policy: TenantPolicy,
    ) -> IntakeDecision | Refused:
        outcome = notice.kind.name.lower()
        out: list[Effect] = [
            effects.InteractionEnded(
                conversation.conversation_id,
                self._routing.person(customer),
                customer.key,
                open_.interaction_id,
                outcome,
            )
        ]
        completed = notice.kind is NoticeKind.COMPLETED
        ended = EndedInteraction(open_.interaction_id, now_ms) if completed else None
        conversation = replace(
            conversation, interaction=None, ended=ended, last_at_ms=max(conversation.last_at_ms, now_ms)
        )
        block = blocking.of_disposition(customer, open_, notice, policy.blocks_for_ms)
        untaken = open_.untaken
        if block is not None:
            out.append(block)
            untaken = tuple(each for each in untaken if blocking.sender_of(each, customer) != block.identity_id)
        if untaken and not (completed and all(each.closing for each in untaken)):
            opening = untaken[0]
            for later in untaken[1:]:
                opening = opening.joined(later)
            interaction_id = self._routing.derive("interaction", opening.message_id)
            waiting = Gathering(interaction_id=interaction_id, due_at_ms=now_ms, opening=opening)
            routed = self._routing.route(customer, replace(conversation, gathering=waiting), now_ms, policy, out)
            if isinstance(routed, Refused):
                return routed
            conversation = routed
        customer = self._follow_ups.next(replace(customer, conversation=conversation), now_ms, policy, out)
        return IntakeDecision(customer, tuple(out), note=outcome.upper())
