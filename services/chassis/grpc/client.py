"""Channels to other services: calls are spread over all replicas, have deadlines, tokens and traces, and are retried if that is safe.

- `round_robin` over the addresses that the name resolves to. A replica that stops sends GOAWAY and is left out; the name
  should resolve to ready replicas only (in Kubernetes a headless Service does). Health is not on the port that is called.
- The channel retries only UNAVAILABLE, at most three times. The server may have executed the call, so mutations carry an
  idempotency key (`idempotent(key)`), which is the same in each attempt.
- The deadline is the smaller of the call's own and the time left of the call being served, less a margin for the response.
- A certificate that is renewed on disk is used by the next calls.
- Errors stay `AioRpcError` in the generated stubs; `chapar_errors()` converts them to `ChaparError`.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from services.chassis.current_call import CURRENT, IDEMPOTENCY_KEY
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.auth import TENANT
from services.chassis.grpc.following_channel import FollowingChannel
from services.chassis.grpc.status import from_rpc_error
from services.chassis.metrics import Metrics
from services.chassis.reasons import Reason
from services.chassis.tls_files import FollowingContext
from services.chassis.tracing import inject_metadata

TokenFor = Callable[[str], str]
"""A token for a tenant: `services.chassis.tokens.minting.TokenSource`. If it has a true attribute `names_tenant`, the
token names no tenant and the call's metadata does."""

DEFAULT_TIMEOUT_S = 5.0
MARGIN_S = 0.05
Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ClientTls:
    """TLS of a client: the trusted authority, and our own certificate where the server asks for one."""

    ca_file: Path
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are given."""
        return tuple(path for path in (self.ca_file, self.cert_file, self.key_file) if path is not None)

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files. Raises INVALID TLS_FILES, also for a key that does not belong to its certificate."""
        try:
            # gRPC would refuse a wrong pair only at each connection.
            FollowingContext.of_client(self.ca_file, self.cert_file, self.key_file)
            return grpc.ssl_channel_credentials(
                self.ca_file.read_bytes(),
                self.key_file.read_bytes() if self.key_file else None,
                self.cert_file.read_bytes() if self.cert_file else None,
            )
        except OSError as error:
            named = ", ".join(map(str, self.files))
            raise ChaparError(
                ErrorKind.INVALID, Reason.TLS_FILES, f"can't use the TLS files {named}: {error}"
            ) from error


def target_of(address: str) -> str:
    """Return gRPC's form of a setting's address.

    Several IPv4 addresses, separated by commas, are replicas. A name goes to DNS as it is; an address with a scheme
    (`dns:///name:port`, `ipv4:a:1,b:2`) is in gRPC's form already.
    """
    several = "," in address and "://" not in address and not address.startswith(("ipv4:", "ipv6:"))
    return f"ipv4:{address.replace(' ', '')}" if several else address


@asynccontextmanager
async def grpc_channel(
    target: str,
    *,
    token: TokenFor | None = None,
    tls: ClientTls | None = None,
    metrics: Metrics | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    max_message_bytes: int = 4 << 20,
) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel for the time of the block. `target`: `host:port`, `dns:///name:port`, `ipv4:a:1,b:2`.

    `token` is called with the tenant of the call being served, or with that of `for_tenant`; `timeout_s` is the deadline
    of unary calls that have none of their own.
    """
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", json.dumps(service_config())),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    ]
    if tls is not None and tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    interceptors = _interceptors(_Outgoing(token, metrics, timeout_s))
    channel: grpc.aio.Channel
    if tls is not None:
        secure = partial(grpc.aio.secure_channel, target, options=options, interceptors=interceptors)
        channel = FollowingChannel(lambda: secure(tls.credentials()), tls.files)
    else:
        channel = grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)
    try:
        yield channel
    finally:
        await channel.close()


def service_config() -> dict[str, Any]:
    """Return how a channel balances and retries."""
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                "name": [{}],
                "waitForReady": False,
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 3,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
        "retryThrottling": {"maxTokens": 50, "tokenRatio": 0.2},
    }


def idempotent(key: str) -> Metadata:
    """Return the metadata of a mutation. Use the same key for the same intent, in each attempt."""
    return ((IDEMPOTENCY_KEY, key),)


def for_tenant(tenant: str) -> Metadata:
    """Return metadata that names the tenant of a call which is not made while serving another call. It never leaves the process."""
    return ((_TENANT, tenant),)


@contextlib.contextmanager
def chapar_errors() -> Iterator[None]:
    """Convert the errors that a call raises to `ChaparError`."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


_TENANT = "x-chapar-tenant-of-token"


class _Outgoing:
    """Adds deadline, token and trace to calls."""

    def __init__(self, token: TokenFor | None, metrics: Metrics | None, timeout_s: float) -> None:
        self._token = token
        self._names_tenant = bool(getattr(token, "names_tenant", False))
        self._timeout_s = timeout_s
        self._handled = metrics.counter("chapar_grpc_client_handled_total") if metrics is not None else None

    def complete(self, details: Any, *, unary: bool) -> grpc.aio.ClientCallDetails:
        given = [(str(k), v) for k, v in details.metadata or ()]
        tenant = next((str(v) for k, v in given if k == _TENANT), None)
        metadata: list[tuple[str, Any]] = [(k, v) for k, v in given if k != _TENANT]
        names = {name for name, _ in metadata}
        if self._token is not None and "authorization" not in names:
            if tenant is None:
                call = CURRENT.get()
                tenant = call.caller.tenant if call is not None and call.caller is not None else ""
            metadata.append(("authorization", f"Bearer {self._token(tenant)}"))
            if self._names_tenant and tenant:
                metadata.append((TENANT, tenant))
        metadata += [(k, v) for k, v in inject_metadata() if k not in names]
        return grpc.aio.ClientCallDetails(
            details.method,
            self._timeout(details.timeout, unary),
            grpc.aio.Metadata(*metadata),
            details.credentials,
            details.wait_for_ready,
        )

    async def count(self, method: str | bytes, call: Any) -> None:
        """Wait for the end of a unary call and count it. Its error is raised to the caller, who awaits the call too."""
        if self._handled is not None:
            code = await call.code()
            self._handled.labels(method.decode() if isinstance(method, bytes) else method, code.name).inc()

    def _timeout(self, own: float | None, unary: bool) -> float | None:
        wanted = own if own is not None else (self._timeout_s if unary else None)
        serving = CURRENT.get()
        left = serving.time_left() if serving is not None else None
        if left is None:
            return wanted
        left = max(0.0, left - MARGIN_S)
        return left if wanted is None else min(wanted, left)


def _interceptors(outgoing: _Outgoing) -> Sequence[grpc.aio.ClientInterceptor]:
    return (_UnaryUnary(outgoing), _UnaryStream(outgoing), _StreamUnary(outgoing), _StreamStream(outgoing))


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, outgoing: _Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        call = await continuation(self._outgoing.complete(client_call_details, unary=True), request)
        await self._outgoing.count(client_call_details.method, call)
        return call


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, outgoing: _Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(self._outgoing.complete(client_call_details, unary=False), request)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    def __init__(self, outgoing: _Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await continuation(self._outgoing.complete(client_call_details, unary=False), request_iterator)


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):
    def __init__(self, outgoing: _Outgoing) -> None:
        self._outgoing = outgoing

    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await continuation(self._outgoing.complete(client_call_details, unary=False), request_iterator)
