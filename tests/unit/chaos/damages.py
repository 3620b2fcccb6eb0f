"""The ways in which faults damage a history, one each, and the invariant that forbids it."""

from dataclasses import dataclass
from typing import Final

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import records_pb2 as ingest_pb2
from chapar.sla.v1 import sla_pb2
from tests.unit.chaos.damaging import (
    Apply,
    add,
    assign,
    by,
    changed,
    doubled,
    dropped,
    event,
    exclusive,
    foreign,
    from_nowhere,
    hang,
    header,
    live,
    passed,
    phantom,
    record,
    seen,
    sla,
    smaller,
    swapped,
    to_breach,
    to_expired,
    twice,
    without,
)


@dataclass(frozen=True, slots=True)
class Damage:
    """One damage, and what the checker must report, among other things."""

    name: str
    invariant: str
    problem: str
    apply: Apply


SENT: Final = ingest_pb2.DELIVERY_STATE_SENT
CUSTOMER: Final = types_pb2.ACTOR_KIND_CUSTOMER
_PICK_UP: Final = config_pb2.TARGET_KIND_PICK_UP

DAMAGES: Final = (
    Damage("an acknowledged message is dropped", "I1", "lost", dropped("conversations.v1", by(CUSTOMER))),
    Damage("a message is written twice", "I1", "doubled", doubled("conversations.v1", by(CUSTOMER))),
    Damage("an interaction never opens", "I1", "lost", dropped("conversations.v1", record("interaction_opened"))),
    Damage("an interaction opens twice", "I1", "doubled", doubled("conversations.v1", record("interaction_opened"))),
    Damage(
        "the router forgets a message", "I1", "lost", dropped("routing.events.v1", event("customer_message_recorded"))
    ),
    Damage("an interaction never ends", "I1", "lost", dropped("routing.events.v1", event("completed"))),
    Damage(
        "an interaction ends twice", "I1", "doubled", doubled("routing.events.v1", event("completed"), add("epoch", 1))
    ),
    Damage("a reply is lost", "I1", "lost", seen(arrivals=without)),
    Damage("a reply arrives twice", "I1", "doubled", seen(arrivals=twice)),
    Damage("a delivery has no outcome", "I1", "lost", dropped("deliveries.v1", lambda m: m.state == SENT)),
    Damage("a delivery has two outcomes", "I1", "doubled", doubled("deliveries.v1", lambda m: m.state == SENT)),
    Damage(
        "two agents hold one interaction",
        "I2",
        "overlap",
        changed("routing.events.v1", event("agent_replied"), assign("assigned.agent_id", "rival")),
    ),
    Damage(
        "an epoch goes back",
        "I2",
        "epoch back",
        swapped("routing.events.v1", lambda m: True, lambda m: m.interaction.interaction_id),
    ),
    Damage("an event is written twice", "I2", "epoch back", doubled("routing.events.v1", lambda m: True)),
    Damage("a zombie writes late", "I2", "late write", header("routing.events.v1", "lane-epoch", b"2")),
    Damage("a zombie of sla writes late", "I2", "late write", header("sla.events.v1", "lane-epoch", b"2")),
    Damage(
        "a lane's clock goes back",
        "I2",
        "time back",
        changed("routing.events.v1", event("completed"), add("occurred_at_ms", -60_000)),
    ),
    Damage("an agent gets more than fits", "I3", "over capacity", changed("config.v1", lambda m: True, smaller)),
    Damage("one interaction is too heavy", "I3", "over capacity", changed("config.v1", lambda m: True, exclusive)),
    Damage("an offer gets no answer", "I4", "no answer", dropped("routing.events.v1", event("offer_ended"))),
    Damage(
        "an offer gets two answers",
        "I4",
        "doubled",
        doubled("routing.events.v1", event("offer_ended"), add("epoch", 1)),
    ),
    Damage("an offer is made twice", "I4", "doubled", doubled("routing.events.v1", event("offered"), add("epoch", 1))),
    Damage(
        "an offer expires late",
        "I4",
        "late",
        changed("routing.events.v1", event("offer_ended"), add("occurred_at_ms", 60_000)),
    ),
    Damage(
        "an offer expires early",
        "I4",
        "early",
        changed("routing.events.v1", lambda m: m.HasField("offer_ended") and m.command_id != "", to_expired),
    ),
    Damage(
        "another agent answers an offer",
        "I4",
        "wrong agent",
        changed("routing.events.v1", event("assigned"), assign("assigned.agent_id", "rival")),
    ),
    Damage("an answer has no offer", "I4", "no offer", dropped("routing.events.v1", event("offered"))),
    Damage("a deadline fires twice", "I5", "doubled", doubled("sla.events.v1", sla(sla_pb2.SLA_EVENT_KIND_MET))),
    Damage(
        "a deadline is set twice", "I5", "doubled", doubled("sla.events.v1", sla(sla_pb2.SLA_EVENT_KIND_DEADLINE_SET))
    ),
    Damage(
        "a deadline is never set", "I5", "never set", dropped("sla.events.v1", sla(sla_pb2.SLA_EVENT_KIND_DEADLINE_SET))
    ),
    Damage("a deadline fires early", "I5", "early", changed("sla.events.v1", passed, add("occurred_at_ms", -1_000))),
    Damage("a deadline fires late", "I5", "late", changed("sla.events.v1", passed, add("occurred_at_ms", 60_000))),
    Damage(
        "a deadline never fires",
        "I5",
        "never fired",
        dropped("sla.events.v1", lambda m: m.target == _PICK_UP and m.kind == sla_pb2.SLA_EVENT_KIND_MET),
    ),
    Damage(
        "an answered target is breached",
        "I5",
        "false breach",
        changed("sla.events.v1", sla(sla_pb2.SLA_EVENT_KIND_MET), to_breach),
    ),
    Damage(
        "a right breach is taken back",
        "I5",
        "false correction",
        doubled(
            "sla.events.v1", sla(sla_pb2.SLA_EVENT_KIND_BREACHED), assign("kind", sla_pb2.SLA_EVENT_KIND_CORRECTED)
        ),
    ),
    Damage(
        "a level is taken back that was not reported",
        "I5",
        "false correction",
        doubled("sla.events.v1", sla(sla_pb2.SLA_EVENT_KIND_MET), assign("kind", sla_pb2.SLA_EVENT_KIND_CORRECTED)),
    ),
    Damage(
        "a breached target is met",
        "I5",
        "false success",
        changed(
            "sla.events.v1",
            sla(sla_pb2.SLA_EVENT_KIND_BREACHED),
            assign("kind", sla_pb2.SLA_EVENT_KIND_MET),
        ),
    ),
    Damage("a response counts twice", "I6", "doubled", doubled("feedback.responses.v1", record("answered"))),
    Damage("a customer is invited twice", "I6", "doubled", doubled("feedback.responses.v1", record("invited"))),
    Damage(
        "a response has no invitation",
        "I6",
        "no invitation",
        dropped("feedback.responses.v1", lambda m: m.HasField("invited") and m.invited.invitation_id.endswith("-1")),
    ),
    Damage(
        "an aggregate forgets a response",
        "I6",
        "fold differs",
        changed("feedback.responses.v1", record("answered"), add("answered.score", -1)),
    ),
    Damage(
        "responses are not counted",
        "I6",
        "not counted",
        doubled("feedback.responses.v1", record("invited"), assign("invited.invitation_id", "new")),
    ),
    Damage(
        "a customer's messages change places",
        "I7",
        "order",
        swapped("conversations.v1", by(CUSTOMER), lambda m: m.conversation_id),
    ),
    Damage("a message of the input has no output", "I7", "gap", dropped("conversations.v1", by(CUSTOMER))),
    Damage("an event is lost", "I7", "gap", dropped("routing.events.v1", event("assigned"))),
    Damage(
        "a command has no event",
        "I7",
        "gap",
        doubled(
            "routing.commands.v1", lambda m: m.HasField("enqueue"), assign("enqueue.interaction.interaction_id", "new")
        ),
    ),
    Damage(
        "an event has no command",
        "I8",
        "no input",
        dropped("routing.commands.v1", lambda m: m.HasField("accept_offer")),
    ),
    Damage(
        "an interaction has no command",
        "I8",
        "no input",
        dropped("routing.commands.v1", lambda m: m.HasField("enqueue")),
    ),
    Damage("a message has no input", "I8", "no input", dropped("inbound.v1", lambda m: True)),
    Damage("a delivery has no request", "I8", "no input", dropped("outbound.v1", lambda m: True)),
    Damage("a customer gets a reply from nowhere", "I8", "no input", seen(arrivals=from_nowhere)),
    Damage(
        "a deadline has no interaction",
        "I8",
        "no input",
        changed("sla.events.v1", lambda m: True, assign("interaction_id", "nothing")),
    ),
    Damage("a response has no command", "I8", "no input", dropped("feedback.commands.v1", lambda m: True)),
    Damage("an accept is confirmed before its commit", "I8", "no input", seen(commands=phantom("accept"))),
    Damage("a decline is confirmed before its commit", "I8", "no input", seen(commands=phantom("decline"))),
    Damage("a completion is confirmed before its commit", "I8", "no input", seen(commands=phantom("complete"))),
    Damage(
        "a reply is confirmed before its commit", "I8", "no input", dropped("routing.events.v1", event("agent_replied"))
    ),
    Damage("a waiting line shows a ghost", "I9", "fold differs", live(waiting=frozenset({"ghost"}))),
    Damage("an agent holds a ghost", "I9", "fold differs", live(held={"sara": frozenset({"ghost"})})),
    Damage("an agent has a ghost offer", "I9", "fold differs", live(offered={"sara": frozenset({"ghost.1"})})),
    Damage("capacity leaks", "I9", "fold differs", live(used={"sara": 20, "omid": 0})),
    Damage("a replay decides otherwise", "I9", "replay differs", live(replay_difference="batch 41")),
    Damage("a transaction stays open", "I10", "hanging transaction", hang),
    Damage(
        "work drains late",
        "I10",
        "drained late",
        changed("routing.events.v1", event("completed"), add("occurred_at_ms", 3_600_000)),
    ),
    Damage(
        "a delivery drains late",
        "I10",
        "drained late",
        changed("deliveries.v1", lambda m: m.state == SENT, add("occurred_at_ms", 3_600_000)),
    ),
    Damage(
        "a record has the header of another tenant", "I11", "crossed", header("routing.events.v1", "tenant", b"rival")
    ),
    Damage(
        "a record has the key of another tenant",
        "I11",
        "crossed",
        changed("conversations.v1", lambda m: True, assign("tenant", "rival")),
    ),
    Damage(
        "an interaction belongs to two tenants",
        "I11",
        "crossed",
        changed("sla.events.v1", lambda m: True, assign("tenant", "rival")),
    ),
    Damage("a message arrives at another tenant", "I11", "crossed", seen(arrivals=foreign)),
    Damage("a message is read by another tenant", "I11", "crossed", seen(acknowledged=foreign)),
)
