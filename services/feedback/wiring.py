"""The composition root of feedback: settings, configuration, clients, domain, lanes, servers, in that order."""

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import grpc

from chapar.feedback.v1 import feedback_pb2_grpc
from services.chassis import finalised
from services.chassis.audit_log import audit_trail
from services.chassis.clock import Clock
from services.chassis.config_reader import ConfigReader
from services.chassis.connections import ConnectionLimits, dropped_counter
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.client import ClientTls, grpc_channel, target_of
from services.chassis.grpc.server import grpc_server
from services.chassis.grpc.service_tokens import service_tokens
from services.chassis.grpc.trust import TOPIC as REVOCATIONS
from services.chassis.http import HttpLimits, TrustedProxies, http_server, networks_of
from services.chassis.kafka.batch_publisher import BatchPublisher
from services.chassis.kafka.consumer import GroupConsumer
from services.chassis.kafka.lane import LaneRunner, LaneSpec, LaneTuning, ProcessorFactory
from services.chassis.kafka.member import as_member
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.presence import kafka_presence
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.relay import Relay
from services.chassis.kafka.tail import VIEW_REST_S, tail
from services.chassis.kafka.writer import Writer, WriterTuning
from services.chassis.lifecycle import Service
from services.chassis.logs import get_logger
from services.chassis.metrics import PrometheusLaneMetrics
from services.chassis.privacy.lanes import AwaitedKeys, Prepare
from services.chassis.privacy.settings import keyring
from services.chassis.questions import LaneQuestions
from services.chassis.secrets import SecretReferences
from services.chassis.tokens import MIN_SECRET_BYTES, read_secret
from services.feedback.adapters import readers, webhook_responses
from services.feedback.adapters.analytics_faust import run_analytics
from services.feedback.adapters.api_grpc import SERVICE, FeedbackServicer
from services.feedback.adapters.command_log import KafkaCommandLog
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys, decode
from services.feedback.adapters.conversation_batches import MAX_BATCH, Waiting, invitations_waiting
from services.feedback.adapters.handlers import Dispatcher, ResponseIntake
from services.feedback.adapters.links import SignedLinks, link_key
from services.feedback.adapters.outbound_grpc import GrpcInvitationSender
from services.feedback.adapters.pages import Pages
from services.feedback.adapters.recoveries import GrpcRecoveryOpener, RecoveryDispatcher
from services.feedback.adapters.scores_view import FeedbackGauges, ScoresView
from services.feedback.adapters.subjects_grpc import GrpcSubjects
from services.feedback.adapters.views import ResponsesView
from services.feedback.domain.reasons import Reason
from services.feedback.lanes import relay, survey
from services.feedback.metrics import METRICS
from services.feedback.settings import FeedbackSettings
from services.policy.reading.dates import shown
from services.webhooks import metrics as webhooks
from services.webhooks.delivery import webhook_client
from services.webhooks.retries import Webhooks

NAME: Final = "feedback"
VERDICT_KINDS: Final = {
    Reason.UNKNOWN_INVITATION: ErrorKind.NOT_FOUND,
    "EXPIRED": ErrorKind.FAILED_PRECONDITION,
    Reason.ALREADY_ANSWERED: ErrorKind.FAILED_PRECONDITION,
}
SCOPES: Final = ("outbound.send", "ingest.follow_up")
"""Scopes that this service needs at other services."""
_DAY_MS: Final = 86_400_000
FETCH_PAUSE_S: Final = 0.2
"""Longest wait before a batch is committed, in seconds. A survey may go out a fifth of a second later; the batching
saves transactions."""
log = get_logger(__name__)


