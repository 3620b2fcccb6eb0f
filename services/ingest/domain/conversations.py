"""What the intake lane keeps in memory under an identity's key. All classes are values; the decisions are in `intake`.

A conversation belongs to a person (the home's key). A person has one conversation for each group chat and for each topic
of e-mail, and one for everything else, which spans channels. A conversation has at most one active interaction, which
is either gathering (waiting for the rest of the customer's text) or open (handed to the router).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from services.ingest.domain.messages import NO_WISHES, FollowUp, Identity, Route, Wishes
from services.ingest.domain.opt_outs import OptOut
from services.policy.model.automatic import AutomaticKind
from services.policy.model.intake import DAY_MS
from services.policy.model.opening_hours import TenantHours
from services.policy.model.rules import RuleInput

UNTAKEN_MOST = 20
UNTAKEN_TEXT_CHARS = 500
FURTHER_MOST = 100
RULE_TEXT_CHARS = 4_000
"""Conditions see at most this many characters of a text: enough for hints, and a bound on the cost of a regular
expression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an interaction is opened with: the attributes of the first message and the texts until now."""

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
    automatic: AutomaticKind = AutomaticKind.NONE
    further: tuple[str, ...] = ()
    """Ids of the messages that joined the first one; the newest `FURTHER_MOST`."""
    closing: bool = False
    """Whether the message is a thank-you or a farewell and nothing else."""
    identity_id: str = ""
    """The identity that wrote the first message; empty in older entries."""

    @property
    def public(self) -> bool:
        """Whether everyone could read an answer."""
        return self.labels.get("public") == "true"

    def joined(self, later: "Opening") -> "Opening":
        """Return this opening with a further fragment.

        Texts are joined in order and newer labels win. If one fragment must not be answered automatically, the whole
        must not. If a person wrote one fragment, the whole is not automatic.
        """
        return replace(
            self,
            text=f"{self.text}\n{later.text}"[:RULE_TEXT_CHARS] if later.text else self.text,
            text_length=self.text_length + later.text_length + 1,
            labels={**self.labels, **later.labels},
            language=self.language if self.language != "und" else later.language,
            verified=self.verified and later.verified,
            no_auto_reply=self.no_auto_reply or later.no_auto_reply,
            wishes=self.wishes.joined(later.wishes),
            automatic=later.automatic if later.automatic.by_person else self.automatic,
            closing=self.closing and later.closing,
            further=(*self.further, later.message_id, *later.further)[-FURTHER_MOST:],
        )

    def rule_input(self, person: Mapping[str, str], language: str, hours: TenantHours, now_ms: int) -> RuleInput:
        """Return the input of the routing conditions at a time."""
        return RuleInput(
            channel=self.channel,
            account=self.account,
            language=language,
            text=self.text,
            text_length=self.text_length,
            person=person,
            labels=self.labels,
            public=self.public,
            automatic=self.automatic,
            account_open=hours.account_open(self.channel, self.account, now_ms),
            open=partial(hours.queue_open, at_ms=now_ms),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """An interaction that waits until `due_at_ms` for more messages of the customer."""

    interaction_id: str
    due_at_ms: int
    opening: Opening


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInteraction:
    """An interaction that was handed to the router."""

    interaction_id: str
    queue: str
    pool: str
    opened_at_ms: int
    opening: Opening
    acknowledged: bool = False
    assigned: bool = False
    left: bool = False
    untaken: tuple[Opening, ...] = ()
    """Messages whose receipt the router has not confirmed. If the interaction ends before that, they open the next
    interaction."""

    def appended(self, opening: Opening) -> "OpenInteraction":
        """Return the interaction with one more message. Only the newest are kept, with shortened texts; the
        conversation has the full texts."""
        short = replace(opening, text=opening.text[:UNTAKEN_TEXT_CHARS])
        return replace(self, untaken=(*self.untaken[-(UNTAKEN_MOST - 1) :], short))

    def taken(self, message_id: str) -> "OpenInteraction":
        """Mark this message and all earlier ones as received by the router."""
        ids = [opening.message_id for opening in self.untaken]
        if message_id not in ids:
            return self
        return replace(self, untaken=self.untaken[ids.index(message_id) + 1 :])


@dataclass(frozen=True, slots=True)
class EndedInteraction:
    """The newest interaction that an agent completed, and when, in ms. Closing words join it."""

    interaction_id: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation. `window_ms` comes from the account of the newest message."""

    conversation_id: str
    opened_at_ms: int
    last_at_ms: int
    window_ms: int = DAY_MS
    language: str = "und"
    gathering: Gathering | None = None
    interaction: OpenInteraction | None = None
    route: Route | None = None
    """Where the conversation is answered; see `reply_routes`."""
    place: str = ""
    """The group chat or the thread of the channel; empty for what the customer writes to us alone."""
    topic: str = ""
    """The subject of its mails, as `joining.topic_of` compares it. Personal data."""
    over: bool = False
    """Whether its window is over. It stays in memory for answers that name it."""
    ended: EndedInteraction | None = None

    @property
    def public(self) -> bool:
        """Return whether everyone in a group can read it."""
        return self.route is not None and self.route.context.get("public") == "true"

    @property
    def active(self) -> bool:
        """Return whether it has an active interaction."""
        return self.gathering is not None or self.interaction is not None

    def current(self, now_ms: int) -> bool:
        """Return whether a message at this time belongs to it: while an interaction is active, and for the window after
        the last message."""
        return self.active or now_ms < self.last_at_ms + self.window_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSurvey:
    """An invitation that a reply can answer until `expires_at_ms`.

    The first reply closes it. If `amend_for_ms` is set, it remains open for that time, only for the conversation of the
    first reply (`answered_in`).
    """

    invitation_id: str
    kind: str
    expires_at_ms: int
    person_id: str
    interaction_id: str = ""
    amend_for_ms: int = 0
    answered_in: str = ""

    def answered(self, conversation_id: str, now_ms: int) -> "OpenSurvey":
        """Return the survey after a reply: from the first reply on, it is open for amendments only."""
        if self.answered_in:
            return self
        closes = min(self.expires_at_ms, now_ms + self.amend_for_ms)
        return replace(self, expires_at_ms=closes, answered_in=conversation_id)

    def awaits(self, conversation_id: str, at_work: str, now_ms: int) -> bool:
        """Return whether a score in this conversation answers the survey. `at_work`: the open interaction, or empty."""
        return (
            now_ms < self.expires_at_ms
            and at_work in ("", self.interaction_id)
            and self.answered_in in ("", conversation_id)
        )


