"""Records of one interaction's life, as the services write them: with defaults, each with its own event id."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from google.protobuf.message import Message

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.feedback.v1 import feedback_pb2
from chapar.ingest.v1 import records_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.kafka.records import Record
from services.chassis.keys import tenant_key

T0 = 1_700_000_000_000


@dataclass
class Life:
    """One customer's conversation with one interaction, with the ids `{name}-c`, `{name}-i`, `{name}-p`, `{name}-id`.

    Person and identity may be another's.
    """

    name: str = "one"
    tenant: str = "acme"
    at: int = T0
    identity: str = ""
    person: str = ""
    log: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    _count: int = 0
    _epoch: int = 0

    @property
    def conversation_id(self) -> str:
        return f"{self.name}-c"

    @property
    def interaction_id(self) -> str:
        return f"{self.name}-i"

    @property
    def person_id(self) -> str:
        return self.person or f"{self.name}-p"

    @property
    def identity_id(self) -> str:
        return self.identity or f"{self.name}-id"

    def _tick(self) -> tuple[str, int]:
        self._count += 1
        self.at += 1000
        return f"{self.name}-e{self._count}", self.at

    def _add(self, topic: str, key: str, record: Message) -> None:
        self.log.append((topic, tenant_key(self.tenant, key), record.SerializeToString()))

    def conversation(self, **what: Message) -> None:
        event_id, at = self._tick()
        record = records_pb2.ConversationRecord(
            event_id=event_id,
            tenant=self.tenant,
            conversation_id=self.conversation_id,
            identity_id=self.identity_id,
            person_id=self.person_id,
            occurred_at_ms=at,
        )
        for name, value in what.items():
            getattr(record, name).CopyFrom(value)
        self._add("conversations.v1", self.conversation_id, record)

    def opened(self, channel: str = "telegram") -> None:
        identity = records_pb2.Identity(
            identity_id=self.identity_id,
            tenant=self.tenant,
            channel=channel,
            account="shop",
            native_id=f"native-{self.name}",
            display_name="سارا",
            verified=True,
        )
        self.conversation(opened=records_pb2.ConversationOpened(identity=identity, person_id=self.person_id))

    def said(
        self, text: str, message_id: str = "", channel: str = "telegram", agent: str = "", *, blocked: bool = False
    ) -> None:
        message = records_pb2.ConversationMessage(
            message_id=message_id or f"{self.name}-m{self._count + 1}",
            author_kind=types_pb2.ACTOR_KIND_AGENT if agent else types_pb2.ACTOR_KIND_CUSTOMER,
            author_id=agent or self.identity_id,
            interaction_id="" if blocked else self.interaction_id,
            blocked=blocked,
            text=text,
            subject="about",
            attachments=[records_pb2.Attachment(content_type="image/png", name="a.png", size=3, reference="ref")],
            channel=channel,
            native_message_id=f"native-message-{self._count}",
            origin=None
            if agent
            else records_pb2.Origin(
                proof=records_pb2.ORIGIN_PROOF_DKIM_DMARC, evidence="dkim", author="a@b", reply_to="c@d"
            ),
            text_parts=[records_pb2.TextPart(kind=records_pb2.TEXT_PART_KIND_NEW, length=len(text))],
            purpose=records_pb2.OUTBOUND_PURPOSE_REPLY if agent else records_pb2.OUTBOUND_PURPOSE_UNSPECIFIED,
        )
        self.conversation(message=message)

    def began(self, queue: str = "sales") -> None:
        self.conversation(
            interaction_opened=records_pb2.InteractionOpened(
                interaction_id=self.interaction_id, queue=queue, rule="everything", message_id=f"{self.name}-m"
            )
        )

    def closed(self, outcome: str = "completed") -> None:
        self.conversation(
            interaction_closed=records_pb2.InteractionClosed(interaction_id=self.interaction_id, outcome=outcome)
        )

    def erased(self) -> None:
        self.conversation(erased=records_pb2.ConversationErased(request_id="r"))

    def prefers(self, *opt_outs: tuple[str, int], preferred: str = "", actor: str = "sara") -> None:
        held = [
            records_pb2.HeldOptOut(
                channel=channel, scope=records_pb2.OptOutScope.ValueType(scope), since_ms=self.at, actor=actor
            )
            for channel, scope in opt_outs
        ]
        event_id, at = self._tick()
        record = records_pb2.ConversationRecord(
            event_id=event_id, tenant=self.tenant, identity_id=self.identity_id, occurred_at_ms=at
        )
        record.preferences_set.CopyFrom(records_pb2.PreferencesSet(opt_outs=held, preferred_channel=preferred))
        self._add("conversations.v1", self.identity_id, record)

    def blocks(self, until_ms: int, note: str = "", interaction_id: str = "", disposition: str = "") -> None:
        event_id, at = self._tick()
        record = records_pb2.ConversationRecord(
            event_id=event_id,
            tenant=self.tenant,
            identity_id=self.identity_id,
            occurred_at_ms=at,
            sender_block=records_pb2.SenderBlock(
                until_ms=until_ms, note=note, actor="sara", interaction_id=interaction_id, disposition=disposition
            ),
        )
        self._add("conversations.v1", self.identity_id, record)

    def routed(self, queue: str = "sales", reason: str = "LONGEST_IDLE", **event: Message) -> None:
        event_id, at = self._tick()
        self._epoch += 1
        record = router_pb2.RoutingEvent(
            event_id=event_id,
            tenant=self.tenant,
            pool="main",
            occurred_at_ms=at,
            epoch=self._epoch,
            reason=reason,
            interaction=router_pb2.InteractionAttributes(
                interaction_id=self.interaction_id,
                conversation_id=self.conversation_id,
                person_id=self.person_id,
                identity_id=self.identity_id,
                channel="telegram",
                queue=queue,
                arrived_at_ms=T0,
            ),
        )
        for name, value in event.items():
            getattr(record, name).CopyFrom(value)
        self._add("routing.events.v1", self.conversation_id, record)

    def deadline(self, kind: int = sla_pb2.SLA_EVENT_KIND_WARNED) -> None:
        event_id, at = self._tick()
        record = sla_pb2.SlaEvent(
            event_id=event_id,
            tenant=self.tenant,
            interaction_id=self.interaction_id,
            conversation_id=self.conversation_id,
            queue="sales",
            policy="gold",
            target=config_pb2.TARGET_KIND_FIRST_RESPONSE,
            kind=sla_pb2.SlaEventKind.ValueType(kind),
            level=sla_pb2.SLA_LEVEL_ADEQUATE,
            share=0.75,
            occurred_at_ms=at,
        )
        self._add("sla.events.v1", self.conversation_id, record)

    def delivery(self, state: int = records_pb2.DELIVERY_STATE_SENT, attempts: int = 1) -> None:
        event_id, at = self._tick()
        record = records_pb2.DeliveryRecord(
            delivery_id=f"{self.name}-d",
            tenant=self.tenant,
            conversation_id=self.conversation_id,
            interaction_id=self.interaction_id,
            channel="telegram",
            account="shop",
            state=records_pb2.DeliveryState.ValueType(state),
            attempts=attempts,
            native_ids=["77"] if state == records_pb2.DELIVERY_STATE_SENT else [],
            purpose=records_pb2.OUTBOUND_PURPOSE_REPLY,
            occurred_at_ms=at,
            event_id=event_id,
        )
        self._add("deliveries.v1", self.conversation_id, record)

    def feedback(self, **what: Message) -> None:
        event_id, at = self._tick()
        record = feedback_pb2.FeedbackRecord(
            event_id=event_id, tenant=self.tenant, person_id=self.person_id, occurred_at_ms=at
        )
        for name, value in what.items():
            getattr(record, name).CopyFrom(value)
        self._add("feedback.responses.v1", self.person_id, record)

    @property
    def subject(self) -> feedback_pb2.Subject:
        return feedback_pb2.Subject(
            interaction_id=self.interaction_id,
            conversation_id=self.conversation_id,
            person_id=self.person_id,
            identity_id=self.identity_id,
            channel="telegram",
            queue="sales",
            agent_id="sara",
        )

    def invited(self) -> None:
        invitation = feedback_pb2.InvitationCreated(
            invitation_id=f"{self.name}-v", survey="after", kind=config_pb2.SURVEY_KIND_CSAT, subject=self.subject
        )
        self.feedback(invited=invitation)

    def answered(self) -> None:
        counted = feedback_pb2.ResponseCounted(
            invitation_id=f"{self.name}-v",
            survey="after",
            kind=config_pb2.SURVEY_KIND_CSAT,
            score=5,
            comment="a comment that history must not keep",
            source=feedback_pb2.RESPONSE_SOURCE_PAGE,
            subject=self.subject,
        )
        self.feedback(answered=counted)

    def refused(self) -> None:
        refused = feedback_pb2.ResponseRefused(invitation_id=f"{self.name}-v", reason="ALREADY_ANSWERED")
        self.feedback(refused=refused)


def whole_life(name: str = "one", tenant: str = "acme", start: int = T0) -> Life:
    """All records from the first message to the counted answer."""
    life = Life(name, tenant, start)
    life.opened()
    life.began()
    life.said("سلام، کتاب‌های ۱۲۳ را می‌خواهم")
    life.routed(queued=router_pb2.InteractionQueued(position=1, estimated_wait_ms=30_000))
    life.deadline(sla_pb2.SLA_EVENT_KIND_DEADLINE_SET)
    life.routed(offered=router_pb2.InteractionOffered(agent_id="omid", offer_id="o1", eligible=2, considered=3))
    life.routed(offer_ended=router_pb2.OfferEnded(agent_id="omid", offer_id="o1", end=router_pb2.OFFER_END_DECLINED))
    life.deadline()
    life.routed(offered=router_pb2.InteractionOffered(agent_id="sara", offer_id="o2"))
    life.routed(assigned=router_pb2.InteractionAssigned(agent_id="sara", offer_id="o2", waited_ms=9000))
    life.routed(agent_replied=router_pb2.AgentReplied(agent_id="sara", reply_id="r1", first=True))
    life.delivery(records_pb2.DELIVERY_STATE_ATTEMPTING, 0)
    life.said("Hello, of course", message_id=f"{name}-d", agent="sara")
    life.delivery()
    life.deadline(sla_pb2.SLA_EVENT_KIND_MET)
    life.routed(
        completed=router_pb2.InteractionCompleted(agent_id="sara", disposition="solved", wrap_up_until_ms=life.at)
    )
    life.closed()
    life.routed(wrap_up_ended=router_pb2.WrapUpEnded(agent_id="sara"))
    life.invited()
    life.answered()
    life.refused()
    return life


def as_records(log: Sequence[tuple[str, bytes, bytes]]) -> list[Record]:
    """Return the records as the log delivers them: one partition per topic, offsets in order."""
    ends: dict[str, int] = {}
    found = []
    for topic, key, value in log:
        offset = ends.get(topic, 0)
        ends[topic] = offset + 1
        found.append(Record(topic, 0, offset, 0, key, value, ()))
    return found
