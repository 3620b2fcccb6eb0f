"""Folds facts into rows. Pure: no database, no clock.

Facts of one partition arrive in the log's order; those of different topics and partitions in any order. Every rule here
gives the same rows for all of those orders, so that a rebuild, a restart and a slow topic give the same history:
- Times take the least or the greatest value; other values are set once.
- If several records report a value, the one with the greatest epoch or the greatest (time, value) wins.
- An erasure is a time: personal values reported until then are empty, whether they are folded before or after the
  erasure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.ingest.adapters.history.rows import (
    Audited,
    AuditRow,
    Began,
    Belongs,
    Blocked,
    Conversation,
    Declined,
    Delivery,
    Ended,
    Erased,
    Event,
    Fact,
    FileChanged,
    Identity,
    Interaction,
    Invitation,
    InvitationChanged,
    Key,
    Message,
    Opened,
    PreferencesChanged,
    Routed,
    Written,
)
from services.ingest.domain.delivery_facts import DeliveryState

_TERMINAL = frozenset({"completed", "abandoned", "cancelled"})
_STAGES = ("invited", "expired", "answered")
_ORDER: Mapping[int, int] = {
    state: place
    for place, state in enumerate(
        (
            DeliveryState.ATTEMPTING,
            DeliveryState.QUEUED,  # for the next attempt
            DeliveryState.UNKNOWN,
            DeliveryState.SENT,
            DeliveryState.FAILED,
            DeliveryState.DELIVERED,
            DeliveryState.READ,
        )
    )
}
"""The order of a delivery's records with the same time and number of attempts."""