@dataclass(frozen=True, slots=True)
class OpenJoin:
    """A link by which another identity joins this person: the digest of its secret, its end in ms, and the tries that are left."""

    digest: bytes
    expires_at_ms: int
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Everything under one identity's key. `home` is set when the identity is linked to another identity's person."""

    key: str
    """The identity that this key belongs to. It is the person's home, unless it is linked elsewhere."""
    identity: Identity
    """The newest identity seen here. Once it was proven, unproven messages do not change it."""
    last_seen_ms: int
    home: str = ""
    language: str = "und"
    labels: Mapping[str, str] = field(default_factory=dict)
    conversations: int = 0
    conversation: Conversation | None = None
    """The conversation in focus; see `focus`."""
    route: Route | None = None
    """How the person is reached outside a conversation: never a group chat."""
    place: str = ""
    """The place of that route."""
    surveys: tuple[OpenSurvey, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    """Requested interactions that wait until the active interaction ends."""
    acknowledged_at_ms: int = 0
    told_closed_at_ms: int = 0
    """When an acknowledgement last said that we are closed."""
    proven: bool = False
    """Whether the origin of a message of this customer has been proven."""
    owned_interactions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Conversations and their interactions, the newest last; see `belongings`."""
    others: tuple[Conversation, ...] = ()
    """The conversations in memory that are not in focus."""
    threads: Mapping[str, str] = field(default_factory=dict)
    """The conversations of the newest mails, by a digest of their Message-IDs; see `joining`."""
    answered_elsewhere: tuple[str, ...] = ()
    """The first identities to which mails of this address asked to be answered; see `form_mailers`."""

    @property
    def in_memory(self) -> tuple[Conversation, ...]:
        """Return all conversations in memory; the one in focus is the last."""
        return self.others if self.conversation is None else (*self.others, self.conversation)

    failed_addresses: tuple[str, ...] = ()
    """Identities that nothing can reach, as far as is known; see `reachability`."""
    opt_outs: tuple[OptOut, ...] = ()
    preferred_channel: str = ""
    """The channel on which Chapar begins a conversation; see `preferences`."""
    routes: Mapping[str, Route] = field(default_factory=dict)
    """The newest routes on channels other than that of `route`, by channel."""
    join: OpenJoin | None = None
    """A link by which another identity can join; see `join_links`."""
    members: tuple[str, ...] = ()
    """The identities whose home this is. Each keeps a copy of the preferences; see `shared_preferences`."""

    @property
    def has_open_work(self) -> bool:
        """Return whether an interaction is active. Without one, nothing happens before the next record or expiry."""
        return any(each.active for each in self.in_memory)

    def attributes(self, verified: bool) -> dict[str, str]:
        """Return `person` as conditions see it: the customer's labels and three attributes."""
        return {
            **self.labels,
            "verified": "true" if verified else "false",
            "returning": "true" if self.conversations > 1 else "false",
            "language": self.language,
        }
