"""Each module that seals records, run with words of a customer: all bytes that it gives to the log or to a changelog, and those words.

`test_writers` searches the bytes, and switches the sealing off to prove that the search finds.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from chapar.feedback.v1 import feedback_pb2 as feedback
from chapar.ingest.v1 import records_pb2 as ingest
from chapar.router.v1 import records_pb2 as router
from chapar.router.v1.router_pb2 import Reply
from docs.generate.metrics import CATALOGUE
from services.chassis.destinations import DEVELOPMENT
from services.chassis.kafka.outbox import Send
from services.chassis.kafka.records import Headers, Record
from services.chassis.keys import tenant_key
from services.chassis.metrics import Metrics
from services.chassis.privacy.sealing import seal
from services.chassis.secrets import SecretReferences
from services.cli.local.providers import HttpProvider
from services.feedback.adapters import readers
from services.feedback.adapters.command_log import KafkaCommandLog
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.lanes.survey import survey_factory
from services.ingest.adapters.edges.accounts import AccountSecrets
from services.ingest.adapters.edges.publisher import InboundPublisher
from services.ingest.adapters.files.fetcher import Fetcher
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.store import file_store
from services.ingest.domain.fetching import FetchLimits
from services.ingest.domain.files.policy import FilePolicy
from services.ingest.metrics import METRICS
from services.ingest.translate.headers import FETCHES
from services.policy.model.surveys import Question, SurveyKind
from services.policy.model.webhooks import Endpoint, WebhookEvent
from services.router.adapters.command_bus import CommandBus
from services.webhooks.delivery import webhook_client
from services.webhooks.retries import Patience, Webhooks
from tests.fakes.lane import FakeLane
from tests.fakes.privacy import MemoryKeys
from tests.flow.feedback.test_survey_lane import a_completed_event, relayed
from tests.flow.ingest import world as ingest_world
from tests.flow.ingest.test_block_list import block, write
from tests.flow.ingest.test_erasure import a_full_life, everything
from tests.flow.ingest.test_persons import CHAT
from tests.integration.ingest.lanes.test_worker import Log, a_job, a_worker
from tests.unit.feedback.builders import NOW, TENANT, a_programme, a_survey

NEEDLE = "needle41ab"
DEAF = "http://127.0.0.1:9/"
"""A receiver that no process listens at, so each attempt fails."""


@dataclass
class Written:
    """Bytes that left a module, and the words to look for in them."""

    values: list[bytes] = field(default_factory=list)
    needle: str = NEEDLE

    async def publish(self, _topic: str, _key: bytes, value: bytes, *_: object) -> tuple[int, int]:
        """As `DurableProducer.publish`."""
        self.values.append(value)
        return 0, len(self.values)

    @property
    def in_clear(self) -> bool:
        """Whether the needle is in any of the bytes."""
        assert self.values
        return any(self.needle.encode() in value for value in self.values)


def an_answer(invitation_id: str, number: int, comment: str = NEEDLE) -> feedback.FeedbackCommand:
    """An answer with the needle in its comment and in its open question."""
    command = feedback.FeedbackCommand(
        command_id=f"a{number}", tenant=TENANT, person_id="person-1", issued_at_ms=NOW + number
    )
    command.response.invitation_id, command.response.score, command.response.comment = invitation_id, number, comment
    command.response.source = feedback.RESPONSE_SOURCE_PAGE
    command.response.answers.add(question_id="why", text=comment)
    return command


async def commands_of_answers(keys: MemoryKeys) -> Written:
    """The edge writes a proven answer, one of a person who has a key, and one of a person who has none."""
    written = Written()
    log = KafkaCommandLog(written, keys)  # type: ignore[arg-type]  # stands for the producer
    await log.publish(an_answer("i", 1))
    await log.publish(an_answer("i", 2), proven=False)
    stranger = an_answer("i", 3)
    stranger.person_id = "stranger"
    await log.publish(stranger, proven=False)
    assert ("parsa", "stranger") not in keys.newest
    return written


def a_survey_lane(keys: MemoryKeys, programmes: ConfiguredProgrammes) -> tuple[FakeLane, str]:
    """A survey lane that has invited one customer; and the invitation."""
    lane = FakeLane(survey_factory(programmes, Metrics(CATALOGUE), keys), now_ms=NOW)
    lane.handle(relayed(a_completed_event())[0].value, key=b"parsa/person-1")
    records = [feedback.FeedbackRecord.FromString(each.value) for each in lane.sent_to("feedback.responses.v1")]
    return lane, next(each.invited.invitation_id for each in records if each.HasField("invited"))


def surveys() -> ConfiguredProgrammes:
    """A survey with an open question, and a webhook that wants the customer's words."""
    programme = a_programme(a_survey(more=(Question("why", SurveyKind.TEXT, optional=True),)))
    deaf = Endpoint("deaf", DEAF, ("env:CHAPAR_SECRET_PARSA__HOOK",), frozenset({WebhookEvent.ANSWERED_TEXT}))
    return ConfiguredProgrammes({TENANT: TenantSurveys(programme, webhooks={"deaf": deaf})}.get)


