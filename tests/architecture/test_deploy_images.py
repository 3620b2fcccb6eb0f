"""The image, compose.yaml and the development certificates match the services."""

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from services.chassis.build import version
from services.chassis.grpc.client import ClientTls, grpc_channel
from services.chassis.grpc.tls import CertificateFiles
from services.cli.local.stack import EXAMPLE
from tests.architecture.deployed import DEPLOY, RENDERED, SETTINGS, composed, containers, workloads, yaml_documents


def _compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml_documents(DEPLOY / "compose.yaml")[0]
    return loaded


def test_services_accept_the_environment_that_compose_gives() -> None:
    """As on Kubernetes, every variable is a setting, TLS is complete, and all files are in a mounted directory."""
    services = composed({})["services"]
    for name, settings in SETTINGS.items():
        env = {key: str(value) for key, value in services[name]["environment"].items()}
        loaded = settings.load(env=env)
        loaded.model_copy(update={"grpc_host": "0.0.0.0"}).require_secure_or_loopback()
        mounts = {volume.split(":")[1] for volume in services[name]["volumes"]}
        for value in (value for value in env.values() if value.startswith("/")):
            assert any(value.startswith(mount) for mount in mounts), f"{name}: {value}"


def test_compose_waits_for_services_that_exist() -> None:
    """Otherwise a misspelt dependency would only be found at the start."""
    services = _compose()["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= services.keys(), name
    # The broker has the version that the tests run against.
    versions = re.findall(r"kafka_2\.13</artifactId>\s*<version>([\d.]+)<", (DEPLOY / "kafka/pom.xml").read_text())
    assert services["kafka"]["image"].endswith(f":-{versions[0]}}}")


def _made(directory: Path) -> Sequence[Path]:
    script = DEPLOY / "docker/dev_certificates.py"
    run = subprocess.run(
        [sys.executable, str(script), str(directory), *SETTINGS], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    return sorted(path for path in directory.rglob("*") if path.is_file())


def test_development_secrets_are_made_once(tmp_path: Path) -> None:
    """A second start changes nothing, only the owner can read keys, and certificates that expire soon are renewed."""
    files = _made(tmp_path)
    before = {path: path.read_bytes() for path in files}
    assert len(before) == 1 + 3 + 2 * 3 + 2 * len(SETTINGS)
    assert {path.stat().st_mode & 0o777 for path in files if not path.name.endswith(("ca.crt", ".pub.pem"))} == {0o600}
    assert {path: path.read_bytes() for path in _made(tmp_path)} == before
    module = runpy.run_path(str(DEPLOY / "docker/dev_certificates.py"))
    module["make_certificates"](tmp_path, list(SETTINGS), datetime.now(UTC) - timedelta(days=84))
    old = (tmp_path / "router/tls.crt").read_bytes()
    _made(tmp_path)
    renewed = x509.load_pem_x509_certificate((tmp_path / "router/tls.crt").read_bytes())
    assert old != (tmp_path / "router/tls.crt").read_bytes()
    assert renewed.not_valid_after_utc - datetime.now(UTC) > timedelta(days=80)
    key = tmp_path / "secrets/keys/chapar.pem"
    assert key.read_bytes() == before[key]


def test_a_volume_of_an_earlier_version_gets_the_secrets_that_it_lacks(tmp_path: Path) -> None:
    """Missing secrets are added once to the file that the services read, and earlier lines stay unchanged."""
    file = tmp_path / "channels.env"
    file.write_text("CHAPAR_DEMO_WEBCHAT_SECRET=old\nCHAPAR_SECRET_DEMO__EMAIL_SECRET=kept")
    _made(tmp_path)
    given = _entrypoint(tmp_path, ["ingest"], {"CHAPAR_ENV_FILE": str(file)})
    assert given["CHAPAR_SECRET_DEMO__EMAIL_SECRET"] == "kept"
    named = set(re.findall(r"env:(CHAPAR_SECRET_DEMO__[A-Z_]+)", EXAMPLE.read_text(encoding="utf-8")))
    assert {name for name in named if not name.endswith("_URL")} <= given.keys()
    written = file.read_bytes()
    _made(tmp_path)
    assert file.read_bytes() == written


async def test_services_authenticate_each_other_with_development_certificates(tmp_path: Path) -> None:
    """A call with the certificates of both sides succeeds by the compose name, and another service's name is refused."""
    _made(tmp_path)
    place = tmp_path / "router"
    authority = tmp_path / "ca.crt"
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health_aio.HealthServicer(), server)
    files = CertificateFiles(place / "tls.crt", place / "tls.key", authority)
    port = server.add_secure_port("127.0.0.1:0", files.credentials())
    await server.start()
    try:
        own = (tmp_path / "sla/tls.crt", tmp_path / "sla/tls.key")
        async with grpc_channel(f"127.0.0.1:{port}", tls=ClientTls(authority, *own, "router")) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        async with grpc_channel(f"127.0.0.1:{port}", tls=ClientTls(authority, *own, "feedback")) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        await server.stop(0)


def _entrypoint(tmp_path: Path, arguments: Sequence[str], env: Mapping[str, str]) -> dict[str, str]:
    """Run the image's entry point with a `python` that prints its environment instead of starting a service."""
    probe = tmp_path / "probe"
    probe.write_text(f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ)]))\n")
    probe.chmod(0o755)
    code = (
        "import runpy, sys; sys.executable = sys.argv[1]; sys.argv = sys.argv[2:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(probe), str(DEPLOY / "docker/entrypoint.py"), *arguments]
    run = subprocess.run(command, env=dict(env), capture_output=True, text=True, check=True)
    argv, environment = json.loads(run.stdout)
    assert argv == ["-m", f"services.{arguments[0]}"]
    return {str(key): str(value) for key, value in environment.items()}


@pytest.mark.parametrize("service", SETTINGS)
def test_the_image_listens_where_the_manifests_say(service: str, tmp_path: Path) -> None:
    """The ports of the entry point are the chart's container ports, and its variables are settings."""
    given = _entrypoint(tmp_path, [service], {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"})
    SETTINGS[service].load(env=given)
    set_ports = {int(value) for name, value in given.items() if name.endswith("_PORT")}
    for path in RENDERED:
        container = next(c for w in workloads(path) for c in containers(w) if c["name"] == service)
        assert {port["containerPort"] for port in container["ports"]} == set_ports


def test_the_image_takes_secrets_from_a_file_where_nothing_else_sets_them(tmp_path: Path) -> None:
    """CHAPAR_ENV_FILE gives secrets that are created when the containers start; other variables take precedence."""
    file = tmp_path / "channels.env"
    file.write_text("# secrets\nA_SECRET=with=equals\nGIVEN=from the file\n")
    given = _entrypoint(tmp_path, ["ingest"], {"CHAPAR_ENV_FILE": str(file), "GIVEN": "from outside"})
    assert (given["A_SECRET"], given["GIVEN"]) == ("with=equals", "from outside")
    assert "CHAPAR_ENV_FILE" not in given


def test_no_committed_file_names_a_mirror() -> None:
    """Packages come from the registries that pip and npm are configured for; their addresses belong to the machine."""
    registry = re.compile(r"registry\.npmjs|pypi\.org|files\.pythonhosted")
    assert [path for path in _text_files() if registry.search(path.read_text(encoding="utf-8"))] == []


def _text_files() -> Iterator[Path]:
    ours = ("check", "compose.yaml", "helm", "strimzi", "prometheus", "alertmanager", "grafana", "runbooks", "docker")
    for name in ours:
        place = DEPLOY / name
        yield from (p for p in place.rglob("*") if p.is_file() and p.suffix != ".pyc") if place.is_dir() else (place,)


def test_the_label_names_the_version_of_the_project() -> None:
    """Tools that list images show it."""
    label = re.findall(r'image\.version="([^"]*)"', (DEPLOY / "docker/Dockerfile").read_text(encoding="utf-8"))
    assert label == [version()]


DIGEST = "sha256:" + "0123456789abcdef" * 4


def _build(tmp_path: Path, *arguments: str) -> tuple[int, str, list[str]]:
    """Build with a `docker` that only records its arguments. Return exit code, error output, and these arguments."""
    asked = tmp_path / "asked"
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\nfor each in "$@"; do echo "$each"; done >{asked}\n')
    docker.chmod(0o755)
    command = [sys.executable, str(DEPLOY / "docker/build.py"), *arguments]
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return run.returncode, run.stderr, asked.read_text().splitlines() if asked.exists() else []


@pytest.mark.parametrize("mirror", ["", "mirror.example:5000/library/"])
def test_the_image_is_built_on_base_images_that_cannot_change(tmp_path: Path, mirror: str) -> None:
    """Both base images are given by digest, from any registry, and the Dockerfile uses exactly these two."""
    images = runpy.run_path(str(DEPLOY / "docker/build.py"))["defaults"]()
    pinned = [f"{mirror}{image}@{DIGEST}" for image in images.values()]
    code, said, asked = _build(tmp_path, "chapar:1", *pinned)
    assert (code, said) == (0, "")
    assert {f"--build-arg={name}={image}" for name, image in zip(images, pinned, strict=True)} <= set(asked)
    dockerfile = (DEPLOY / "docker/Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE) == [f"${{{name}}}" for name in images]


@pytest.mark.parametrize(
    ("tag", "build", "complaint"),
    [
        ("chapar:1", "", "BUILD_IMAGE is not set"),
        ("chapar:1", "python:3.11.14-bookworm", "write it as"),
        ("chapar:1", "python:3.11.14-bookworm@sha256:123", "write it as"),
        ("chapar:1", f"python:3.11.14-bookworm@{DIGEST.upper()}", "write it as"),
        ("chapar:1", f"python:latest@{DIGEST}", "the Dockerfile is made for"),
        ("chapar:1", f"pypy:3.11.14-bookworm@{DIGEST}", "write it as"),
        ("chapar:1", f"python:3.11.14-bookworm@{DIGEST} --network=host", "write it as"),
        ("", f"python:3.11.14-bookworm@{DIGEST}", "TAG is not set"),
    ],
)
def test_a_base_image_that_may_change_is_refused(tmp_path: Path, tag: str, build: str, complaint: str) -> None:
    """Nothing is built from a tag without a digest, from an invalid digest or from another image."""
    code, said, asked = _build(tmp_path, tag, build, f"python:3.11.14-slim-bookworm@{DIGEST}")
    assert (code, asked) == (2, [])
    assert complaint in said
