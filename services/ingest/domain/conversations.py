"""What the intake lane remembers under an identity's key, while it is alive. All values; the decisions are in `intake`.

A conversation is with a person (the home's key), across channels. At most one interaction is at work in it: gathering
(waiting for the rest of what the customer is typing) or open (in the router's hands).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from services.ingest.domain.messages import NO_WISHES, FollowUp, Identity, Route, Wishes
from services.ingest.domain.policy import DAY_MS
from services.ingest.domain.rules import RuleInput

UNTAKEN_MOST = 20
UNTAKEN_TEXT_CHARS = 500
RULE_TEXT_CHARS = 4_000
"""Conditions see so much of a text: enough for hints, and a bound on what a regular expression can cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an interaction is opened with: the first message's facts, and the texts so far."""

    message_id: str
    channel: str
    account: str
    language: str
    labels: Mapping[str, str]
    text: str
    text_length: int
    arrived_at_ms: int
    verified: bool
    no_auto_reply: bool
    wishes: Wishes = NO_WISHES

    @property
    def public(self) -> bool:
        """Whether an answer would be seen by everyone."""
        return self.labels.get("public") == "true"

    def joined(self, later: "Opening") -> "Opening":
        """With a further fragment: texts in order, newer labels win, one mark against automatic answers is enough."""
        return replace(
            self,
            text=f"{self.text}\n{later.text}"[:RULE_TEXT_CHARS] if later.text else self.text,
            text_length=self.text_length + later.text_length + 1,
            labels={**self.labels, **later.labels},
            language=self.language if self.language != "und" else later.language,
            verified=self.verified and later.verified,
            no_auto_reply=self.no_auto_reply or later.no_auto_reply,
            wishes=self.wishes.joined(later.wishes),
        )

    def rule_input(self, person: Mapping[str, str], language: str) -> RuleInput:
        """What conditions see."""
        return RuleInput(
            channel=self.channel,
            account=self.account,
            language=language,
            text=self.text,
            text_length=self.text_length,
            person=person,
            labels=self.labels,
            public=self.public,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """Waits until `due_at_ms` for more of what the customer is saying."""

    interaction_id: str
    due_at_ms: int
    opening: Opening


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInteraction:
    """In the router's hands."""

    interaction_id: str
    queue: str
    pool: str
    opened_at_ms: int
    opening: Opening
    acknowledged: bool = False
    assigned: bool = False
    left: bool = False
    untaken: tuple[Opening, ...] = ()
    """Messages that the router has not yet said to have taken; if it ends without, they open the next interaction."""

    def appended(self, opening: Opening) -> "OpenInteraction":
        """With one more message; only the newest are kept, their texts cut (the conversation has them whole)."""
        short = replace(opening, text=opening.text[:UNTAKEN_TEXT_CHARS])
        return replace(self, untaken=(*self.untaken[-(UNTAKEN_MOST - 1) :], short))

    def taken(self, message_id: str) -> "OpenInteraction":
        """The router has this message, and all that were said before it."""
        ids = [opening.message_id for opening in self.untaken]
        if message_id not in ids:
            return self
        return replace(self, untaken=self.untaken[ids.index(message_id) + 1 :])


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The thread. `window_ms` is the newest message's account's."""

    conversation_id: str
    opened_at_ms: int
    last_at_ms: int
    window_ms: int = DAY_MS
    language: str = "und"
    gathering: Gathering | None = None
    interaction: OpenInteraction | None = None
    route: Route | None = None
    """Where it is answered; see `reply_routes`."""

    def current(self, now_ms: int) -> bool:
        """Whether a message now belongs to it: while work is open, and for the window after the last message."""
        if self.gathering is not None or self.interaction is not None:
            return True
        return now_ms < self.last_at_ms + self.window_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSurvey:
    """An invitation that a reply can answer until `expires_at_ms`.

    A first reply closes it, or leaves it open for `amend_for_ms` in the conversation where it was given (`answered_in`).
    """

    invitation_id: str
    kind: str
    expires_at_ms: int
    person_id: str
    interaction_id: str = ""
    amend_for_ms: int = 0
    answered_in: str = ""

    def answered(self, conversation_id: str, now_ms: int) -> "OpenSurvey":
        """After a reply: open for amendments only, from the first reply on."""
        if self.answered_in:
            return self
        closes = min(self.expires_at_ms, now_ms + self.amend_for_ms)
        return replace(self, expires_at_ms=closes, answered_in=conversation_id)

    def awaits(self, conversation_id: str, at_work: str, now_ms: int) -> bool:
        """Whether a score in this conversation is meant for it. `at_work`: the open interaction, empty without one."""
        return (
            now_ms < self.expires_at_ms
            and at_work in ("", self.interaction_id)
            and self.answered_in in ("", conversation_id)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Everything under one identity's key. `home` is set when it is linked to another identity's person."""

    key: str
    """The identity under whose key this is: the person's home, unless linked elsewhere."""
    identity: Identity
    """The newest identity seen here; once proven, what is unproven does not change it."""
    last_seen_ms: int
    home: str = ""
    language: str = "und"
    labels: Mapping[str, str] = field(default_factory=dict)
    conversations: int = 0
    conversation: Conversation | None = None
    route: Route | None = None
    surveys: tuple[OpenSurvey, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    """Work that waits for the end of what is at work."""
    acknowledged_at_ms: int = 0
    proven: bool = False
    """Whether a message of this customer has been proven."""
    threads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Conversations and their interactions, the newest last; see `belongings`."""

    def attributes(self, verified: bool) -> dict[str, str]:
        """What conditions see as `person`: its labels, and three facts."""
        return {
            **self.labels,
            "verified": "true" if verified else "false",
            "returning": "true" if self.conversations > 1 else "false",
            "language": self.language,
        }