def answered(keys: MemoryKeys, programmes: ConfiguredProgrammes) -> tuple[FakeLane, list[Send]]:
    """The lane after an answer and an amendment, and what it wrote of them."""
    lane, invitation_id = a_survey_lane(keys, programmes)
    sent = [
        each
        for number in (1, 2)
        for each in lane.handle(an_answer(invitation_id, number).SerializeToString(), key=b"parsa/person-1")
        if each.topic == "feedback.responses.v1"
    ]
    kinds = [feedback.FeedbackRecord.FromString(each.value).WhichOneof("record") for each in sent]
    assert kinds == ["answered", "amended"]
    return lane, sent


async def records_of_answers(keys: MemoryKeys) -> Written:
    """The survey lane's records and changelog: answered, amended, and amended again after the key was destroyed."""
    lane, _ = answered(keys, surveys())
    written = Written([*(each.value for each in lane.sent), *lane.changelog.values()])
    lane.crash()
    keys.destroy(TENANT, "person-1")
    keys.makes = False
    without, invitation_id = a_survey_lane(keys, surveys())
    without.handle(an_answer(invitation_id, 3).SerializeToString(), key=b"parsa/person-1")
    written.values += [*(each.value for each in without.sent), *without.changelog.values()]
    return written


async def changelog_of_answers(keys: MemoryKeys) -> Written:
    """The survey lane's changelog alone."""
    lane, _ = answered(keys, surveys())
    return Written(list(lane.changelog.values()))