@asynccontextmanager
async def build(service: Service[FeedbackSettings]) -> AsyncIterator[None]:
    """Start everything inside the context, and close everything in reverse order after it."""
    settings = service.settings
    kafka, clock, roles = settings.kafka, service.clock, settings.roles
    service.metrics.declare((*METRICS, *webhooks.METRICS))
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        presence = await enter(kafka_presence(service, topics(roles)))
        await presence.first()
        if set(roles) - {"analytics"}:
            keys = await enter(keyring(service, NAME))
            # Configuration first: a lane that does not know the surveys would skip every interaction.
            reader = ConfigReader[TenantSurveys](
                kafka, decode, metrics=service.metrics, version=lambda each: each.version
            )
            await enter(service.background(reader.run(), "configuration"))
            configured = service.health.component("configuration")
            await reader.first()
            configured.set(True)
            programmes = ConfiguredProgrammes(reader.get)
            producer = await enter(DurableProducer(kafka, client_id=f"{NAME}-commands@{settings.instance}"))
            commands = KafkaCommandLog(producer, keys)

        if "edge" in roles:
            # Before the dispatcher: links need the address that the pages are really bound to.
            scores, responses = ScoresView(), ResponsesView(settings.responses_kept)
            await enter(service.background(_follow_scores(service, scores), "scores view"))
            await enter(service.background(_follow_responses(service, responses, keys), "responses view"))
            questions = LaneQuestions(settings.verdict_timeout_s, VERDICT_KINDS)
            await enter(service.background(_follow_verdicts(service, questions), "verdicts"))
            intake = ResponseIntake(commands, clock, service.metrics, questions)
            links = survey_links(settings, "", clock)
            pages = Pages(programmes, links, intake, service.metrics)
            address = await enter(
                http_server(
                    pages.app(),
                    settings.http_host,
                    settings.http_port,
                    grace_s=settings.stop_grace_s,
                    limits=HttpLimits(
                        connections=ConnectionLimits(total=settings.http_connections, per_peer=settings.http_per_peer),
                        discard_bytes=1 << 20,
                    ),
                    proxies=TrustedProxies(networks_of(settings.http_proxies)),
                    dropped=dropped_counter(service.metrics, "http"),
                )
            )
            service.endpoints.publish("http", address)
            servicer = FeedbackServicer(
                programmes=programmes,
                commands=commands,
                intake=intake,
                links=links,
                subjects=GrpcSubjects(await _ingest(stack, service)),
                scores=scores,
                responses=responses,
                clock=clock,
            )
            audit = await enter(audit_trail(service))
            await enter(
                grpc_server(
                    service,
                    lambda server: feedback_pb2_grpc.add_FeedbackServiceServicer_to_server(servicer, server),
                    [SERVICE],
                    audit=audit,
                )
            )

        if "dispatcher" in roles:
            base_url = settings.public_url or f"http://{_own_pages(service)}"
            channel = await _ingest(stack, service)
            dispatcher = Dispatcher(
                programmes,
                survey_links(settings, base_url, clock),
                GrpcInvitationSender(channel),
                commands,
                clock,
                lambda at_ms, programme, language: shown(at_ms, programme.zone, language),
            )
            poison = Poison(f"{NAME}-dispatcher", service.metrics, producer=producer, clock=clock)
            waiting, at_once = invitations_waiting(service.metrics, clock), settings.dispatch_concurrency
            send = readers.invitations(dispatcher, keys, poison, service.metrics, at_once, waiting)
            consumer = _responses_group(service, producer, f"{NAME}-dispatcher", send, waiting)
            await enter(service.background(consumer.run(), "dispatcher"))
            recoveries = RecoveryDispatcher(GrpcRecoveryOpener(channel), commands, clock)
            open_ = readers.recoveries(recoveries, service.metrics, at_once)
            consumer = _responses_group(service, producer, f"{NAME}-recovery", open_)
            await enter(service.background(consumer.run(), "recoveries"))
            await _webhooks(stack, service, programmes, producer, keys)

        if "lanes" in roles:
            await _relay(stack, service, producer)
            formats = await enter(finalised.finalised_formats(service))
            writer = await enter(Writer(kafka, service=NAME, tuning=WriterTuning(times=service.clock, formats=formats)))
            factory = survey.survey_factory(programmes, service.metrics, keys)
            await _lane(stack, service, survey.SPEC, factory, writer, survey.prepare(keys))

        if "analytics" in roles:
            await enter(service.background(_analytics(service), "analytics"))
        yield


