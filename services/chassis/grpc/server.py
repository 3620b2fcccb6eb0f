"""The gRPC server of a service: security, limits, and a stop that lets calls in progress finish.

Health is served on a port of its own, in plain text and with limits of its own: probes have no token, so on the port for
callers they would hold connections and streams that callers need. Without TLS the server listens on loopback, in
development, or not at all; reflection is served there and nowhere else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from services.chassis.audit import AuditTrail
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.admission import Admission, Budget, CallKind
from services.chassis.grpc.audited import AuditedCalls
from services.chassis.grpc.auth import Authorizer
from services.chassis.grpc.interceptor import ChassisInterceptor
from services.chassis.grpc.refusal_hold import RefusalHold
from services.chassis.grpc.tenant_pace import TenantPace
from services.chassis.grpc.tls import CertificateFiles
from services.chassis.grpc.trust import trusted_callers
from services.chassis.grpc_settings import GrpcLimits
from services.chassis.http import bind
from services.chassis.lifecycle import Service
from services.chassis.pacing import NO_LIMIT, Rate
from services.chassis.reasons import Reason
from services.chassis.settings import ServiceSettings
from services.chassis.tokens import Verifier

Register = Callable[[grpc.aio.Server], None]
"""What the generated `add_…Servicer_to_server` does, with the servicer bound: `lambda s: add_X_to_server(x, s)`."""

_AGE_MS = 30 * 60 * 1000  # clients look up the replicas again at least so often
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """A running server."""

    address: str
    health_address: str


@asynccontextmanager
async def grpc_server(
    service: Service[Any],
    register: Register | Sequence[Register],
    service_names: Sequence[str],
    *,
    verifier: Verifier | None = None,
    audit: AuditTrail | None = None,
    changes: Rate = NO_LIMIT,
) -> AsyncIterator[GrpcServer]:
    """Serve until the block ends, then stop with a grace period. Publishes the endpoints `grpc` and `health`.

    `service_names`: full names, for health and reflection. `audit`: records the calls whose methods ask for it.
    `changes`: of each tenant, for unary calls that change something. Raises INVALID when it may not listen without TLS or has no
    key for tokens, UNAVAILABLE PORT_IN_USE.
    """
    service.settings.require_secure_or_loopback()
    async with (
        trusted_callers(service, verifier) as authorizer,
        _serving(service, register, service_names, authorizer, audit, changes) as server,
    ):
        yield server


@asynccontextmanager
async def _serving(
    service: Service[Any],
    register: Register | Sequence[Register],
    service_names: Sequence[str],
    authorizer: Authorizer,
    audit: AuditTrail | None,
    changes: Rate,
) -> AsyncIterator[GrpcServer]:
    settings: ServiceSettings = service.settings
    limits = settings.grpc_limits
    interceptor = ChassisInterceptor(
        authorizer,
        Admission(budgets(limits), limits.request_bytes),
        TenantPace(limits, changes),
        RefusalHold(limits),
        service.metrics,
        service.tracing,
        AuditedCalls(audit),
    )
    # No maximum_concurrent_rpcs: gRPC counts calls before anyone is authenticated, so strangers would use it up.
    server = grpc.aio.server(interceptors=[interceptor], options=server_options(settings))
    for each in (register,) if callable(register) else register:
        each(server)
    if settings.insecure_dev:
        reflection.enable_server_reflection((*service_names, reflection.SERVICE_NAME), server)
    address = _listen(server, settings, service)
    health = health_aio.HealthServicer()
    probes = grpc.aio.server(options=_HEALTH_OPTIONS)
    health_pb2_grpc.add_HealthServicer_to_server(health, probes)
    health_address = _bind(probes, settings.ops_host, settings.health_port, None)
    follower = _HealthFollower(service, health, ("", *service_names))
    await server.start()
    await probes.start()
    try:
        async with service.background(follower.run(), "grpc health"):
            service.endpoints.publish("grpc", address)
            service.endpoints.publish("health", health_address)
            yield GrpcServer(address, health_address)
    finally:
        await health.enter_graceful_shutdown()
        await server.stop(settings.stop_grace_s)
        await probes.stop(0)


def budgets(limits: GrpcLimits) -> dict[CallKind, Budget]:
    """Return the budgets of slots in the settings."""
    return {
        CallKind.CALL: Budget(limits.calls, limits.calls_per_caller),
        CallKind.WATCH: Budget(limits.watches, limits.watches_per_caller),
        CallKind.SESSION: Budget(limits.sessions, limits.sessions_per_caller),
    }


class _HealthFollower:
    """Copies the health of the process to gRPC health."""

    def __init__(self, service: Service[Any], servicer: health_aio.HealthServicer, names: Sequence[str]) -> None:
        self._servicer = servicer
        self._names = names
        self._changed = asyncio.Event()
        self._ready = False
        service.health.on_change(self._note)

    def _note(self, ready: bool) -> None:
        self._ready = ready
        self._changed.set()

    async def run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            for name in self._names:
                await self._servicer.set(name, _SERVING if self._ready else _NOT_SERVING)


_IDENTITY_ONLY = 1
"""Bit set of compression algorithms: none. A compressed request of kilobytes may unfold to gigabytes."""

_HEALTH_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", 4),
    ("grpc.max_allowed_incoming_connections", 64),
    ("grpc.max_connection_idle_ms", 60_000),
    ("grpc.max_connection_age_ms", 10 * 60 * 1000),
    ("grpc.max_receive_message_length", 1024),
    ("grpc.max_metadata_size", 4 << 10),
    ("grpc.absolute_max_metadata_size", 8 << 10),
    ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ONLY),
)


def server_options(settings: ServiceSettings) -> tuple[tuple[str, Any], ...]:
    """Return the channel options of a service's server."""
    limits = settings.grpc_limits
    return (
        ("grpc.max_receive_message_length", settings.grpc_max_request_bytes),
        ("grpc.max_send_message_length", settings.grpc_max_message_bytes),
        ("grpc.max_metadata_size", limits.metadata_bytes),
        ("grpc.absolute_max_metadata_size", limits.metadata_bytes),
        ("grpc.max_concurrent_streams", limits.streams_per_connection),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.max_connection_idle_ms", round(limits.idle_s * 1000)),
        ("grpc.server_handshake_timeout_ms", round(limits.handshake_s * 1000)),
        ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ONLY),
        ("grpc.so_reuseport", 0),  # a port in use is an error, not a second server that gets half of the calls
        ("grpc.http2.bdp_probe", 0),  # or a stream that is never read buffers 5 MB each way
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # Clients send keepalive pings on idle connections too. Without this, the third one is answered with too_many_pings.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_connection_age_ms", _AGE_MS),
        ("grpc.max_connection_age_grace_ms", 5 * 60 * 1000),
    )


def _listen(server: grpc.aio.Server, settings: ServiceSettings, service: Service[Any]) -> str:
    credentials = None
    if settings.tls_cert_file is not None and settings.tls_key_file is not None:
        expiry = service.metrics.gauge("chapar_certificate_expiry_timestamp_seconds").labels()
        files = CertificateFiles(settings.tls_cert_file, settings.tls_key_file, settings.tls_ca_file, expiry.set)
        credentials = files.credentials()
    return _bind(server, settings.grpc_host, settings.grpc_port, credentials)


def _bind(server: grpc.aio.Server, host: str, port: int, credentials: grpc.ServerCredentials | None) -> str:
    if port:
        bind(host, port).close()  # gRPC only says "failed to bind"; this says why
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        got = server.add_secure_port(target, credentials) if credentials else server.add_insecure_port(target)
    except RuntimeError as error:
        raise ChaparError(
            ErrorKind.UNAVAILABLE, Reason.PORT_IN_USE, f"gRPC can't listen on {target}: set another host or port."
        ) from error
    return f"{target.rpartition(':')[0]}:{got}"
