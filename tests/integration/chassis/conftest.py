"""A real service on real sockets: the chassis around SlaService, whose handlers only record what the chassis passed to them."""

from __future__ import annotations  # the async stubs exist in .pyi files only

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from chapar.sla.v1 import sla_pb2, sla_pb2_grpc
from services.chassis.audit import AuditTrail
from services.chassis.current_call import current_call, current_caller
from services.chassis.errors import ChaparError, ErrorKind, FieldViolation
from services.chassis.grpc.client import ClientTls
from services.chassis.grpc.server import grpc_server
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.lifecycle import Service, serving
from services.chassis.settings import ServiceSettings
from services.chassis.tokens import JwtSettings, Verifier, mint
from services.chassis.tracing import inject
from tests.fixtures.authority import Authority, Pair

SIGNER = Ed25519PrivateKey.generate()
SECRET = SIGNER.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC = SIGNER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
SERVICE = "chapar.sla.v1.SlaService"
Context = grpc.aio.ServicerContext[Any, Any]


class Probe(sla_pb2_grpc.SlaServiceServicer):
    """Answers according to the requested interaction id."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.time_left: float | None = None
        self.idempotency_key = ""
        self.log_fields: list[dict[str, Any]] = []
        self.onward: dict[str, bytes] = {}
        self.entered = asyncio.Event()
        self.release = asyncio.Event()

    async def GetDeadlines(  # noqa: N802 - the contract's name
        self, request: sla_pb2.GetDeadlinesRequest, context: Context
    ) -> sla_pb2.GetDeadlinesResponse:
        caller = current_caller()
        self.calls.append((caller.subject, caller.tenant))
        self.time_left = current_call().time_left()
        self.idempotency_key = current_call().idempotency_key
        self.log_fields.append(dict(structlog.contextvars.get_contextvars()))
        self.onward = dict(inject())
        self.entered.set()
        match request.interaction_id:
            case "missing":
                raise ChaparError(
                    ErrorKind.NOT_FOUND,
                    "NO_INTERACTION",
                    "no interaction is called missing: look at `chapar interactions list`",
                    violations=(FieldViolation("interaction_id", "is not known"),),
                    metadata={"interaction": "missing"},
                    retry_after_s=1.5,
                )
            case "bug":
                raise RuntimeError("the body was: my secret diary")
            case "wait":
                await self.release.wait()
        return sla_pb2.GetDeadlinesResponse()

    async def ListAtRisk(  # noqa: N802 - the contract's name
        self, request: sla_pb2.ListAtRiskRequest, context: Context
    ) -> sla_pb2.ListAtRiskResponse:
        return sla_pb2.ListAtRiskResponse()

    async def GetServiceLevel(  # noqa: N802 - the contract's name
        self, request: sla_pb2.GetServiceLevelRequest, context: Context
    ) -> sla_pb2.GetServiceLevelResponse:
        return sla_pb2.GetServiceLevelResponse()

    async def GetMeasures(  # noqa: N802 - the contract's name
        self, request: sla_pb2.GetMeasuresRequest, context: Context
    ) -> sla_pb2.GetMeasuresResponse:
        return sla_pb2.GetMeasuresResponse()

    async def GetBacklog(  # noqa: N802 - the contract's name
        self, request: sla_pb2.GetBacklogRequest, context: Context
    ) -> sla_pb2.GetBacklogResponse:
        return sla_pb2.GetBacklogResponse()

    async def WatchEvents(  # noqa: N802 - the contract's name
        self, request: sla_pb2.WatchEventsRequest, context: Context
    ) -> AsyncIterator[sla_pb2.WatchEventsResponse]:
        self.calls.append((current_caller().subject, current_caller().tenant))
        yield sla_pb2.WatchEventsResponse()
        self.entered.set()
        await self.release.wait()
        raise ChaparError(ErrorKind.UNAVAILABLE, "RECONNECT", "this replica is going away: connect to another")


def dev_settings(tmp_path: Path, **changes: Any) -> ServiceSettings:
    """Return settings for loopback without TLS, with tokens by a key of this test run, and short times."""
    public = tmp_path / "public.pem"
    public.write_bytes(PUBLIC)
    values: dict[str, Any] = {
        "instance": "probe-0",
        "insecure_dev": True,
        "jwt": JwtSettings(public_key_file=public, revocations=False),
        "kafka": KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        "drain_s": 0,
        "stop_grace_s": 5,
        **changes,
    }
    return ServiceSettings(**values)


def tls_settings(tmp_path: Path, pair: Pair, authority: Authority, write: Any, **changes: Any) -> ServiceSettings:
    return dev_settings(
        tmp_path,
        insecure_dev=False,
        tls_cert_file=write("server.crt", pair.cert),
        tls_key_file=write("server.key", pair.key),
        tls_ca_file=write("ca.crt", authority.cert),
        **changes,
    )


def client_tls(authority: Authority, write: Any, name: str) -> ClientTls:
    pair = authority.issue(name)
    return ClientTls(write("ca.crt", authority.cert), write(f"{name}.crt", pair.cert), write(f"{name}.key", pair.key))


def build_probe(
    probe: Probe,
    *,
    verifier: Verifier | None = None,
    audit: Callable[[Service[ServiceSettings]], AbstractAsyncContextManager[AuditTrail]] | None = None,
) -> Callable[[Service[ServiceSettings]], AbstractAsyncContextManager[None]]:
    """Return the wiring of the service under test."""

    @asynccontextmanager
    async def build(service: Service[ServiceSettings]) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            trail = await stack.enter_async_context(audit(service)) if audit is not None else None
            register = partial(sla_pb2_grpc.add_SlaServiceServicer_to_server, probe)
            await stack.enter_async_context(grpc_server(service, register, [SERVICE], verifier=verifier, audit=trail))
            yield

    return build


def token(*scopes: str, **changes: Any) -> str:
    """Return a token of tenant acme."""
    return mint(SECRET, "tester", "acme", scopes or ("sla.read",), **changes)


def bearer(value: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {value}"),)


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
async def service(probe: Probe, tmp_path: Path) -> AsyncIterator[Service[ServiceSettings]]:
    async with serving("probe", dev_settings(tmp_path), build_probe(probe)) as running:
        yield running
        probe.release.set()


@pytest.fixture
async def stub(service: Service[ServiceSettings]) -> AsyncIterator[sla_pb2_grpc.SlaServiceAsyncStub]:
    """A stub without the chassis's client: the view of any caller in any language."""
    async with grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel:
        yield sla_pb2_grpc.SlaServiceStub(channel)


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def to(name: str, content: bytes) -> Path:
        draft = tmp_path / f".{name}"
        draft.write_bytes(content)
        return draft.replace(tmp_path / name)

    return to
