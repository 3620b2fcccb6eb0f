"""`helm test` of the chart: the script of the image that calls every replica, and the pod that runs it."""

import runpy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.architecture.deployed import DEPLOY, RENDERED, SETTINGS, containers, workloads, yaml_documents

REACH = runpy.run_path(str(DEPLOY / "docker/reach.py"))
main: Callable[[Sequence[str]], int] = REACH["main"]
make_certificates: Callable[[Path, Sequence[str], datetime], None] = runpy.run_path(
    str(DEPLOY / "docker/dev_certificates.py")
)["make_certificates"]


class _AcceptsAll(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        return grpc.unary_unary_rpc_method_handler(lambda request, _: request)


@contextmanager
def _server(directory: Path, *handlers: grpc.GenericRpcHandler, mutual: bool = False) -> Iterator[int]:
    """Serve with the certificate of `router`, which has the names router, localhost and 127.0.0.1; yield the port."""
    make_certificates(directory, ["router"], datetime.now(UTC))
    place = directory / "router"
    (place / "ca.crt").write_bytes((directory / "ca.crt").read_bytes())
    pair = ((place / "tls.key").read_bytes(), (place / "tls.crt").read_bytes())
    authority = (directory / "ca.crt").read_bytes()
    credentials = grpc.ssl_server_credentials([pair], authority if mutual else None, require_client_auth=mutual)
    server = grpc.server(ThreadPoolExecutor(1), [*handlers])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()


def test_a_replica_that_refuses_the_call_is_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Name, certificate and gRPC are right; the call itself is not known to the server, or not allowed."""
    with _server(tmp_path) as port:
        assert main([str(tmp_path / "router"), f"router=127.0.0.1:{port}"]) == 0
    assert capsys.readouterr().out == f"router at 127.0.0.1:{port}: answers\n"


def test_the_clients_certificate_is_shown_where_services_want_one(tmp_path: Path) -> None:
    """With it the call arrives, and with the authority alone it does not."""
    with _server(tmp_path, mutual=True) as port:
        assert main([str(tmp_path / "router"), f"router=127.0.0.1:{port}"]) == 0
        assert main([str(tmp_path), f"router=127.0.0.1:{port}"]) == 1


def test_a_certificate_without_the_name_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The other services would refuse it too. One wrong service fails the test, and the others are called all the same."""
    with _server(tmp_path) as port:
        wrong = f"router=ip6-localhost.invalid:{port}"
        assert main([str(tmp_path), wrong, f"sla=127.0.0.1:{port}"]) == 1
        said = capsys.readouterr().out.splitlines()
        assert "the name has no address" in said[0]
        assert said[1].endswith(": answers")
        call: Callable[[str, str, grpc.ChannelCredentials], str] = REACH["call"]
        credentials = REACH["credentials_in"](tmp_path)
        assert call(f"127.0.0.1:{port}", "elsewhere", credentials).startswith("UNAVAILABLE")
        assert call(f"127.0.0.1:{port}", "a.router", credentials) == ""


def test_a_replica_that_accepts_a_call_without_a_token_is_found(tmp_path: Path) -> None:
    """A service that lets everyone in is worse than one that cannot be reached."""
    with _server(tmp_path, _AcceptsAll()) as port:
        assert main([str(tmp_path), f"router=127.0.0.1:{port}"]) == 1


def test_a_directory_alone_is_not_enough(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing would be called, and the test would pass."""
    assert main(["/etc/chapar/tls"]) == 2
    assert "reach.py" in capsys.readouterr().err


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.name)
def test_the_chart_has_a_test_that_calls_every_service(path: Path) -> None:
    """Helm runs the pod only when it is asked to, with the script of the image, for the names of the headless Services."""
    (pod,) = [each for each in workloads(path) if each["kind"] == "Pod"]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (container,) = containers(pod)
    python, script, directory, *targets = container["command"]
    assert (python, script) == ("python", "/opt/chapar/reach.py")
    assert directory == container["volumeMounts"][0]["mountPath"]
    headless = {
        f"{d['metadata']['name']}.{d['metadata']['namespace']}.svc.cluster.local:{d['spec']['ports'][0]['port']}"
        for d in yaml_documents(path)
        if d["kind"] == "Service" and d["spec"].get("clusterIP") == "None"
    }
    called = dict(target.split("=") for target in targets)
    assert called.keys() == SETTINGS.keys()
    assert set(called.values()) <= headless
    assert "deploy/docker/reach.py" in (DEPLOY / "docker/Dockerfile").read_text(encoding="utf-8")
