"""Decides about a record under an identity's key: `decide(customer, event, now) -> IntakeDecision(customer, effects)`.

Rules that the code can't show:
- Messages of an identity that is linked to a home are decided under the home's key. An interaction that was open before
  the link ends under the identity's key: notices are matched by interaction first, and forwarded only when the
  interaction is unknown here. The router receives the deciding key as `identity_id`, so that its notices come back to
  the right key.
- An edit is recorded and never routed. Reactions, system notes, automatic replies and bounces never open an
  interaction.
- An automatic message is recorded, also when no conversation is active: it may be a person's message that was taken for
  a machine's. The router learns of it, so that the agent sees it, and that a machine wrote it, so that no clock depends
  on it.
- A message that arrives while an interaction is open belongs to it. The router reports which messages it received. A
  message that crossed the interaction's end was shown to no agent, so it opens the next interaction.
- Closing words ("thank you!") after a completion join the completed interaction, also when they crossed its end.
- A score answers the newest open invitation, unless an interaction other than the one asked about is active: then the
  customer said it to the agent. (The invitation may arrive before the notice that its interaction has ended.)
- A mail that a participant writes with the reply token of another customer's conversation is decided under that
  customer's key. It joins the conversation, and changes neither the customer nor their route.
- A message of a blocked sender is recorded and belongs to no interaction, also while one is open; see `blocking`.
- A bounce of our own mail is also a fact about the delivery that failed. It goes to the lane that sends.
- The caller has already dropped duplicates.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, assert_never

from services.ingest.domain import (
    effects,
    form_mailers,
    join_links,
    marketing,
    participants,
    preferences,
    reachability,
    shared_preferences,
)
from services.ingest.domain.belongings import noted
from services.ingest.domain.conversations import Conversation, Customer, Gathering, OpenSurvey
from services.ingest.domain.decisions import IntakeDecision, IntakeLimits, Refused, Routing
from services.ingest.domain.effects import Effect
from services.ingest.domain.fetching import fetches
from services.ingest.domain.focus import bounded, focused
from services.ingest.domain.follow_ups import FollowUps
from services.ingest.domain.interaction_closing import InteractionClosing
from services.ingest.domain.join_links import JoinClaim, JoinOffer
from services.ingest.domain.joining import joined, topic_of, with_thread
from services.ingest.domain.lifetime import Lifetime
from services.ingest.domain.messages import (
    Check,
    Derive,
    Erasure,
    FollowUp,
    Link,
    Message,
    MessageKind,
    Notice,
    SendRequest,
    new_text,
)
from services.ingest.domain.openings import closed_interaction, opening_of
from services.ingest.domain.preferences import Preferences
from services.ingest.domain.reachability import DeliveryNotice
from services.ingest.domain.reply_routes import lasting_route, next_route
from services.ingest.domain.shared_preferences import SharedPreferences
from services.ingest.domain.stated_reports import StatedReport, bounced, pass_on
from services.ingest.domain.survey_reply import beside_quote, parse_score
from services.policy.model.intake import TenantPolicy

Event = (
    Message
    | SendRequest
    | Check
    | Notice
    | Link
    | Erasure
    | FollowUp
    | StatedReport
    | DeliveryNotice
    | Preferences
    | JoinOffer
    | JoinClaim
    | SharedPreferences
)


class Intake:
    """Decides about records. Holds no state."""

    def __init__(self, derive: Derive, limits: IntakeLimits) -> None:
        self._routing = Routing(derive)
        self._limits = limits
        self._follow_ups = FollowUps(self._routing)
        self._closing = InteractionClosing(self._routing, limits, self._follow_ups)
        self._lifetime = Lifetime(self._routing, limits)

    def decide(
        self, key: str, customer: Customer | None, event: Event, now_ms: int, policy: TenantPolicy
    ) -> IntakeDecision | Refused:
        """Decide about one record under `key`."""
        decision = self._decide(key, customer, event, now_ms, policy)
        if isinstance(event, Message) and not isinstance(decision, Refused) and decision.note != "FORWARDED":
            failed = bounced(event, now_ms)
            if failed is not None:
                decision = replace(decision, effects=(*decision.effects, failed))
        if isinstance(decision, Refused) or decision.customer is None:
            return decision
        out = marketing.marked(customer, decision.customer, fetches(decision.effects))
        return replace(decision, customer=bounded(noted(decision.customer)), effects=out)

    def _decide(
        self, key: str, customer: Customer | None, event: Event, now_ms: int, policy: TenantPolicy
    ) -> IntakeDecision | Refused:
        match event:
            case Message():
                return self._message(key, customer, event, now_ms, policy)
            case Check():
                return self._closing.check(customer, event)
            case SendRequest():
                return self._closing.send(customer, event, now_ms, policy)
            case Notice():
                return self._closing.notice(customer, event, now_ms, policy)
            case Link():
                return self._lifetime.link(customer, event)
            case Erasure():
                return self._lifetime.erase(key, customer, event)
            case FollowUp():
                return self._follow_ups.ask(customer, event, now_ms, policy)
            case StatedReport():
                return pass_on(customer, event)
            case Preferences():
                return preferences.decide(customer, event)
            case SharedPreferences():
                return shared_preferences.decide(customer, event)
            case JoinOffer():
                return join_links.offer(customer, event)
            case JoinClaim():
                return join_links.claim(customer, event, now_ms)
            case DeliveryNotice():
                return reachability.decide(customer, event, now_ms, policy, self._routing, self._follow_ups)
            case _:
                assert_never(event)

    def due_ms(self, customer: Customer) -> int | None:
        """Return when `expire` next has something to do for this customer, ms; None: not before another record."""
        return self._lifetime.due_ms(customer)

    def expire(self, customer: Customer, now_ms: int, policy: TenantPolicy) -> IntakeDecision | Refused:
        """Apply the passing of time: route gathered interactions, remove conversations and inactive customers from memory."""
        return self._lifetime.expire(customer, now_ms, policy)

    def _message(
        self, key: str, customer: Customer | None, message: Message, now_ms: int, policy: TenantPolicy
    ) -> IntakeDecision | Refused:
        passed = participants.passed_on(key, customer, message)
        if passed is not None:
            return IntakeDecision(customer, (passed,), note="FORWARDED")
        if customer is None:
            customer = Customer(key=key, identity=message.identity, last_seen_ms=now_ms)
        if customer.home:
            return IntakeDecision(
                replace(customer, last_seen_ms=now_ms), (effects.Forwarded(customer.home),), note="FORWARDED"
            )
        if message.answer_to is not None:
            customer = form_mailers.noted(customer, message)
            if form_mailers.for_another(customer, message, now_ms):
                theirs = effects.Forwarded(message.answer_to.identity_id, passing=effects.Passing.ANSWERED)
                return IntakeDecision(replace(customer, last_seen_ms=now_ms), (theirs,), note="FORWARDED")
        return self._own(customer, message, now_ms, policy)

    def _own(self, customer: Customer, message: Message, now_ms: int, policy: TenantPolicy) -> IntakeDecision | Refused:
        """Decide about a message that belongs to this customer."""
        customer, found = joined(customer, message, now_ms)
        customer = _acquainted(customer, message, now_ms)
        if message.by_person:
            customer = reachability.reached(customer, message.identity.identity_id)
        if message.revision > 0:
            return self._edit(customer, message, now_ms)
        joins = None if message.blocked else join_links.claim_of(customer, message)
        if joins is not None:
            return IntakeDecision(customer, (joins,), note="JOIN_CLAIMED")
        account = policy.account(message.identity.channel, message.identity.account)
        conversation = customer.conversation
        out: list[Effect] = []
        if not found:
            if not message.opens and message.automatic.kind.opens:
                return self._afterthought(customer, message, now_ms)
            conversation = Conversation(
                conversation_id=self._routing.derive("conversation", message.message_id),
                opened_at_ms=now_ms,
                last_at_ms=now_ms,
                place=message.place,
                topic=topic_of(message.subject),
            )
            customer = replace(focused(customer, None), conversations=customer.conversations + message.opens)
            out.append(self._started(customer, conversation))
            if not message.opens and message.place == customer.place and customer.route is not None:
                # A machine's message has no route, and what is sent in this conversation needs one.
                conversation = replace(conversation, route=customer.route)
                out.append(effects.RouteKnown(conversation.conversation_id, customer.route))
        assert conversation is not None
        conversation = replace(
            conversation,
            last_at_ms=now_ms,
            window_ms=account.conversation_window_ms,
            language=message.language if message.language != "und" else conversation.language,
            over=False,
        )
        customer = with_thread(customer, message, conversation.conversation_id)
        # A reaction or a reachability note does not have what an answer needs.
        if message.opens and not message.participant:
            route = next_route(conversation.route, message, conversation.conversation_id, now_ms)
            if route is not conversation.route:
                out.append(effects.RouteKnown(conversation.conversation_id, route))
            conversation = replace(conversation, route=route)
            if not conversation.public:
                lasting = lasting_route(customer.route, route)
                place = conversation.place if lasting is route else customer.place
                customer = replace(preferences.with_route(customer, lasting), place=place)
        customer = replace(customer, conversation=conversation)
        if message.blocked and (message.opens or not message.customer_left):
            out.append(self._recorded(customer, conversation.conversation_id, message, ""))
            return IntakeDecision(customer, tuple(out), note="BLOCKED")

        survey, score = self._answer(customer, conversation, message, now_ms)
        if survey is not None:
            out.append(self._recorded(customer, conversation.conversation_id, message, ""))
            out.append(effects.AnswerGiven(survey.person_id, survey.invitation_id, score, message.message_id))
            answered = survey.answered(conversation.conversation_id, now_ms)
            others = (answered if s is survey else s for s in customer.surveys)
            rest = tuple(s for s in others if now_ms < s.expires_at_ms)
            return IntakeDecision(replace(customer, surveys=rest), tuple(out), note="SURVEY_ANSWER")
        return self._work(customer, conversation, message, now_ms, policy, account.gather_ms, out)

    def _work(
        self,
        customer: Customer,
        conversation: Conversation,
        message: Message,
        now_ms: int,
        policy: TenantPolicy,
        gather_ms: int,
        out: list[Effect],
    ) -> IntakeDecision | Refused:
        """Append the message to the active interaction, or begin a new one."""
        opening = opening_of(message, now_ms, policy.closing_words)
        note = ""
        if conversation.interaction is not None:
            open_ = conversation.interaction
            if message.opens or not message.customer_left:
                out.append(self._recorded(customer, conversation.conversation_id, message, open_.interaction_id))
            if message.opens:
                open_ = replace(open_.appended(opening), left=False)
            if message.opens or not message.automatic.kind.opens:
                kind = message.automatic.kind
                out.append(effects.TellMessaged(open_.pool, open_.interaction_id, message.message_id, kind))
            conversation = replace(conversation, interaction=open_)
            note = "APPENDED"
        elif conversation.gathering is not None:
            waiting = conversation.gathering
            if message.opens:
                waiting = replace(waiting, opening=waiting.opening.joined(opening))
            if message.opens or not message.customer_left:
                out.append(self._recorded(customer, conversation.conversation_id, message, waiting.interaction_id))
            conversation = replace(conversation, gathering=waiting)
            note = "GATHERED"
        elif closed := closed_interaction(conversation, opening, now_ms, policy.closing_words):
            out.append(self._recorded(customer, conversation.conversation_id, message, closed))
            note = "CLOSING_WORDS"
        elif message.opens:
            interaction_id = self._routing.derive("interaction", message.message_id)
            out.append(self._recorded(customer, conversation.conversation_id, message, interaction_id))
            waiting = Gathering(interaction_id=interaction_id, due_at_ms=now_ms + gather_ms, opening=opening)
            conversation = replace(conversation, gathering=waiting)
            note = "OPENED"
        elif not message.customer_left:
            out.append(self._recorded(customer, conversation.conversation_id, message, ""))
            note = "RECORDED"
        waits = conversation.gathering
        if waits is not None and (waits.due_at_ms <= now_ms or message.customer_left):
            routed = self._routing.route(customer, conversation, now_ms, policy, out)
            if isinstance(routed, Refused):
                return routed
            conversation = routed
        if message.customer_left and conversation.interaction is not None and not conversation.interaction.left:
            open_ = conversation.interaction
            out.append(effects.TellLeft(open_.pool, open_.interaction_id, message.message_id))
            # Messages sent before the customer left do not open another interaction.
            conversation = replace(conversation, interaction=replace(open_, left=True, untaken=()))
        return IntakeDecision(replace(customer, conversation=conversation), tuple(out), note=note)

    def _edit(self, customer: Customer, message: Message, now_ms: int) -> IntakeDecision:
        conversation = customer.conversation
        if conversation is None or not conversation.current(now_ms):
            return self._afterthought(customer, message, now_ms)
        interaction = conversation.interaction.interaction_id if conversation.interaction is not None else ""
        recorded = self._recorded(customer, conversation.conversation_id, message, interaction)
        return IntakeDecision(customer, (recorded,), note="EDIT")

    def _afterthought(self, customer: Customer, message: Message, now_ms: int) -> IntakeDecision:
        """Record an edit, a deletion or a reaction that comes after its conversation, in the newest conversation that is
        known. It opens no interaction.

        Without a conversation, an edit begins one, because its text is new. Everything else concerns nothing that is
        known, e.g. a chat window was closed.
        """
        edit = message.revision > 0
        if not (edit or message.deletes or message.kind is MessageKind.REACTION):
            return IntakeDecision(customer, note="NOTHING_TO_DO")
        known = customer.conversation
        newest = known.conversation_id if known is not None else next(iter([*customer.owned_interactions][::-1]), "")
        note = "EDIT_OF_THE_PAST" if edit else "RECORDED"
        if newest:
            return IntakeDecision(customer, (self._recorded(customer, newest, message, ""),), note=note)
        if not edit:
            return IntakeDecision(customer, note="NOTHING_TO_DO")
        begun = Conversation(
            conversation_id=self._routing.derive("conversation", message.message_id),
            opened_at_ms=now_ms,
            last_at_ms=now_ms,
        )
        out = (self._started(customer, begun), self._recorded(customer, begun.conversation_id, message, ""))
        return IntakeDecision(replace(customer, conversation=begun), out, note=note)

    def _answer(
        self, customer: Customer, conversation: Conversation, message: Message, now_ms: int
    ) -> tuple[OpenSurvey | None, int]:
        # A reaction does not say what it is about, and an automatic reply is not a customer's answer.
        if conversation.gathering is not None or message.customer_left or not message.opens or not message.by_person:
            return None, 0
        if message.placeholder or message.participant:  # the text is ours, or not the customer's
            return None, 0
        if customer.proven and not message.origin.proven(conversation.conversation_id):
            return None, 0  # it may be a forged answer in the customer's name
        at_work = conversation.interaction.interaction_id if conversation.interaction is not None else ""
        for survey in reversed(customer.surveys):
            if survey.awaits(conversation.conversation_id, at_work, now_ms):
                text = new_text(message.text, message.text_parts)
                text = beside_quote(text) if message.identity.channel == "email" else text
                score = parse_score(text, survey.kind)
                if score is not None:
                    return survey, score
        return None, 0

    def _started(self, customer: Customer, conversation: Conversation) -> Effect:
        return effects.ConversationStarted(
            conversation.conversation_id, self._routing.person(customer), customer.identity, conversation.place
        )

    def _recorded(self, customer: Customer, conversation_id: str, message: Message, interaction: str) -> Effect:
        def own(native_id: str) -> str:
            return self._routing.derive(message.identity.identity_id, native_id, "0") if native_id else ""

        return effects.MessageRecorded(
            conversation_id,
            self._routing.person(customer),
            message,
            interaction,
            edits=own(message.native_message_id) if message.revision > 0 else "",
            deletes=own(message.deletes),
            of_identity=customer.key if message.participant else "",
        )


def _acquainted(customer: Customer, message: Message, now_ms: int) -> Customer:
    """Update the customer from a message. If the customer was proven before, an unproven message changes nothing; nor
    does a participant's."""
    conversation_id = customer.conversation.conversation_id if customer.conversation is not None else ""
    proven = message.origin.proven(conversation_id)
    if message.participant or (customer.proven and not proven):
        return replace(customer, last_seen_ms=now_ms)
    return replace(
        customer,
        identity=message.identity,
        last_seen_ms=now_ms,
        language=message.language if message.language != "und" else customer.language,
        labels={**customer.labels, **_lasting(message.labels)},
        proven=proven,
    )


def _lasting(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels about the person. Labels about one message only are not kept."""
    return {k: v for k, v in labels.items() if k not in _OF_ONE_MESSAGE}


_OF_ONE_MESSAGE: Final = frozenset(
    {"public", "addressed", "event", "unparsed", "referral", "referral_id", "referral_headline"}
)
