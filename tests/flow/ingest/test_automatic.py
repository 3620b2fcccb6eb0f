"""Mail of machines on its way from the edge to each consumer: rules, the router, SLA clocks, surveys, contacts and
acknowledgements read one field of the contract.

The mails are parsed as the edge does it, and the lanes of all four services pass their records to each other.
"""

from collections.abc import Mapping
from email.message import EmailMessage
from types import MappingProxyType

import pytest

from chapar.common.v1 import types_pb2 as types
from chapar.config.v1 import config_pb2 as config
from chapar.feedback.v1 import feedback_pb2 as feedback
from chapar.ingest.v1 import records_pb2 as records
from chapar.router.v1 import records_pb2 as router
from services.chassis.kafka.records import Record
from services.chassis.metrics import Metrics
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.lanes.relay import command_of
from services.feedback.lanes.survey import survey_factory
from services.feedback.metrics import METRICS
from services.ingest.adapters.history.mapping import fact
from services.ingest.domain.normalise.mail.mail import parse_mail
from services.ingest.domain.reply_token import message_id, token_of
from services.ingest.ports import Account
from services.ingest.translate.edges import inbound_record
from services.policy.model.counting import Counting
from tests.fakes.lane import FakeLane
from tests.fakes.privacy import MemoryKeys
from tests.fakes.relay import FakeRelay
from tests.flow.ingest.test_around_the_conversation import a_survey, surveyed
from tests.flow.ingest.world import TENANT, World, a_configuration, a_message, an_identity
from tests.flow.router.test_shard import Shard, events
from tests.flow.sla.test_lane import Flow
from tests.unit.feedback.builders import a_programme

DAY = 86_400_000
ADDRESS = "help@acme.example"
ANN = "ann@shop.example"
SECRET = "the account's secret"
ACCOUNT = Account(TENANT, "email", "help", {}, {}, "en")
AWAY = {"Auto-Submitted": "auto-replied", "Subject": "Out of office", "In-Reply-To": "<1@acme.example>"}
NEWSLETTER = records.Automatic(kind=types.AUTOMATIC_KIND_NEWSLETTER)
LIST = {"List-Post": "<mailto:buyers@lists.example>"}


class Services:
    """The lanes of ingest, router, sla and feedback, and one agent who is signed in."""

    def __init__(self) -> None:
        configuration = a_configuration()
        configuration.channels.add(channel="email", account="help", acknowledge=True)
        del configuration.channels[3]
        configuration.rules.insert(
            0, config.RoutingRule(name="lists", when="message.automatic == 'LIST'", queue="sales")
        )
        configuration.queues[2].pool = "main"
        configuration.agents.add(agent_id="a", pool="main")
        self.world, self.shard, self.sla = World(configuration), Shard(), Flow()
        self.relay, self.keys = FakeRelay(command_of, "routing.events.v1"), MemoryKeys()
        surveys = TenantSurveys(a_programme(), counting=Counting())
        programmes = ConfiguredProgrammes({TENANT: surveys}.get)
        self.surveys = FakeLane(survey_factory(programmes, Metrics(METRICS), self.keys))
        self.routed: list[router.RoutingEvent] = []
        self._commands = self.count = 0
        self._tell(activate_configuration=router.ActivateConfiguration(configuration=configuration))
        self._tell(sign_in=router.SignIn(agent_id="a", session_id="s"))

    def mail(
        self,
        text: str = "where is my order",
        envelope: str = ANN,
        headers: Mapping[str, str] = MappingProxyType({}),
        *,
        delayed: bool = False,
    ) -> None:
        """Let a mail arrive, and let all lanes read what follows from it. `delayed`: the router reads it later."""
        made = EmailMessage()
        self.count += 1
        for name, value in {"From": ANN, "Message-ID": f"<{self.count}@shop.example>", **headers}.items():
            made[name] = value
        made.set_content(text)
        self.raw(made.as_bytes(), envelope, delayed=delayed)

    def raw(self, mail: bytes, envelope: str = ANN, *, delayed: bool = False) -> None:
        """Let the bytes of a mail arrive."""
        message = parse_mail(mail, envelope, ADDRESS, lambda each: token_of(each, SECRET), "acme.example")
        self.world.customer(inbound_record(ACCOUNT, message, self.world.intake.now_ms))
        if not delayed:
            self._pump()

    def agent(self, **command: object) -> None:
        """Let the agent act."""
        self._tell(**command)

    def take_and_answer(self) -> str:
        """Let the agent take the offered interaction and reply; returns its id."""
        offered = [e for e in self.routed if e.WhichOneof("event") == "offered"][-1]
        interaction = offered.interaction.interaction_id
        self.agent(accept_offer=router.AcceptOffer(agent_id="a", offer_id=offered.offered.offer_id))
        self.agent(record_reply=router.RecordReply(agent_id="a", interaction_id=interaction, reply_id=f"r{self.count}"))
        return interaction

    def complete(self, interaction: str, disposition: str = "solved") -> None:
        """Let the agent complete the interaction."""
        self.agent(
            complete_interaction=router.CompleteInteraction(
                agent_id="a", interaction_id=interaction, disposition=disposition
            )
        )

    def settle(self) -> None:
        """Let all lanes read what the lanes of ingest have written."""
        self._pump()

    def kinds(self) -> list[str | None]:
        """Return the kinds of the routing events."""
        return [event.WhichOneof("event") for event in self.routed]

    def invited(self) -> list[str | None]:
        """Return what the survey lane wrote, in short."""
        sent = self.surveys.sent_to("feedback.responses.v1")
        records = [self.keys.opened(feedback.FeedbackRecord.FromString(s.value), s.topic, s.key) for s in sent]
        return [record.WhichOneof("record") for record in records]

    def story(self) -> dict[str, str]:
        """Return what the story of the conversation says of its newest message."""
        send = [send for send in self.world.log if send.topic == "conversations.v1"][-1]
        found = fact(Record(send.topic, 0, 0, 0, send.key, send.value, ()), self.world.keys)
        assert found is not None
        return found.event.details

    def _tell(self, **command: object) -> None:
        self._route(self.shard.lane.handle(self.shard.command(tenant=TENANT, pool="main", **command)))

    def _pump(self) -> None:
        for command in self.world.commands[self._commands :]:
            self._commands += 1
            self._route(self.shard.lane.handle(command.SerializeToString()))

    def _route(self, sent: list) -> None:  # type: ignore[type-arg]  # Send, of any topic
        for event in events(sent):
            self.routed.append(event)
            value = event.SerializeToString()
            self.world.relay.handle(value)
            self.sla.lane.handle(value)
            for send in self.relay.handle(value):
                self.surveys.handle(send.value, key=send.key)
        self.world.pump()
        if len(self.world.commands) > self._commands:
            self._pump()


