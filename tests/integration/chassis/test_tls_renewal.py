"""Clients and STARTTLS use certificates that are renewed on disk, without a restart: before this, they kept the old one until it expired."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import uvloop
from cryptography import x509
from cryptography.x509.oid import NameOID

from chapar.sla.v1 import sla_pb2, sla_pb2_grpc
from services.chassis.errors import ChaparError
from services.chassis.grpc.client import ClientTls
from services.chassis.grpc.following_channel import FollowingChannel
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.lifecycle import Service, serving
from services.chassis.settings import ServiceSettings
from services.chassis.tls_files import FollowingContext
from services.chassis.tokens import TokenSource
from services.ingest.settings import IngestSettings
from services.ingest.wiring.edges import starttls
from tests.fixtures.authority import Authority, Pair
from tests.integration.chassis.conftest import SECRET, SERVICE, Probe, build_probe, client_tls, tls_settings

TOKENS = TokenSource(SECRET, "service:router", ["sla.read"])


@asynccontextmanager
async def _channel(service: Service[ServiceSettings], tls: ClientTls) -> AsyncIterator[FollowingChannel]:
    """Open a channel that looks at its files before each call."""

    def make() -> grpc.aio.Channel:
        return grpc.aio.secure_channel(service.endpoints["grpc"], tls.credentials())

    async with FollowingChannel(make, tls.files, check_s=0) as channel:
        yield channel


async def _ask(channel: grpc.aio.Channel) -> grpc.StatusCode:
    """Call once and return the status."""
    try:
        await sla_pb2_grpc.SlaServiceStub(channel).GetDeadlines(
            sla_pb2.GetDeadlinesRequest(), metadata=(("authorization", f"Bearer {TOKENS('shop')}"),), timeout=5
        )
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def _replace(write: Any, name: str, pair: Pair) -> None:
    write(f"{name}.crt", pair.cert)
    write(f"{name}.key", pair.key)


async def test_a_client_uses_the_certificate_that_is_in_its_files_now(
    tmp_path: Path, authority: Authority, write: Any, probe: Probe
) -> None:
    """The server accepts only the new name. Half of a replacement and a broken file change nothing."""
    settings = tls_settings(tmp_path, authority.issue("probe"), authority, write, grpc_peers={SERVICE: ("dns:new",)})
    tls = client_tls(authority, write, "client")
    new = authority.issue("new")
    async with serving("probe", settings, build_probe(probe)) as service, _channel(service, tls) as channel:
        assert await _ask(channel) is grpc.StatusCode.PERMISSION_DENIED
        write("client.crt", new.cert)
        assert await _ask(channel) is grpc.StatusCode.PERMISSION_DENIED
        write("client.key", b"not a key")
        assert await _ask(channel) is grpc.StatusCode.PERMISSION_DENIED
        write("client.key", new.key)
        assert await _ask(channel) is grpc.StatusCode.OK
        assert len(probe.calls) == 1


async def test_calls_in_progress_end_on_the_old_channel(
    tmp_path: Path, authority: Authority, write: Any, probe: Probe
) -> None:
    """A stream and a unary call survive the renewal; the old channel is closed after them, not before."""
    settings = tls_settings(tmp_path, authority.issue("probe"), authority, write)
    tls = client_tls(authority, write, "client")
    channels: list[grpc.aio.Channel] = []

    async with serving("probe", settings, build_probe(probe)) as service:

        def make() -> grpc.aio.Channel:
            channels.append(grpc.aio.secure_channel(service.endpoints["grpc"], tls.credentials()))
            return channels[-1]

        async with FollowingChannel(make, tls.files, check_s=0) as channel:
            metadata = (("authorization", f"Bearer {TOKENS('shop')}"),)
            stream = sla_pb2_grpc.SlaServiceStub(channel).WatchEvents(sla_pb2.WatchEventsRequest(), metadata=metadata)
            received = aiter(stream)
            await anext(received)
            _replace(write, "client", authority.issue("client"))
            assert await _ask(channel) is grpc.StatusCode.OK
            assert len(channels) == 2
            assert channels[0].get_state() is grpc.ChannelConnectivity.READY
            probe.release.set()
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await anext(received)
            assert ended.value.details() is not None
            assert "this replica is going away" in str(ended.value.details())
            async with asyncio.timeout(5):
                while channels[0].get_state() is not grpc.ChannelConnectivity.SHUTDOWN:  # noqa: ASYNC110 - gRPC wakes no waiter for it
                    await asyncio.sleep(0.01)
            assert await _ask(channel) is grpc.StatusCode.OK
        assert channels[1].get_state() is grpc.ChannelConnectivity.SHUTDOWN


def test_client_files_that_cannot_be_used_are_refused_at_the_start(authority: Authority, write: Any) -> None:
    """A key of another certificate and a missing file: the error names the files."""
    tls = client_tls(authority, write, "client")
    write("client.key", authority.issue("other").key)
    for wrong in (tls, ClientTls(tls.ca_file, tls.cert_file, tls.ca_file.with_name("absent"))):
        with pytest.raises(ChaparError, match=r"client\.crt") as refused:
            wrong.credentials()
        assert refused.value.reason == "TLS_FILES"


def _name(certificate: bytes) -> str:
    subject = x509.load_der_x509_certificate(certificate).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@asynccontextmanager
async def _server(context: ssl.SSLContext) -> AsyncIterator[tuple[int, asyncio.Queue[str]]]:
    """Serve TLS; each connection's client certificate goes into the queue, by its name."""
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        presented = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        seen.put_nowait(_name(presented) if presented else "")
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


