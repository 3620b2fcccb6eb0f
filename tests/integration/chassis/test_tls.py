"""TLS and mTLS on real sockets, with certificates that are replaced while the service runs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from chapar.audit.v1 import audit_pb2
from chapar.sla.v1 import sla_pb2, sla_pb2_grpc
from services.chassis.audit import AuditTrail
from services.chassis.errors import ChaparError
from services.chassis.grpc.client import ClientTls, chapar_errors, grpc_channel
from services.chassis.kafka.records import Headers
from services.chassis.lifecycle import Service, leaves, serving
from services.chassis.settings import ServiceSettings
from services.chassis.tokens import TokenSource
from tests.fixtures.authority import Authority, Pair
from tests.integration.chassis.conftest import SECRET, SERVICE, Probe, build_probe, client_tls, tls_settings

TOKENS = TokenSource(SECRET, "service:router", ["sla.read"])


async def ask(service: Service[ServiceSettings], tls: ClientTls) -> None:
    async with grpc_channel(service.endpoints["grpc"], token=TOKENS, tls=tls, timeout_s=5) as channel:
        with chapar_errors():
            await sla_pb2_grpc.SlaServiceStub(channel).GetDeadlines(sla_pb2.GetDeadlinesRequest())


async def test_only_peers_on_the_list_may_call(tmp_path: Path, authority: Authority, write: Any, probe: Probe) -> None:
    """Per service; a signed certificate alone does not allow a method."""
    settings = tls_settings(tmp_path, authority.issue("probe"), authority, write, grpc_peers={SERVICE: ("dns:router",)})
    async with serving("probe", settings, build_probe(probe)) as service:
        await ask(service, client_tls(authority, write, "router"))
        with pytest.raises(ChaparError) as refused:
            await ask(service, client_tls(authority, write, "feedback"))
        assert refused.value.reason == "PEER_REFUSED"
        stranger = client_tls(Authority(), write, "router")
        with pytest.raises(ChaparError) as unknown:
            await ask(service, ClientTls(write("ca.crt", authority.cert), stranger.cert_file, stranger.key_file))
        assert unknown.value.reason == "GRPC_UNAVAILABLE"
        assert len(probe.calls) == 1


class Log:
    """An audit log in memory."""

    def __init__(self) -> None:
        self.records: list[audit_pb2.AuditRecord] = []

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers) -> Any:
        self.records.append(audit_pb2.AuditRecord.FromString(value))


async def test_a_peer_that_is_refused_is_in_the_audit_log(
    tmp_path: Path, authority: Authority, write: Any, probe: Probe
) -> None:
    """Its token is valid, so who called is known: of a unary call and of a stream."""
    log = Log()

    @asynccontextmanager
    async def audit(service: Service[ServiceSettings]) -> AsyncIterator[AuditTrail]:
        yield AuditTrail("probe", log, service.clock, service.metrics)

    settings = tls_settings(tmp_path, authority.issue("probe"), authority, write, grpc_peers={SERVICE: ("dns:router",)})
    tls = client_tls(authority, write, "feedback")
    async with (
        serving("probe", settings, build_probe(probe, audit=audit)) as service,
        grpc_channel(service.endpoints["grpc"], token=TOKENS, tls=tls, timeout_s=5) as channel,
    ):
        stub: Any = sla_pb2_grpc.SlaServiceStub(channel)
        with pytest.raises(ChaparError) as refused, chapar_errors():
            await stub.GetDeadlines(sla_pb2.GetDeadlinesRequest())
        assert refused.value.reason == "PEER_REFUSED"
        with pytest.raises(ChaparError) as refused, chapar_errors():
            await anext(aiter(stub.WatchEvents(sla_pb2.WatchEventsRequest())))
        assert refused.value.reason == "PEER_REFUSED"
    assert [(each.method, each.subject, each.reason) for each in log.records] == [
        (f"{SERVICE}/{method}", "service:router", "PEER_REFUSED") for method in ("GetDeadlines", "WatchEvents")
    ]


DNS, MAIL, URI = x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier


@pytest.mark.parametrize(
    ("common_name", "names", "allowed", "served"),
    [
        ("mallory", [DNS("router")], "dns:router", True),
        ("mallory", [URI("spiffe://chapar/router")], "uri:spiffe://chapar/router", True),
        ("router", [], "cn:router", True),
        # The same letters in a name of another type, or next to a name.
        ("mallory", [MAIL("router@shop.example")], "dns:router@shop.example", False),
        ("router", [MAIL("mallory@shop.example")], "dns:router", False),
        ("router", [MAIL("mallory@shop.example")], "cn:router", False),
        ("router", [DNS("mallory")], "cn:router", False),
        ("dns:router", [], "dns:router", False),
        ("mallory", [URI("dns:router")], "dns:router", False),
        ("mallory", [DNS("router.evil.example")], "dns:router", False),
    ],
)
async def test_names_of_peers_have_types(
    tmp_path: Path,
    authority: Authority,
    write: Any,
    probe: Probe,
    common_name: str,
    names: list[x509.GeneralName],
    allowed: str,
    served: bool,
) -> None:
    """A certificate that names an e-mail address or a URI is not a host's, whatever letters it contains."""
    settings = tls_settings(tmp_path, authority.issue("probe"), authority, write, grpc_peers={SERVICE: (allowed,)})
    pair = authority.issue(common_name, names)
    tls = ClientTls(write("ca.crt", authority.cert), write("peer.crt", pair.cert), write("peer.key", pair.key))
    async with serving("probe", settings, build_probe(probe)) as service:
        if served:
            await ask(service, tls)
            return
        with pytest.raises(ChaparError) as refused:
            await ask(service, tls)
        assert refused.value.reason == "PEER_REFUSED"
        assert probe.calls == []


