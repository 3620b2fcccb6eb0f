"""The composition root of sla.

    configuration → read model, events, telemetry → gRPC server → (configuration known) → notices, escalation, deadline lanes

The lanes start when a configuration is known, because policies are chosen from it. Everything else starts before that.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from chapar.router.v1 import router_pb2_grpc
from chapar.sla.v1 import sla_pb2_grpc
from services.chassis.audit_log import audit_trail
from services.chassis.config_reader import ConfigReader
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.finalised import TOPIC as FORMATS
from services.chassis.finalised import finalised_formats
from services.chassis.grpc.client import ClientTls, grpc_channel, target_of
from services.chassis.grpc.server import grpc_server
from services.chassis.grpc.service_tokens import service_tokens
from services.chassis.grpc.trust import TOPIC as REVOCATIONS
from services.chassis.health import Component
from services.chassis.kafka.consumer import GroupConsumer
from services.chassis.kafka.lane import LaneRunner, LaneTuning
from services.chassis.kafka.member import as_member
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.presence import kafka_presence
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.tail import VIEW_REST_S, tail
from services.chassis.kafka.writer import Writer, WriterTuning
from services.chassis.lifecycle import Service
from services.chassis.metrics import PrometheusLaneMetrics
from services.chassis.reasons import Reason
from services.chassis.secrets import SecretReferences
from services.policy.model.sla import TenantPolicies
from services.policy.model.webhooks import Endpoint
from services.policy.reading.business_calendar import caching_calendars
from services.policy.reading.sla import decode_policies
from services.sla.adapters.broadcast import Broadcast
from services.sla.adapters.escalation import GROUP, Escalation
from services.sla.adapters.grpc_service import SlaServicer
from services.sla.adapters.measures_service import Measures
from services.sla.adapters.notices import GROUP as NOTICES_GROUP
from services.sla.adapters.notices import TOPIC as WAITING_NOTICES
from services.sla.adapters.notices import Notices, Receivers
from services.sla.adapters.read_model import ReadModel
from services.sla.adapters.telemetry import Telemetry
from services.sla.domain.measures import DAY_MS
from services.sla.lanes.deadlines import COMMANDS, EVENTS, SPEC, factory
from services.sla.metrics import METRICS
from services.sla.settings import SlaSettings
from services.webhooks import metrics as webhooks
from services.webhooks.delivery import webhook_client
from services.webhooks.retries import Webhooks

NAME: Final = "sla"
GRPC_NAME: Final = "chapar.sla.v1.SlaService"
SCOPES: Final = ("routing.escalate",)
"""Scopes that this service needs at other services."""
FETCH_PAUSE_S: Final = 0.1
"""Longest wait before a batch is committed, in seconds. Facts may wait for a batch; a due milestone does not wait. A tenth
of a second saves most of the lane's transactions and leaves the broker to the services that customers wait for."""
MOST_RECORDS: Final = 64
"""Most records in a batch. Timers are checked when a batch ends, so under load the next check must not wait for a
second's worth of records."""


@asynccontextmanager
async def build(service: Service[SlaSettings]) -> AsyncIterator[None]:
    """Start everything inside the context, and close everything in reverse order after it."""
    settings, kafka = service.settings, service.settings.kafka
    service.metrics.declare((*METRICS, *webhooks.METRICS))
    calendar_of = caching_calendars()
    failed = service.metrics.counter("chapar_sla_conditions_failed_total").labels()
    configuration = ConfigReader(
        kafka,
        decode_policies(lambda _policy: failed.inc()),
        metrics=service.metrics,
        version=lambda policies: policies.version,
    )
    model = ReadModel(calendar_of)
    broadcast = Broadcast(Poison("sla-watchers", service.metrics))
    telemetry = Telemetry(service.metrics, service.clock)
    state_read = service.health.component("read model")
    events_read = service.health.component("events")
    # Calls are answered from the read model: after its start, a rebalance must not take every replica away at once.
    lanes_live = service.health.component("lanes", ready_while_restoring=True) if settings.lanes else None

    async def end_streams() -> None:
        broadcast.close()

    service.on_drain(end_streams)
    async with AsyncExitStack() as stack:
        presence = await stack.enter_async_context(kafka_presence(service, topics(settings)))
        await presence.first()
        await stack.enter_async_context(service.background(configuration.run(), "configuration"))
        records = tail(
            kafka,
            SPEC.changelog_topic,
            client_id=f"{NAME}-read-model",
            rest_s=VIEW_REST_S,
            caught_up=lambda: state_read.set(True),
        )
        following = model.follow(records, Poison("sla-read-model", service.metrics))
        await stack.enter_async_context(service.background(following, "read model"))
        await stack.enter_async_context(
            service.background(
                broadcast.run(kafka, f"{NAME}-events", lambda: events_read.set(True)), "events for watchers"
            )
        )
        await stack.enter_async_context(service.background(telemetry.watch(), "telemetry"))
        window_ms = round(settings.repeat_window_days * DAY_MS)
        measures = Measures(model, service.clock, lambda: configuration.values, window_ms, 2 * window_ms)
        servicer = SlaServicer(model, broadcast, service.clock, measures)
        audit = await stack.enter_async_context(audit_trail(service))
        server = await stack.enter_async_context(
            grpc_server(
                service,
                lambda s: sla_pb2_grpc.add_SlaServiceServicer_to_server(servicer, s),
                (GRPC_NAME,),
                audit=audit,
            )
        )
        if lanes_live is not None:
            formats = await stack.enter_async_context(finalised_formats(service))
            runner = LaneRunner(
                SPEC,
                factory(
                    calendar_of,
                    lambda: configuration.values,
                    telemetry.committed,
                    forget_after_ms=int(settings.forget_after_s * 1000),
                    settle_ms=settings.settle_ms,
                    contacts_kept_ms=2 * window_ms,
                    measured=telemetry.measured,
                ),
                kafka,
                writer=await stack.enter_async_context(
                    Writer(kafka, service=NAME, tuning=WriterTuning(times=service.clock, formats=formats))
                ),
                clock=service.clock,
                client_id=f"{NAME}@{server.address}",
                tuning=as_member(
                    settings.lane,
                    LaneTuning(fetch_pause=FETCH_PAUSE_S, max_batch_records=MOST_RECORDS),
                    SPEC.name,
                    settings.instance,
                ),
                metrics=PrometheusLaneMetrics(service.metrics),
                on_owned=telemetry.owned,
                on_lost=telemetry.lost,
                on_restored=lanes_live.set_restored,
                on_refused=lanes_live.set_refused,
                on_hanging=lanes_live.set_hanging,
            )
            lanes_live.set(False, "waiting for a configuration: has `chapar config apply` run?")
            await stack.enter_async_context(
                service.background(_run(configuration, runner, lanes_live), "deadline lanes")
            )
            producer = await stack.enter_async_context(DurableProducer(kafka, client_id=f"{NAME}-webhooks"))
            await _notify(service, stack, producer, lambda tenant: _webhooks_of(configuration.values, tenant))
            if settings.router_address:
                await _escalate(service, stack, producer)
        yield