async def notices_that_wait(keys: MemoryKeys) -> Written:
    """A receiver does not take an answer's notice: it waits in the retries' topic, or becomes a dead letter."""
    written, programmes = Written(), surveys()
    _, sent = answered(keys, programmes)
    records = [
        Record(each.topic, 0, offset, NOW, each.key, each.value, each.headers) for offset, each in enumerate(sent)
    ]
    secrets = SecretReferences(lambda: NOW, env={"CHAPAR_SECRET_PARSA__HOOK": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
    for give_up_ms in (86_400_000, 0):
        async with webhook_client(DEVELOPMENT) as client:
            webhooks = Webhooks(
                "feedback.webhooks.v1",
                programmes.webhook,
                secrets,
                client,
                written,  # type: ignore[arg-type]  # stands for the producer
                lambda: NOW,
                Metrics(CATALOGUE),
                Patience(delay_ms=0, give_up_ms=give_up_ms),
                keys,
            )
            await readers.responses_to_webhooks(webhooks, programmes, keys, lambda: NOW)(records)
    assert len(written.values) == 4
    return written


async def replies_of_agents(keys: MemoryKeys) -> Written:
    """An agent's reply on its way to the sender."""
    written = Written()
    bus = CommandBus(written, keys, "gateway", 0, lambda: NOW)  # type: ignore[arg-type]  # stands for the producer
    facts = router.InteractionAttributes(interaction_id="i", conversation_id="c", identity_id="d")
    await bus.send("r", TENANT, "ada", facts, Reply(text=NEEDLE, to=[NEEDLE], cc=[NEEDLE]))
    return written


async def files_of_customers(keys: MemoryKeys) -> Written:
    """A file that waits for its next try, and one that is given up."""
    written, metrics = Written(), Metrics(METRICS)
    own, key = await keys.ensure(TENANT, "d"), tenant_key(TENANT, "c")
    files = SealedFiles(file_store("memory:///", "", metrics), keys, FilePolicy())
    for limits in (FetchLimits(tries=1), FetchLimits(tries=1, give_up_ms=0)):
        fetch = ingest.FileFetch(
            tenant=TENANT, conversation_id="c", message_id="m", identity_id="d", channel="telegram"
        )
        fetch.attachment.file_id, fetch.attachment.owner_id, fetch.attachment.name = "f", "d", NEEDLE
        fetch.first_at_ms = NOW - 1
        secrets = AccountSecrets(SecretReferences(lambda: NOW))
        fetcher = Fetcher(files, {}, dict, secrets, written, keys, metrics, clock=lambda: NOW, limits=limits)  # type: ignore[arg-type]  # stands for the producer
        value = seal(fetch, own, FETCHES, key)
        await fetcher.first([Record(FETCHES, 0, 0, NOW, key, value, ())])
    assert len(written.values) == 2
    return written


async def messages_of_customers(keys: MemoryKeys) -> Written:
    """A message, and a question about an identity that has no key."""
    written = Written()
    publisher = InboundPublisher(written, keys)  # type: ignore[arg-type]  # stands for the producer
    message = ingest_world.a_message(NEEDLE, identity=ingest_world.an_identity(NEEDLE))
    await publisher.publish([(message.message.identity.identity_id, message)])
    asked = ingest.InboundRecord(tenant=TENANT, question_id="q")
    asked.link.identity_id, asked.link.home_identity_id, asked.link.evidence = "unknown", "nobody", NEEDLE
    await publisher.publish([("unknown", asked)])
    assert (TENANT, "unknown") not in keys.newest
    return written


class RawLog(Log):
    """Keeps the bytes too."""

    def __init__(self, keys: MemoryKeys) -> None:
        super().__init__(keys=keys)
        self.values: list[bytes] = []

    async def publish(self, key: bytes, value: bytes, headers: Headers) -> None:
        self.values.append(value)
        await super().publish(key, value, headers)


async def outcomes_of_attempts(keys: MemoryKeys) -> Written:
    """The provider's id of a message that it accepted."""
    log = RawLog(keys)
    async with HttpProvider() as provider, a_worker(provider, log) as worker:
        worker.submit(a_job(1, channel="whatsapp"))
        await log.until(1)
    (native_id,) = log.outcomes[0].native_ids
    return Written(log.values, native_id)


async def ingest_lanes(keys: MemoryKeys) -> Written:
    """All that the intake and sender lanes write and remember of a customer."""
    world = ingest_world.World()
    a_full_life(world, NEEDLE)
    return Written([everything(world)])


async def notes_of_blocks(keys: MemoryKeys) -> Written:
    """What the intake lane writes of the note with which a sender was blocked."""
    world = ingest_world.World()
    write(world, "Hello", 1)
    block(world, CHAT, note=NEEDLE)
    return Written([everything(world)])


WRITERS: Mapping[str, Callable[[MemoryKeys], Awaitable[Written]]] = MappingProxyType(
    {
        "services.webhooks.retries": notices_that_wait,
        "services.feedback.adapters.command_log": commands_of_answers,
        "services.feedback.lanes.survey": records_of_answers,
        "services.ingest.adapters.edges.publisher": messages_of_customers,
        "services.ingest.adapters.files.fetcher": files_of_customers,
        "services.ingest.adapters.out.worker": outcomes_of_attempts,
        "services.ingest.lanes.blocked_senders": notes_of_blocks,
        "services.ingest.lanes.intake_outputs": ingest_lanes,
        "services.ingest.lanes.sender_outputs": ingest_lanes,
        "services.router.adapters.command_bus": replies_of_agents,
    }
)
"""By the module that calls `seal`."""
CHANGELOGS: Mapping[str, Callable[[MemoryKeys], Awaitable[Written]]] = MappingProxyType(
    {
        "services.feedback.lanes.survey": changelog_of_answers,
        "services.ingest.lanes.intake": ingest_lanes,
        "services.ingest.lanes.sender": ingest_lanes,
    }
)
"""By the module that seals its changelog with `EntryKeys`."""
