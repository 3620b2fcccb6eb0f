"""The part of the composition root that wires the edges: web chat, gRPC, webhooks and SMTP."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import SystemRandom

from chapar.audit.v1 import audit_pb2, audit_pb2_grpc
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.audit_log import audit_trail
from services.chassis.byte_budget import ByteBudget, ByteShares
from services.chassis.connections import ConnectionLimits, dropped_counter
from services.chassis.grpc.server import grpc_server
from services.chassis.http import HttpLimits, TrustedProxies, http_server, networks_of
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.tail import VIEW_REST_S, tail
from services.chassis.lifecycle import Service
from services.chassis.pacing import Rate
from services.chassis.privacy.keyring import Keyring
from services.chassis.questions import LaneQuestions
from services.chassis.tls_files import FollowingContext
from services.ingest.adapters.edges.accounts import AccountSecrets, ConfiguredAccounts
from services.ingest.adapters.edges.agent_queues import ConfiguredAgentQueues
from services.ingest.adapters.edges.erasure import Outcomes, PersonEraser
from services.ingest.adapters.edges.grpc_audit import AuditServicer
from services.ingest.adapters.edges.grpc_blocks import SenderBlocks
from services.ingest.adapters.edges.grpc_files import FileLinker
from services.ingest.adapters.edges.grpc_follow_up import FollowUpAsker
from services.ingest.adapters.edges.grpc_ingest import IngestServicer
from services.ingest.adapters.edges.grpc_outbound import OutboundServicer
from services.ingest.adapters.edges.grpc_person import PersonServicer
from services.ingest.adapters.edges.grpc_preferences import PersonWishes
from services.ingest.adapters.edges.grpc_resend import Resender
from services.ingest.adapters.edges.grpc_submit import Submitter
from services.ingest.adapters.edges.grpc_templates import ConfiguredTemplates
from services.ingest.adapters.edges.grpc_upload import Uploader
from services.ingest.adapters.edges.http_app import edge_app
from services.ingest.adapters.edges.http_files import FileDownloads
from services.ingest.adapters.edges.http_webhooks import Channel, Webhooks
from services.ingest.adapters.edges.ingress_limiter import IngressLimiter, IngressLimits
from services.ingest.adapters.edges.lane_questions import KINDS, IntakeQuestions
from services.ingest.adapters.edges.lane_questions import TOPIC as VERDICTS
from services.ingest.adapters.edges.mail_authentication import MailAuthentication
from services.ingest.adapters.edges.mail_dkim import dkim_process
from services.ingest.adapters.edges.mail_dns import DnsTxtRecords
from services.ingest.adapters.edges.publisher import InboundPublisher
from services.ingest.adapters.edges.smtp_in import SmtpLimits, smtp_server
from services.ingest.adapters.edges.telegram_in import TelegramChannel
from services.ingest.adapters.edges.tenant_quota import QuotaSettings, ways_in
from services.ingest.adapters.edges.webchat_files import WebchatFiles
from services.ingest.adapters.edges.webchat_gate import GateLimits, WebchatLimits
from services.ingest.adapters.edges.webchat_history import NoChatHistory
from services.ingest.adapters.edges.webchat_hub import WebchatHub
from services.ingest.adapters.edges.webchat_in import Webchat
from services.ingest.adapters.edges.webhook_in import WebhookChannel
from services.ingest.adapters.edges.whatsapp_in import WhatsAppChannel
from services.ingest.adapters.files.keeper import MessageFiles
from services.ingest.adapters.files.retention import FileRetention
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.domain.files.places import Folder
from services.ingest.domain.reasons import Reason
from services.ingest.settings import IngestSettings
from services.ingest.wiring.files import file_links, thumbnails, upload_receipts
from services.ingest.wiring.history import KeptHistory


@dataclass(frozen=True, slots=True)
class Configured:
    """What the edges know of the tenants."""

    accounts: ConfiguredAccounts
    queues: ConfiguredAgentQueues
    templates: ConfiguredTemplates
    secrets: AccountSecrets


@asynccontextmanager
async def edges(
    service: Service[IngestSettings],
    tenants: Configured,
    keys: Keyring,
    producer: DurableProducer,
    kept: KeptHistory | None,
    files: SealedFiles,
) -> AsyncIterator[None]:
    """Run the edges for the time of the block. `kept`: history, if this process reads it."""
    settings, kafka = service.settings, service.settings.kafka
    accounts, queues, secrets = tenants.accounts, tenants.queues, tenants.secrets
    past = kept.reader if kept is not None else None
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        limits = IngressLimits(
            Rate(settings.account_rate, settings.account_burst),
            Rate(settings.sender_rate, settings.sender_burst),
            Rate(settings.failed_auth_rate, settings.failed_auth_burst),
        )
        quota = QuotaSettings(
            Rate(settings.tenant_rate, settings.tenant_burst), settings.tenant_wait_s, settings.tenant_weights
        )
        beyond = service.metrics.counter("chapar_edge_beyond_rate_total")
        ways = ways_in(
            InboundPublisher(producer, keys), quota, lambda tenant: beyond.labels(tenant, "", Reason.TENANT_RATE).inc()
        )
        ingress_limiter = IngressLimiter(
            ways.customers,
            limits,
            service.clock,
            service.metrics,
            MessageFiles(files, service.metrics),
            providers=ways.providers,
            at_once=ways.erasures,
        )

        # Web chat's live connections.
        hub = WebchatHub(keys, Poison("ingest-webchat", service.metrics))
        caught_up = service.health.component("web chat tail")
        records = tail(
            kafka,
            "conversations.v1",
            from_=int(settings.webchat_replay_s * 1000),
            client_id=f"ingest-webchat@{settings.instance}",
            rest_s=VIEW_REST_S,
            caught_up=lambda: caught_up.set(True),
            clock=service.clock,
        )
        await enter(service.background(hub.run(records), "web chat tail"))
        # gRPC.
        links = file_links(settings, lambda: service.endpoints["http"], service.clock)
        linker = FileLinker(links, await enter(thumbnails(settings, files, service.metrics)))
        submitter = Submitter(accounts, ingress_limiter)
        questions = LaneQuestions(settings.verdict_timeout_s, KINDS)
        intake = IntakeQuestions(ways.callers, questions)
        hearing = service.health.component("verdicts")

        def listening() -> None:
            hearing.set(True)
            questions.listening()

        verdicts = tail(
            kafka, VERDICTS, from_="end", client_id=f"ingest-verdicts@{settings.instance}", caught_up=listening
        )
        await enter(service.background(questions.run(verdicts), "verdicts"))
        ingest_servicer = IngestServicer(submitter, FollowUpAsker(intake, service.clock), past, queues, linker)

        async def identity_of(tenant: str, conversation_id: str) -> str | None:
            lately = hub.owner(tenant, conversation_id)
            return lately if lately is not None or past is None else await past.owner(tenant, conversation_id)

        resender = Resender(intake, past, queues, service.clock)
        uploader = Uploader(files, past, identity_of, queues)
        outbound = OutboundServicer(intake, identity_of, past, service.clock, resender, tenants.templates, uploader)
        outcomes = Outcomes()
        poison = Poison("ingest-erasures", service.metrics)
        following = outcomes.run(kafka, f"ingest-erasures@{settings.instance}", service.clock, poison)
        await enter(service.background(following, "outcomes of erasures"))
        eraser = PersonEraser(
            ways.erasures,
            past,
            keys,
            outcomes,
            service.clock,
            history=kept.name if kept is not None else "",
            files=files,
        )
        person = PersonServicer(
            intake,
            past,
            eraser,
            service.clock,
            PersonWishes(intake, past, service.clock),
            SenderBlocks(intake, kept.blocks if kept is not None else None, service.clock),
        )
        audited = AuditServicer(kept.audit if kept is not None else None)
        await enter(
            grpc_server(
                service,
                [
                    lambda server: ingest_pb2_grpc.add_IngestServiceServicer_to_server(ingest_servicer, server),
                    lambda server: ingest_pb2_grpc.add_OutboundServiceServicer_to_server(outbound, server),
                    lambda server: ingest_pb2_grpc.add_PersonServiceServicer_to_server(person, server),
                    lambda server: audit_pb2_grpc.add_AuditServiceServicer_to_server(audited, server),
                ],
                [
                    each.full_name
                    for file in (ingest_pb2, audit_pb2)
                    for each in file.DESCRIPTOR.services_by_name.values()
                ],
                audit=await enter(audit_trail(service)),
            )
        )

        old_files = FileRetention(
            files.store,
            {
                Folder.FILES: settings.files_days,
                Folder.THUMBNAILS: settings.files_days,
                Folder.QUARANTINE: settings.files_days,
                Folder.ORIGINALS: settings.files_original_days,
            },
            service.clock,
            SystemRandom(),
        )
        await enter(service.background(old_files.run(), "old files"))

        # HTTP: webhooks and web chat.
        channels: tuple[Channel, ...] = (TelegramChannel(), WhatsAppChannel(), WebhookChannel())
        webhooks = Webhooks(
            {channel.name: channel for channel in channels},
            accounts,
            secrets,
            ingress_limiter,
            ByteBudget(
                ByteShares(settings.unproven_bytes, settings.unproven_bytes_per_peer, settings.unproven_bytes // 4)
            ),
            max_body_bytes=settings.max_body_bytes,
            body_timeout_s=settings.body_timeout_s,
        )
        chat_limits = _webchat_limits(settings)
        uploads = WebchatFiles(
            accounts,
            secrets,
            ingress_limiter,
            files,
            links,
            upload_receipts(settings, service.clock),
            origins=chat_limits.origins,
            token_s=chat_limits.token_s,
        )
        webchat = Webchat(
            accounts,
            secrets,
            ingress_limiter,
            hub,
            past or NoChatHistory(),
            chat_limits,
            service.metrics,
            uploads,
        )
        service.on_drain(webchat.drain)
        http = await enter(
            http_server(
                edge_app(webhooks, webchat, FileDownloads(files, links), uploads),
                settings.http_host,
                settings.http_port,
                grace_s=settings.stop_grace_s,
                limits=HttpLimits(
                    connections=ConnectionLimits(
                        total=settings.http_concurrency,
                        per_peer=settings.http_per_peer,
                        # The webhooks' own deadline, and time for its answer.
                        body_s=settings.body_timeout_s + 2,
                    ),
                    discard_bytes=settings.max_body_bytes + (32 << 20),
                ),
                ws_max_bytes=settings.webchat_max_frame_bytes,
                proxies=TrustedProxies(networks_of(settings.http_proxies)),
                dropped=dropped_counter(service.metrics, "http"),
            )
        )
        service.endpoints.publish("http", http)

        # SMTP.
        if settings.smtp_enabled:
            authentication = MailAuthentication(
                DnsTxtRecords(listed(settings.mail_dns_servers)),
                await enter(dkim_process(settings.mail_proof_cpu_s)),
                TrustedProxies(networks_of(settings.smtp_upstreams)),
            )
            smtp = await enter(
                smtp_server(
                    accounts,
                    secrets,
                    ingress_limiter,
                    _smtp_limits(settings),
                    service.metrics,
                    authentication,
                    host=settings.smtp_host,
                    port=settings.smtp_port,
                    hostname=settings.smtp_hostname,
                    tls=starttls(settings),
                )
            )
            service.endpoints.publish("smtp", smtp)
        yield


def listed(text: str) -> tuple[str, ...]:
    """Split a text at its commas."""
    return tuple(each.strip() for each in text.split(",") if each.strip())


def starttls(settings: IngestSettings) -> FollowingContext | None:
    """Return the TLS context of the SMTP edge, which follows its files; None without a certificate."""
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    return FollowingContext.of_server(settings.tls_cert_file, settings.tls_key_file)


def _smtp_limits(settings: IngestSettings) -> SmtpLimits:
    return SmtpLimits(
        settings.smtp_max_bytes,
        settings.mail_cpu_s,
        ConnectionLimits(
            total=settings.smtp_connections,
            per_peer=settings.smtp_per_peer,
            head_s=min(60.0, settings.smtp_timeout_s),
            idle_s=settings.smtp_timeout_s,
            body_s=settings.smtp_data_timeout_s,
            progress_s=min(30.0, settings.smtp_timeout_s),
            progress_bytes=4096,
            write_s=30.0,
            closing_s=3.0,
        ),
        ByteShares(
            settings.smtp_held_bytes, settings.smtp_held_bytes_per_peer, settings.smtp_held_bytes // 8, small=256 << 10
        ),
        TrustedProxies(networks_of(settings.smtp_relays)),
    )


def _webchat_limits(settings: IngestSettings) -> WebchatLimits:
    return WebchatLimits(
        sockets=settings.webchat_sockets,
        gate=GateLimits(
            settings.webchat_sockets_per_address,
            Rate(settings.webchat_newcomer_rate, settings.webchat_newcomer_burst),
            settings.webchat_sockets_per_visitor,
        ),
        idle_s=settings.webchat_idle_s,
        rate=Rate(settings.webchat_rate, settings.webchat_burst),
        token_s=settings.webchat_token_days * 86_400,
        origins=settings.webchat_origins,
    )