def topics(settings: SlaSettings) -> set[str]:
    """Return the topics that this process reads and writes: its start waits for all of them. An architecture test
    compares them with the rights of its user."""
    found = {"config.v1", EVENTS, SPEC.changelog_topic, "audit.v1", REVOCATIONS}
    if settings.lanes:
        found |= {SPEC.input, COMMANDS, FORMATS, WAITING_NOTICES, "deadletters.v1"}
    return found


def _webhooks_of(configured: Mapping[str, TenantPolicies], tenant: str) -> Mapping[str, Endpoint]:
    policies = configured.get(tenant)
    return policies.webhooks if policies else {}


async def _notify(
    service: Service[SlaSettings], stack: AsyncExitStack, producer: DurableProducer, receivers: Receivers
) -> None:
    """Start the webhook notices: new events, and the retries of notices that a receiver did not take at first."""
    kafka = service.settings.kafka
    client = await stack.enter_async_context(webhook_client(service.settings.destinations))
    webhooks = Webhooks(
        WAITING_NOTICES,
        lambda tenant, name: receivers(tenant).get(name),
        SecretReferences(service.clock, service.settings.secrets_dir),
        client,
        producer,
        service.clock,
        service.metrics,
    )
    notices = Notices(receivers, webhooks, service.clock)
    for group, topic, handler in (
        (NOTICES_GROUP, EVENTS, notices.handle),
        (f"{NOTICES_GROUP}-again", WAITING_NOTICES, webhooks.again),
    ):
        consumer = GroupConsumer(
            kafka,
            group=group,
            topics=(topic,),
            handler=handler,
            client_id=group,
            poison=Poison(group, service.metrics, producer=producer, clock=service.clock),
            max_batch=200,
        )
        await stack.enter_async_context(service.background(consumer.run(), group))


async def _escalate(service: Service[SlaSettings], stack: AsyncExitStack, producer: DurableProducer) -> None:
    settings = service.settings
    if settings.router_ca_file is None and not settings.insecure_dev:
        raise ChaparError(
            ErrorKind.INVALID,
            Reason.INSECURE_GRPC,
            "calls to the router without TLS are refused: set CHAPAR_SLA_ROUTER_CA_FILE",
        )
    tokens = await stack.enter_async_context(service_tokens(service, settings.service_token, SCOPES))
    channel = await stack.enter_async_context(
        grpc_channel(
            target_of(settings.router_address),
            token=tokens,
            tls=ClientTls(
                settings.router_ca_file, settings.tls_cert_file, settings.tls_key_file, settings.router_server_name
            )
            if settings.router_ca_file
            else None,
            metrics=service.metrics,
        )
    )
    stub: router_pb2_grpc.RoutingServiceAsyncStub = router_pb2_grpc.RoutingServiceStub(channel)
    consumer = GroupConsumer(
        settings.kafka,
        group=GROUP,
        topics=(EVENTS,),
        handler=Escalation(stub, service.metrics).handle,
        client_id=f"{NAME}-escalation",
        poison=Poison(GROUP, service.metrics, producer=producer, clock=service.clock),
        max_batch=200,
    )
    await stack.enter_async_context(service.background(consumer.run(), "escalation"))


async def _run(configuration: ConfigReader[TenantPolicies], runner: LaneRunner, component: Component) -> None:
    """Run the lanes once a configuration is known."""
    await configuration.configured()
    component.set_restored(False)
    await runner.run()