@pytest.fixture
def services() -> Services:
    return Services()


def test_an_absence_note_during_open_work_reaches_the_agent_and_moves_no_clock(services: Services) -> None:
    """The agent sees it as automatic; the resolution clock goes on waiting for the customer, whose own mail resumes it."""
    services.mail()
    services.take_and_answer()
    before = services.sla.on_committed
    services.mail("I am away until Sunday", envelope="<>", headers=AWAY)
    (recorded,) = [e for e in services.routed if e.WhichOneof("event") == "customer_message_recorded"]
    assert recorded.customer_message_recorded.automatic == types.AUTOMATIC_KIND_AUTO_REPLY
    assert services.sla.on_committed == before
    assert services.world.conversation[-1].message.automatic.kind == types.AUTOMATIC_KIND_AUTO_REPLY
    assert services.story()["automatic"] == "auto_reply"
    services.mail("it has arrived")
    assert "RESOLUTION RESUMED" in services.sla.on_committed[len(before) :]


def test_an_absence_note_after_the_completion_opens_nothing(services: Services) -> None:
    """It is kept in its conversation, and the next mail of the customer opens the next interaction."""
    services.mail()
    services.complete(services.take_and_answer())
    services.mail("I am away until Sunday", envelope="<>", headers=AWAY)
    assert len(services.world.enqueued) == 1
    assert services.world.texts[-1].strip() == "I am away until Sunday"
    services.mail("and another thing")
    assert len(services.world.enqueued) == 2


def test_a_machine_that_writes_first_is_kept_and_opens_nothing(services: Services) -> None:
    """The words can be found in a conversation, because a person's mail may look like a machine's."""
    services.mail("I am away until Sunday", envelope="<>", headers=AWAY)
    assert services.world.enqueued == []
    assert services.world.kinds() == ["opened", "message"]
    services.mail("I am back: please call")
    assert len(services.world.enqueued) == 1


@pytest.mark.parametrize(("headers", "interactions"), [({}, 2), (AWAY, 1)])
def test_a_message_that_crosses_the_completion(services: Services, headers: dict[str, str], interactions: int) -> None:
    """A customer's opens the next interaction, because no agent saw it; an absence note does not."""
    services.mail()
    interaction = services.take_and_answer()
    services.mail("I am away until Sunday", headers=headers, delayed=True)
    services.complete(interaction)
    assert len(services.world.enqueued) == interactions


