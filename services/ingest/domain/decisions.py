"""The parts of an intake decision, and the step that several decisions share: handing a gathered interaction to the
router.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from services.ingest.domain import effects
from services.ingest.domain.conversations import Conversation, Customer, OpenInteraction
from services.ingest.domain.effects import Effect
from services.ingest.domain.messages import Derive
from services.ingest.domain.reasons import Reason
from services.ingest.domain.rules import choose
from services.policy.model.intake import DAY_MS, TenantPolicy

MAX_HOPS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeLimits:
    """Bounds on what the intake lane keeps. Times in ms."""

    duplicate_window_ms: int = 7 * DAY_MS
    duplicate_ids_most: int = 50_000
    idle_customer_ms: int = 30 * DAY_MS
    """An identity leaves memory after this time without a message, if it is not linked, has no opt-out, and has no open interaction."""
    closed_grace_ms: int = 60_000
    blocked_most: int = 5_000
    """The most blocked senders of one tenant in one partition."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The record can never be processed."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class IntakeDecision:
    """The customer's new state (None: forgotten), the effects to write, and a one-word note for metrics and logs."""

    customer: Customer | None
    effects: tuple[Effect, ...] = ()
    note: str = ""


class Routing:
    """Derives ids and routes gathered interactions."""

    def __init__(self, derive: Derive) -> None:
        self.derive = derive
        self.person_id = lru_cache(maxsize=4096)(self._person_id)
        """The id of the person whose home is this identity; cached, because each message asks for it several times."""

    def _person_id(self, home_identity_id: str) -> str:
        return self.derive("person", home_identity_id)

    def person(self, customer: Customer) -> str:
        """Return the id of the customer's person."""
        return self.person_id(customer.key)

    def route(
        self,
        customer: Customer,
        conversation: Conversation,
        now_ms: int,
        policy: TenantPolicy,
        out: list[Effect],
    ) -> Conversation | Refused:
        """Evaluate the routing rules and hand the gathered interaction to the router."""
        waiting = conversation.gathering
        assert waiting is not None
        opening = waiting.opening
        language = first_known(opening.language, conversation.language, customer.language, policy.default_language)
        choice = choose(
            policy.rules,
            policy.pools,
            policy.condition,
            opening.rule_input(customer.attributes(opening.verified), language, policy.hours, now_ms),
            policy.routing_labels,
        )
        if choice is None:
            return Refused(Reason.NO_QUEUE, f"tenant {policy.tenant} has no queue in version {policy.version}")
        key = customer.key
        person = self.person(customer)
        out.append(
            effects.InteractionStarted(
                conversation.conversation_id,
                person,
                key,
                waiting.interaction_id,
                choice.queue,
                choice.rule,
                choice.reason,
                policy.version,
                opening.message_id,
                opening.channel,
                choice.failed,
                opening.further,
            )
        )
        out.append(
            effects.Enqueue(
                interaction_id=waiting.interaction_id,
                conversation_id=conversation.conversation_id,
                person_id=person,
                identity_id=key,
                channel=opening.channel,
                account=opening.account,
                language=language,
                queue=choice.queue,
                pool=choice.pool,
                priority=choice.priority,
                requirements=choice.requirements,
                labels=choice.labels,
                arrived_at_ms=opening.arrived_at_ms,
                rule=choice.rule,
                public=opening.public,
                wishes=opening.wishes,
                automatic=opening.automatic,
            )
        )
        return replace(
            conversation,
            gathering=None,
            interaction=OpenInteraction(
                interaction_id=waiting.interaction_id,
                queue=choice.queue,
                pool=choice.pool,
                opened_at_ms=now_ms,
                opening=replace(opening, text=""),
            ),
        )


def first_known(*languages: str) -> str:
    """Return the first language that is known, or "und"."""
    for language in languages:
        if language and language != "und":
            return language
    return "und"
