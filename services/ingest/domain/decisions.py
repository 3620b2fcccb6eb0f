"""What a decision of the intake core is made of, and the step that several decisions share: handing gathered work to the router."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from services.ingest.domain import effects
from services.ingest.domain.conversations import Conversation, Customer, OpenInteraction
from services.ingest.domain.effects import Effect
from services.ingest.domain.messages import Derive
from services.ingest.domain.policy import DAY_MS, TenantPolicy
from services.ingest.domain.rules import choose

MAX_HOPS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeLimits:
    """How long things are kept. Times in ms."""

    duplicate_window_ms: int = 7 * DAY_MS
    duplicate_ids_most: int = 50_000
    idle_customer_ms: int = 30 * DAY_MS
    """An identity that is silent so long, unlinked and without open work leaves memory."""
    closed_grace_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Refused:
    """The record can never be processed."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The customer from now on (None: forgotten), what to write, and what happened in a word."""

    customer: Customer | None
    effects: tuple[Effect, ...] = ()
    note: str = ""


class Routing:
    """Ids, and the way from gathered to open."""

    def __init__(self, derive: Derive) -> None:
        self.derive = derive
        self.person_id = lru_cache(maxsize=4096)(self._person_id)
        """The person that lives at this home (an identity's id); asked for several times a message."""

    def _person_id(self, home_identity_id: str) -> str:
        return self.derive("person", home_identity_id)

    def person(self, customer: Customer) -> str:
        """The customer's person."""
        return self.person_id(customer.key)

    def route(
        self,
        customer: Customer,
        conversation: Conversation,
        now_ms: int,
        policy: TenantPolicy,
        out: list[Effect],
    ) -> Conversation | Refused:
        """Ask the rules and hand the gathered work to the router."""
        waiting = conversation.gathering
        assert waiting is not None
        opening = waiting.opening
        language = first_known(opening.language, conversation.language, customer.language, policy.default_language)
        choice = choose(
            policy.rules,
            policy.pools,
            policy.condition,
            opening.rule_input(customer.attributes(opening.verified), language),
            policy.routing_labels,
        )
        if choice is None:
            return Refused("NO_QUEUE", f"tenant {policy.tenant} has no queue in version {policy.version}")
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
    """The first language that is one; "und" when none is."""
    for language in languages:
        if language and language != "und":
            return language
    return "und"