async def _connect(port: int, context: ssl.SSLContext) -> str:
    """Connect once and return the name in the server's certificate."""
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        name = _name(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        await reader.read()
        writer.close()
    return name


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_kafka_clients_present_the_renewed_certificate_of_their_user(
    loop: Any, authority: Authority, write: Any
) -> None:
    """Strimzi writes a new one before the old one expires. A new authority of the cluster is trusted beside the old one."""
    pair, other = authority.issue("broker"), Authority("next authority")
    user = authority.issue("old")
    settings = KafkaSettings(
        bootstrap_servers="127.0.0.1:1",
        security_protocol="SSL",
        ssl_cafile=write("kafka.crt", authority.cert),
        ssl_certfile=write("user.crt", user.cert),
        ssl_keyfile=write("user.key", user.key),
    )
    accepting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.cert.decode())
    accepting.verify_mode = ssl.CERT_REQUIRED
    accepting.load_cert_chain(write("broker.crt", pair.cert), write("broker.key", pair.key))

    async def scenario() -> None:
        context = settings.client_options()["ssl_context"]
        async with _server(accepting) as (port, seen):
            await _connect(port, context)
            new = authority.issue("new")
            write("user.crt", new.cert)
            await _connect(port, context)
            write("user.key", new.key)
            await _connect(port, context)
            assert [seen.get_nowait() for _ in range(3)] == ["old", "old", "new"]
            theirs = other.issue("broker of another authority")
            accepting.load_cert_chain(write("broker.crt", theirs.cert), write("broker.key", theirs.key))
            with pytest.raises(ssl.SSLCertVerificationError):
                await _connect(port, context)
            write("kafka.crt", authority.cert + other.cert)
            assert await _connect(port, context) == "broker of another authority"

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scenario())


async def test_starttls_uses_the_certificate_that_is_in_its_files_now(
    tmp_path: Path, authority: Authority, write: Any
) -> None:
    """The context of the SMTP edge follows its files, like the gRPC server."""
    old, new = authority.issue("old"), authority.issue("new")
    settings = IngestSettings.model_construct(
        tls_cert_file=write("mail.crt", old.cert), tls_key_file=write("mail.key", old.key)
    )
    context = starttls(settings)
    assert isinstance(context, FollowingContext)
    trusting = ssl.create_default_context(cadata=authority.cert.decode())
    async with _server(context) as (port, _seen):
        assert await _connect(port, trusting) == "old"
        write("mail.crt", new.cert)
        assert await _connect(port, trusting) == "old"
        write("mail.key", new.key)
        assert await _connect(port, trusting) == "new"