async def test_reflection_is_never_served_with_tls(
    tmp_path: Path, authority: Authority, write: Any, probe: Probe
) -> None:
    """The same on the health port."""
    settings = tls_settings(tmp_path, authority.issue("probe"), authority, write)
    tls = client_tls(authority, write, "router")
    async with serving("probe", settings, build_probe(probe)) as service:
        channels = (
            grpc.aio.secure_channel(service.endpoints["grpc"], tls.credentials()),
            grpc.aio.insecure_channel(service.endpoints["health"]),
        )
        for opened in channels:
            async with opened as channel:
                stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast(Any, channel))
                info = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await anext(aiter(info))
                assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_health_has_a_plaintext_port_of_its_own(
    tmp_path: Path, authority: Authority, write: Any, probe: Probe
) -> None:
    """Kubernetes' probes do not use TLS; only health answers there."""
    settings = tls_settings(tmp_path, authority.issue("probe"), authority, write)
    async with (
        serving("probe", settings, build_probe(probe)) as service,
        grpc.aio.insecure_channel(service.endpoints["health"]) as channel,
    ):
        health: Any = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await sla_pb2_grpc.SlaServiceStub(channel).GetDeadlines(sla_pb2.GetDeadlinesRequest(), timeout=5)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_new_certificate_is_served_without_a_restart(
    tmp_path: Path, authority: Authority, write: Any, probe: Probe
) -> None:
    """With half of a replacement, or a broken file, the old certificate stays in service; the expiry metric follows."""
    old, new = authority.issue("old"), authority.issue("new")
    settings = tls_settings(tmp_path, old, authority, write)
    tls = client_tls(authority, write, "router")
    async with serving("probe", settings, build_probe(probe)) as service:
        address = service.endpoints["grpc"]
        assert await presented(address, tls) == "old"
        expiry = service.metrics.value("chapar_certificate_expiry_timestamp_seconds")

        write("server.crt", new.cert)
        assert await presented(address, tls) == "old"
        write("server.key", b"not a key")
        assert await presented(address, tls) == "old"
        write("server.key", new.key)
        assert await presented(address, tls) == "new"
        assert service.metrics.value("chapar_certificate_expiry_timestamp_seconds") != expiry
        await ask(service, tls)


async def test_files_that_do_not_fit_together_are_refused_at_start(
    tmp_path: Path, authority: Authority, write: Any, probe: Probe
) -> None:
    """The error names the files."""
    mixed = Pair(authority.issue("a").cert, authority.issue("b").key)
    with pytest.raises(ExceptionGroup) as caught:
        async with serving("probe", tls_settings(tmp_path, mixed, authority, write), build_probe(probe)):
            pytest.fail("it serves")
    error = leaves(caught.value)[0]
    assert isinstance(error, ChaparError)
    assert error.reason == "TLS_FILES"
    assert "server.crt" in error.message


async def presented(address: str, tls: ClientTls) -> str:
    """Return the common name of the certificate that a new connection gets."""
    context = ssl.create_default_context(cafile=str(tls.ca_file))
    assert tls.cert_file is not None
    context.load_cert_chain(tls.cert_file, tls.key_file)
    context.set_alpn_protocols(["h2"])
    host, port = address.rsplit(":", 1)
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    raw = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    name = x509.load_der_x509_certificate(raw).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return str(name)