def test_a_list_goes_where_a_rule_says_without_survey_contact_and_acknowledgement(services: Services) -> None:
    """Its interaction is completed as any other."""
    services.mail(headers=LIST)
    (interaction,) = services.world.enqueued
    assert (interaction.queue, interaction.automatic) == ("sales", types.AUTOMATIC_KIND_LIST)
    services.complete(services.take_and_answer())
    services.surveys.advance(8 * DAY)
    assert services.invited() == ["skipped"]
    assert services.world.deliveries == []


def test_a_customer_is_asked_and_acknowledged(services: Services) -> None:
    """The same steps with a person's mail: the tests above can fail."""
    services.mail()
    assert services.world.enqueued[0].queue == "general"
    services.complete(services.take_and_answer())
    services.surveys.advance(8 * DAY)
    assert {"invited", "settled"} <= set(services.invited())
    assert [name for name, _ in services.world.deliveries] != []


def test_a_person_who_writes_after_a_machine_within_the_gathering_time_counts() -> None:
    """The interaction that both open is a customer's."""
    world = World()
    person = an_identity("4912", "whatsapp", "wa")
    world.customer(a_message("offers", identity=person, automatic=NEWSLETTER))
    world.customer(a_message("please call me", native_message_id="m2", identity=person))
    world.wait(10_000)
    assert [each.automatic for each in world.enqueued] == [types.AUTOMATIC_KIND_UNSPECIFIED]


def test_a_machine_answers_no_survey() -> None:
    """A newsletter that is "5" and nothing else opens an interaction; the customer's own "5" is the answer."""
    world = surveyed()
    world.customer(a_message("5", native_message_id="m2", automatic=NEWSLETTER))
    assert (world.responses, len(world.enqueued)) == ([], 2)
    world.routing("completed", world.enqueued[1])
    world.customer(a_message("5", native_message_id="m3"))
    assert [each.response.score for each in world.responses] == [5]


def test_a_conversation_that_a_machine_began_is_answered_where_the_customer_wrote() -> None:
    """A survey that comes after an absence note reaches the customer."""
    world = World()
    world.customer(a_message())
    world.routing("completed", world.enqueued[0])
    world.wait(DAY + 3_600_000)
    world.customer(
        a_message("away", native_message_id="m2", automatic=records.Automatic(kind=types.AUTOMATIC_KIND_AUTO_REPLY))
    )
    world.inbound(a_survey(world), an_identity().identity_id)
    assert world.deliveries == [("SENT", "")]
    assert len({each.conversation_id for each in world.conversation}) == 2


def test_a_bounce_is_tied_to_the_delivery_that_failed(services: Services) -> None:
    """It opens nothing, wherever it arrives; the fact is in the record of the message."""
    ours = message_id("c-1", "0123456789abcdef", SECRET, "acme.example")
    services.raw(
        (
            "From: MAILER-DAEMON@mx.example\r\nSubject: failure notice\r\n\r\nHi. This is the qmail-send program.\r\n"
            f"<{ANN}>:\r\n550 5.1.1 no such user\r\n\r\n--- Below this line is a copy of the message.\r\n\r\nMessage-ID: {ours}\r\n"
        ).encode(),
        "<>",
    )
    assert services.world.enqueued == []
    automatic = services.world.conversation[-1].message.automatic
    assert (automatic.kind, automatic.bounce.recipient, automatic.bounce.status) == (
        types.AUTOMATIC_KIND_BOUNCE,
        ANN,
        "5.1.1",
    )
    story = services.story()
    assert (story["bounced_delivery"], story["bounce_status"]) == ("0123456789ab", "5.1.1")
    assert (automatic.bounce.conversation_id, automatic.bounce.delivery_prefix) == ("c-1", "0123456789ab")


def test_our_own_mail_that_comes_back_ends_the_loop(services: Services) -> None:
    """Nothing is opened, answered or asked."""
    services.mail(headers={"Message-ID": message_id("c-1", "0123456789abcdef", SECRET, "acme.example")})
    assert (services.world.enqueued, services.world.deliveries) == ([], [])


@pytest.mark.parametrize("envelope", ["spammer@bad.example", "", "<>"])
def test_an_acknowledgement_never_goes_to_an_address_that_only_the_header_names(
    services: Services, envelope: str
) -> None:
    """The mail itself opens an interaction: a person may have written it."""
    services.mail(envelope=envelope)
    assert len(services.world.enqueued) == 1
    assert services.world.deliveries == []
