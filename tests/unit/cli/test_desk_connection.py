"""The desk's session with the router is as secure as its other calls: the token never leaves the machine in plain text."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app
from tests.fixtures.certificates import FILE, certificate

pytestmark = pytest.mark.timeout(30)


class _RefusesAll(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        def refuse(_requests: object, context: grpc.ServicerContext) -> Iterator[bytes]:
            context.set_code(grpc.StatusCode.PERMISSION_DENIED)
            context.set_details(f"refused over {context.auth_context().keys()}")
            return iter(())

        return grpc.stream_stream_rpc_method_handler(refuse)


def _desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **environment: str) -> str:
    """Run the command with these addresses; return what it says when it has failed."""
    settings = {"CHAPAR_HOME": str(tmp_path), "CHAPAR_TENANT": "demo", "CHAPAR_TOKEN": "a.b.c", **environment}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["agents", "desk", "sara"])
    assert done.exit_code == 1
    return " ".join(done.output.split())


def test_the_session_uses_the_authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A router that has TLS only answers the desk, here by refusing it."""
    certificate(tmp_path, "localhost")
    key, _, chain = (tmp_path / FILE).read_bytes().partition(b"-----BEGIN CERTIFICATE-----")
    own = b"-----BEGIN CERTIFICATE-----" + chain
    authority = tmp_path / "ca.crt"
    authority.write_bytes(own)
    server = grpc.server(ThreadPoolExecutor(2), [_RefusesAll()])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, own)]))
    server.start()
    try:
        address = f"localhost:{port}"
        said = _desk(monkeypatch, tmp_path, CHAPAR_ADDRESS=address, CHAPAR_TLS_CA_FILE=str(authority))
        assert "transport_security_type" in said
    finally:
        server.stop(0).wait()


def test_the_session_needs_tls_beyond_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also when only the router is elsewhere."""
    addresses = {"CHAPAR_ADDRESS_INGEST": "127.0.0.1:9", "CHAPAR_ADDRESS_ROUTER": "router.example:9000"}
    assert "set CHAPAR_TLS_CA_FILE" in _desk(monkeypatch, tmp_path, **addresses)