def topics(roles: Collection[str]) -> set[str]:
    """Return the topics that a process of these roles reads and writes: its start waits for all of them, and its user has the rights."""
    found = {"feedback.responses.v1"}
    if set(roles) - {"analytics"}:
        found |= {"config.v1", "feedback.commands.v1", "personal.keys.v1"}
    if "edge" in roles or "analytics" in roles:
        found.add("feedback.scores.v1")
    if "edge" in roles or "lanes" in roles:
        found.add(survey.VERDICTS)
    found |= {"audit.v1", REVOCATIONS} if "edge" in roles else set()
    if "dispatcher" in roles:
        found |= {webhook_responses.TOPIC, "deadletters.v1"}
    if "lanes" in roles:
        found |= {relay.SPEC.input, survey.SPEC.changelog_topic, survey.OUTCOMES, finalised.TOPIC, "deadletters.v1"}
    return found


async def _ingest(stack: AsyncExitStack, service: Service[FeedbackSettings]) -> grpc.aio.Channel:
    """Return a channel to ingest with this service's own token."""
    settings = service.settings
    tokens = await stack.enter_async_context(service_tokens(service, settings.service_token, SCOPES))
    return await stack.enter_async_context(
        grpc_channel(
            target_of(settings.ingest_address), token=tokens, tls=_client_tls(settings), metrics=service.metrics
        )
    )


async def _webhooks(
    stack: AsyncExitStack,
    service: Service[FeedbackSettings],
    programmes: ConfiguredProgrammes,
    producer: DurableProducer,
    keys: AwaitedKeys,
) -> None:
    """Start the webhook notices of responses: one consumer group sends each once, another repeats it until the
    receiver takes it."""
    client = await stack.enter_async_context(webhook_client(service.settings.destinations))
    webhooks = Webhooks(
        webhook_responses.TOPIC,
        programmes.webhook,
        SecretReferences(service.clock, service.settings.secrets_dir),
        client,
        producer,
        service.clock,
        service.metrics,
        keys=keys,
    )

    notify = readers.responses_to_webhooks(webhooks, programmes, keys, service.clock)
    await stack.enter_async_context(
        service.background(_responses_group(service, producer, "feedback-webhooks", notify).run(), "webhooks")
    )
    again = GroupConsumer(
        service.settings.kafka,
        group="feedback-webhooks-again",
        topics=[webhook_responses.TOPIC],
        handler=webhooks.again,
        client_id=f"{NAME}-webhooks-again@{service.settings.instance}",
        poison=Poison(f"{NAME}-webhooks-again", service.metrics, producer=producer, clock=service.clock),
    )
    await stack.enter_async_context(service.background(again.run(), "webhooks again"))


def _responses_group(
    service: Service[FeedbackSettings],
    producer: DurableProducer,
    group: str,
    handler: readers.Batch,
    waiting: Waiting | None = None,
) -> GroupConsumer:
    return GroupConsumer(
        service.settings.kafka,
        group=group,
        topics=["feedback.responses.v1"],
        handler=handler,
        client_id=f"{group}@{service.settings.instance}",
        poison=Poison(group, service.metrics, producer=producer, clock=service.clock),
        max_batch=MAX_BATCH,
        on_joined=None if waiting is None else lambda joined: None if joined else waiting.clear(),
    )


async def _relay(stack: AsyncExitStack, service: Service[FeedbackSettings], producer: DurableProducer) -> None:
    name, kafka, client_id = relay.SPEC.name, service.settings.kafka, f"{relay.SPEC.name}@{service.settings.instance}"
    runner = Relay(
        relay.SPEC,
        relay.command_of,
        kafka,
        await stack.enter_async_context(BatchPublisher(kafka, client_id=client_id, clock=service.clock)),
        Poison(name, service.metrics, producer=producer, clock=service.clock),
        client_id=client_id,
        clock=service.clock,
        metrics=PrometheusLaneMetrics(service.metrics),
    )
    await stack.enter_async_context(service.background(runner.run(), "relay"))