@dataclass(slots=True)
class Rows:
    """The rows that a batch found in the database, as the batch leaves them."""

    known: set[Key] = field(default_factory=set)
    """Events that were counted before."""
    conversations: dict[Key, Conversation] = field(default_factory=dict)
    identities: dict[Key, Identity] = field(default_factory=dict)
    interactions: dict[Key, Interaction] = field(default_factory=dict)
    deliveries: dict[Key, Delivery] = field(default_factory=dict)
    invitations: dict[Key, Invitation] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    """New events."""
    messages: dict[tuple[str, str, str], Message] = field(default_factory=dict)
    """New messages, by tenant, conversation and message."""
    files: list[tuple[tuple[str, str, str], FileChanged]] = field(default_factory=list)
    """Changed files of messages of earlier batches, in the log's order."""
    audited: list[AuditRow] = field(default_factory=list)
    """New or repeated audit rows: the database keeps the first of each."""
    erasures: dict[Key, tuple[int, str]] = field(default_factory=dict)
    """Conversations whose stored rows are to be emptied, with the time and the request of the erasure."""
    participants: dict[Key, int] = field(default_factory=dict)
    """Erased identities whose messages in the conversations of others are to be emptied, with the time of the erasure."""

    def fold(self, facts: Iterable[Fact]) -> list[bool]:
        """Fold the facts; returns for each fact whether it had been counted before."""
        repeated = []
        for fact in facts:
            key = (fact.event.tenant, fact.event.event_id)
            repeated.append(key in self.known)
            if repeated[-1]:
                continue
            self.known.add(key)
            if isinstance(fact.change, Audited):
                self.audited.extend(fact.change.rows)
                continue  # the audit has a table of its own and is not a step of a story
            self._take(fact)
            self.events.append(fact.event)
        for delivery in self.deliveries.values():
            conversation = self.conversations.get((delivery.tenant, delivery.conversation_id))
            if conversation is not None and delivery.occurred_at_ms <= conversation.erased_at_ms:
                delivery.native_ids = []
        return repeated

    def _take(self, fact: Fact) -> None:
        event, tenant = fact.event, fact.event.tenant
        match fact.change:
            case Opened(identity):
                self._state(identity)
                conversation = self._conversation(event, identity.person_id)
                conversation.identity_id = identity.identity_id
            case Written(message, person_id):
                self._write(message, person_id, event)
            case FileChanged() as file:
                self._settle((tenant, event.conversation_id, file.message_id), file)
            case Began(queue, person_id):
                self._conversation(event, person_id)
                interaction = self._interaction(event)
                interaction.queue = interaction.queue or queue
                interaction.person_id = interaction.person_id or person_id
            case Ended(outcome):
                self._conversation(event, "")
                interaction = self._interaction(event)
                interaction.outcome = outcome
                self._close(interaction, event.occurred_at_ms)
            case Belongs(identity_id, person_id):
                self._belong(tenant, identity_id, person_id, event.occurred_at_ms, "")
            case PreferencesChanged() | Blocked() as changed:
                self._change_identity(changed, event)
            case Erased(identity_id, request_id):
                self._erase(event, identity_id, request_id)
            case Routed() as routed:
                self._route(routed, event)
            case Delivery() as delivery:
                self._deliver(delivery)
            case InvitationChanged(invitation):
                self._change(invitation)
            case Declined(invitation_id):
                asked = self.invitations.get((tenant, invitation_id))
                if asked is not None:
                    event.interaction_id, event.conversation_id = asked.interaction_id, asked.conversation_id
            case None:
                pass

    def _conversation(self, event: Event, person_id: str) -> Conversation:
        key = (event.tenant, event.conversation_id)
        row = self.conversations.get(key)
        if row is None:
            row = self.conversations[key] = Conversation(*key, opened_at_ms=event.occurred_at_ms)
        row.opened_at_ms = min(row.opened_at_ms, event.occurred_at_ms)
        row.last_message_at_ms = max(row.last_message_at_ms, row.opened_at_ms)
        row.person_id = person_id or row.person_id
        return row

    def _write(self, message: Message, person_id: str, event: Event) -> None:
        conversation = self._conversation(event, person_id)
        conversation.identity_id = conversation.identity_id or message.identity_id
        conversation.last_message_at_ms = max(conversation.last_message_at_ms, message.occurred_at_ms)
        self.messages.setdefault((message.tenant, message.conversation_id, message.message_id), message)
        if message.interaction_id:
            interaction = self._interaction(event)
            interaction.channel = interaction.channel or message.channel
            interaction.person_id = interaction.person_id or person_id
        if person_id and message.identity_id:
            # A linked identity never opens a conversation of its own: from this record history learns whose identity it
            # is.
            self._belong(message.tenant, message.identity_id, person_id, message.occurred_at_ms, message.channel)

    def _settle(self, of: tuple[str, str, str], file: FileChanged) -> None:
        if of in self.messages:
            self.messages[of].settle(file)
        else:
            self.files.append((of, file))

    def _identity(self, tenant: str, identity_id: str) -> Identity:
        key = (tenant, identity_id)
        row = self.identities.get(key)
        if row is None:
            row = self.identities[key] = Identity(*key)
        return row

    def _belong(self, tenant: str, identity_id: str, person_id: str, at_ms: int, channel: str) -> None:
        row = self._identity(tenant, identity_id)
        row.channel = row.channel or channel
        if (at_ms, person_id) > (row.person_at_ms, row.person_id):
            row.person_at_ms, row.person_id = at_ms, person_id

    def _state(self, stated: Identity) -> None:
        self._belong(stated.tenant, stated.identity_id, stated.person_id, stated.stated_at_ms, stated.channel)
        row = self._identity(stated.tenant, stated.identity_id)
        if _statement(stated) > _statement(row):
            row.channel, row.account = stated.channel or row.channel, stated.account
            row.native_id, row.display_name, row.verified = stated.native_id, stated.display_name, stated.verified
            row.stated_at_ms = stated.stated_at_ms
        _forget(row)

    def _change_identity(self, changed: PreferencesChanged | Blocked, event: Event) -> None:
        row = self._identity(event.tenant, changed.identity_id)
        # All of an identity are in one partition, so a later one of the same time is the newer one.
        if isinstance(changed, Blocked):
            if event.occurred_at_ms >= row.blocked_at_ms:
                row.blocked_until_ms, row.block = changed.until_ms, changed.block
                row.blocked_at_ms = event.occurred_at_ms
        elif event.occurred_at_ms >= row.preferences_at_ms:
            row.opt_outs, row.preferred_channel = changed.opt_outs, changed.preferred_channel
            row.preferences_at_ms = event.occurred_at_ms
        _forget(row)

    def _erase(self, event: Event, identity_id: str, request_id: str) -> None:
        identities = {identity_id}
        if identity_id:
            self.participants[event.tenant, identity_id] = event.occurred_at_ms
            for message in self.messages.values():
                if message.participant and (message.tenant, message.author_id) == (event.tenant, identity_id):
                    message.erase()
        if event.conversation_id:
            conversation = self._conversation(event, "")
            conversation.erased_at_ms = max(conversation.erased_at_ms, event.occurred_at_ms)
            self.erasures[event.tenant, event.conversation_id] = (conversation.erased_at_ms, request_id)
            for message in self.messages.values():
                if (message.tenant, message.conversation_id) == (event.tenant, event.conversation_id):
                    message.erase()
            identities.add(conversation.identity_id)
        for each in identities - {""}:
            row = self._identity(event.tenant, each)
            row.erased_at_ms = max(row.erased_at_ms, event.occurred_at_ms)
            _forget(row)

    def _interaction(self, event: Event) -> Interaction:
        key = (event.tenant, event.interaction_id)
        row = self.interactions.get(key)
        if row is None:
            row = self.interactions[key] = Interaction(*key, opened_at_ms=event.occurred_at_ms)
        row.conversation_id = row.conversation_id or event.conversation_id
        row.opened_at_ms = min(row.opened_at_ms, event.occurred_at_ms)
        return row

    def _route(self, routed: Routed, event: Event) -> None:
        row = self._interaction(event)
        if routed.arrived_at_ms:
            row.opened_at_ms = min(row.opened_at_ms, routed.arrived_at_ms)
        if routed.epoch > row.attributes_epoch:
            row.attributes_epoch = routed.epoch
            row.person_id = routed.person_id or row.person_id
            row.channel = routed.channel or row.channel
            row.queue = routed.queue or row.queue
        if routed.agent_id is not None and routed.epoch > row.agent_epoch:
            row.agent_epoch, row.agent_id = routed.epoch, routed.agent_id
        if routed.state is not None:
            # A terminal state is final: an offer that is withdrawn because of the end may be decided after it.
            before = (row.routed_state in _TERMINAL, row.state_epoch)
            if (routed.state in _TERMINAL, routed.epoch) > before:
                row.state_epoch, row.routed_state = routed.epoch, routed.state
        self._close(row, event.occurred_at_ms if routed.state in _TERMINAL else 0)

    def _close(self, row: Interaction, at_ms: int) -> None:
        if at_ms:
            row.closed_at_ms = min(row.closed_at_ms or at_ms, at_ms)
        # The router's last decision is the state, unless ingest knows of an end that the router's events don't show.
        row.state = row.routed_state if row.routed_state in _TERMINAL else row.outcome or row.routed_state or "open"

    def _deliver(self, delivery: Delivery) -> None:
        before = self.deliveries.get((delivery.tenant, delivery.delivery_id))
        if before is None or _age(before) < _age(delivery):
            self.deliveries[delivery.tenant, delivery.delivery_id] = delivery

    def _change(self, invitation: Invitation) -> None:
        key = (invitation.tenant, invitation.invitation_id)
        row = self.invitations.get(key)
        if row is None:
            self.invitations[key] = invitation
            return
        row.invited_at_ms = row.invited_at_ms or invitation.invited_at_ms
        row.kind = row.kind or invitation.kind
        if _STAGES.index(invitation.state) > _STAGES.index(row.state):
            row.state = invitation.state
        # The newest response counts: an amended response is later.
        if invitation.score is not None and (row.score is None or invitation.answered_at_ms > row.answered_at_ms):
            row.score, row.source, row.answered_at_ms = invitation.score, invitation.source, invitation.answered_at_ms


def _age(delivery: Delivery) -> tuple[int, int, int, str]:
    return (delivery.occurred_at_ms, delivery.attempts, _ORDER.get(delivery.state, 0), delivery.event_id)


def _statement(row: Identity) -> tuple[int, str, str, str]:
    return (row.stated_at_ms, row.account, row.native_id, row.display_name)


def _forget(row: Identity) -> None:
    if row.stated_at_ms <= row.erased_at_ms:
        row.native_id = row.display_name = ""
    if row.preferences_at_ms <= row.erased_at_ms:
        row.opt_outs, row.preferred_channel = [], ""
    if row.blocked_at_ms <= row.erased_at_ms:
        row.block = {**row.block, "note": ""} if row.block else {}  # the block itself outlives the person's data