async def _lane(
    stack: AsyncExitStack,
    service: Service[FeedbackSettings],
    spec: LaneSpec,
    factory: ProcessorFactory,
    writer: Writer,
    prepare: Prepare,
) -> None:
    health = service.health.component(f"lane {spec.name}")
    health.set(True)  # the API answers before the lane has restored
    runner = LaneRunner(
        spec,
        factory,
        service.settings.kafka,
        writer=writer,
        client_id=f"{spec.name}@{service.settings.instance}",
        clock=service.clock,
        tuning=as_member(
            service.settings.lane, LaneTuning(fetch_pause=FETCH_PAUSE_S), spec.name, service.settings.instance
        ),
        metrics=PrometheusLaneMetrics(service.metrics),
        on_refused=health.set_refused,
        on_hanging=health.set_hanging,
        prepare=prepare,
    )
    await stack.enter_async_context(service.background(runner.run(), f"lane {spec.name}"))


async def _analytics(service: Service[FeedbackSettings]) -> None:
    say, metrics = service.health.component("analytics").set, PrometheusLaneMetrics(service.metrics)
    await run_analytics(service.settings.kafka, service.clock, say=say, metrics=metrics)


async def _follow_scores(service: Service[FeedbackSettings], view: ScoresView) -> None:
    ready = service.health.component("scores view")
    records = tail(
        service.settings.kafka,
        "feedback.scores.v1",
        client_id=f"{NAME}-scores",
        rest_s=VIEW_REST_S,
        caught_up=lambda: ready.set(True),
    )
    gauges, poison = FeedbackGauges(service.metrics), Poison(f"{NAME}-scores-view", service.metrics)
    await readers.follow_scores(records, view, gauges, poison)


async def _follow_verdicts(service: Service[FeedbackSettings], questions: LaneQuestions) -> None:
    ready = service.health.component("verdicts")

    def listening() -> None:
        ready.set(True)
        questions.listening()

    client_id = f"{NAME}-verdicts@{service.settings.instance}"
    await questions.run(
        tail(service.settings.kafka, survey.VERDICTS, from_="end", client_id=client_id, caught_up=listening)
    )


async def _follow_responses(service: Service[FeedbackSettings], view: ResponsesView, keys: AwaitedKeys) -> None:
    ready = service.health.component("responses view")
    settings, poison = service.settings, Poison(f"{NAME}-responses-view", service.metrics)
    records = tail(
        settings.kafka,
        "feedback.responses.v1",
        from_=settings.responses_days * _DAY_MS,
        client_id=f"{NAME}-responses",
        rest_s=VIEW_REST_S,
        caught_up=lambda: ready.set(True),
        clock=service.clock,
    )
    await readers.follow_responses(records, view, keys, poison)


def _client_tls(settings: FeedbackSettings) -> ClientTls | None:
    # Separate from tls_ca_file, which demands a certificate from every caller of this service.
    authority = settings.ingest_ca_file or settings.tls_ca_file
    if authority is None:
        return None
    return ClientTls(authority, settings.tls_cert_file, settings.tls_key_file)


def _own_pages(service: Service[FeedbackSettings]) -> str:
    address = service.endpoints.known.get("http")
    if address is None:
        raise ChaparError(
            ErrorKind.INVALID,
            Reason.NO_PUBLIC_URL,
            "the dispatcher sends links to pages that this process does not serve: set CHAPAR_FEEDBACK_PUBLIC_URL.",
        )
    return address


def survey_links(settings: FeedbackSettings, base_url: str, clock: Clock) -> SignedLinks:
    """Return the links with the configured secrets. Raises INVALID NO_LINK_SECRET or LINK_SECRET_SHORT."""
    if settings.link_secret_file is not None:
        key = _link_secret(settings.link_secret_file)
    elif settings.jwt.secret_file is not None:
        key = link_key(read_secret(settings.jwt.secret_file))
    else:
        raise ChaparError(
            ErrorKind.INVALID,
            Reason.NO_LINK_SECRET,
            "survey links require a secret: set CHAPAR_FEEDBACK_LINK_SECRET_FILE (at least 32 bytes, the same in all replicas).",
        )
    return SignedLinks(key, base_url, clock, [_link_secret(file) for file in settings.link_further_secret_files])


def _link_secret(file: Path) -> bytes:
    secret = read_secret(file)
    if len(secret) < MIN_SECRET_BYTES:
        raise ChaparError(
            ErrorKind.INVALID,
            Reason.LINK_SECRET_SHORT,
            f"the secret of survey links in {file} has fewer than {MIN_SECRET_BYTES} bytes.",
        )
    return secret
