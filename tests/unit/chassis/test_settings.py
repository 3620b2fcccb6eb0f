"""Settings are validated once, and a misspelt one never silently keeps its default."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from services.chassis.errors import ChaparError
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.settings import ServiceSettings
from services.chassis.tokens import JwtSettings

KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "broker:9092"}
TLS = {"CHAPAR_DESK_TLS_CERT_FILE": "/c", "CHAPAR_DESK_TLS_KEY_FILE": "/k"}


class DeskSettings(ServiceSettings):
    """Settings of a service in this test."""

    model_config = SettingsConfigDict(env_prefix="CHAPAR_DESK_")

    page_size: int = 20


@pytest.fixture(autouse=True)
def no_cluster_in_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """KafkaSettings reads missing values from the process's environment."""
    for name in [name for name in os.environ if name.startswith(("KAFKA_", "CHAPAR_"))]:
        monkeypatch.delenv(name)


def refused(env: dict[str, str] | None = None, file: Path | None = None) -> str:
    """Return the message with which settings are refused."""
    with pytest.raises(ChaparError) as caught:
        DeskSettings.load(file, {**KAFKA, **(env or {})})
    assert caught.value.reason == "SETTINGS_REFUSED"
    return caught.value.message


def test_the_environment_overrides_the_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    """A file for settings that stay, the environment for those that differ per process, arguments for the CLI."""
    file = tmp_path / "desk.yaml"
    file.write_text("page_size: 30\ngrpc_port: 5000\njwt: {issuer: file, audience: file}\n")
    env = {**KAFKA, "CHAPAR_DESK_GRPC_PORT": "6000", "CHAPAR_DESK_JWT__ISSUER": "env"}
    settings = DeskSettings.load(file, env, {"ops_port": 7000})
    assert (settings.page_size, settings.grpc_port, settings.ops_port) == (30, 6000, 7000)
    assert (settings.jwt.issuer, settings.jwt.audience, settings.jwt.leeway_s) == ("env", "file", 5)


def test_the_cluster_is_shared_and_a_service_may_differ() -> None:
    """KAFKA_* for all services, a service's own variable for that service."""
    env = {**KAFKA, "CHAPAR_TOPIC_PREFIX": "blue."}
    assert DeskSettings.load(env=env).kafka.topic_prefix == "blue."
    own = DeskSettings.load(env={**env, "CHAPAR_DESK_KAFKA__BOOTSTRAP_SERVERS": "other:1"})
    assert own.kafka.bootstrap_servers == "other:1"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("CHAPAR_DESK_GRPC_PROT", "CHAPAR_DESK_GRPC_PORT"),
        ("CHAPAR_DESK_PAGESIZE", "CHAPAR_DESK_PAGE_SIZE"),
        ("CHAPAR_DESK_JWT__SECRETFILE", "secret_file"),
        ("CHAPAR_DESK_KAFKA__BOOTSTRAP_SERVER", "bootstrap_servers"),
    ],
)
def test_an_unknown_variable_is_an_error_that_names_the_nearest(name: str, nearest: str) -> None:
    """At any depth, also where a nested class would ignore the variable."""
    message = refused({name: "1"})
    assert "no such setting" in message
    assert f"did you mean {nearest}?" in message


def test_an_unknown_key_in_the_file_is_an_error_too(tmp_path: Path) -> None:
    """The error names its path."""
    file = tmp_path / "desk.yaml"
    file.write_text("jwt:\n  isuer: x\n")
    assert refused(file=file) == "jwt.isuer: no such setting; did you mean issuer?"


def test_variables_that_kubernetes_adds_are_ignored() -> None:
    """A Service called chapar-desk adds these variables to every pod of its namespace."""
    env = {
        "CHAPAR_DESK_SERVICE_HOST": "10.0.0.1",
        "CHAPAR_DESK_SERVICE_PORT": "50051",
        "CHAPAR_DESK_SERVICE_PORT_GRPC": "50051",
        "CHAPAR_DESK_PORT": "tcp://10.0.0.1:50051",
        "CHAPAR_DESK_PORT_50051_TCP_ADDR": "10.0.0.1",
    }
    assert DeskSettings.load(env={**KAFKA, **env}).grpc_port == 0


def test_several_mistakes_are_reported_at_once() -> None:
    """The message has one sentence for each, with the names that people set."""
    message = refused({"CHAPAR_DESK_GRPC_PORT": "many", "CHAPAR_DESK_LOG_LEVEL": "LOUD"})
    assert "grpc_port (CHAPAR_DESK_GRPC_PORT)" in message
    assert "log_level (CHAPAR_DESK_LOG_LEVEL)" in message


def test_a_missing_cluster_is_named_by_its_variable() -> None:
    """The message does not name our internal path."""
    with pytest.raises(ChaparError) as caught:
        DeskSettings.load(env={})
    assert caught.value.message == "KAFKA_BOOTSTRAP_SERVERS: Field required"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"a: [1, 2", "is not YAML at line"),
        (b"- one\n- two\n", "must be a mapping"),
        (b"\xff\xfe", "is not YAML"),
        (b"a: " + b"[" * 400, "is not YAML"),
        (b"x: " + b"y" * (1 << 20), "larger than 1 MiB"),
    ],
)
def test_a_broken_file_is_one_sentence_with_its_name(tmp_path: Path, content: bytes, part: str) -> None:
    """A stack trace is never shown."""
    file = tmp_path / "desk.yaml"
    file.write_bytes(content)
    message = refused(file=file)
    assert part in message
    assert str(file) in message


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    """The sentence names the file."""
    assert "cannot be read" in refused(file=tmp_path / "none.yaml")


def test_json_in_a_variable_is_parsed_and_invalid_json_is_refused() -> None:
    """For settings that are maps or lists."""
    files = {f"CHAPAR_DESK_TLS_{n}_FILE": f"/{n}" for n in ("CERT", "KEY", "CA")}
    env = {**KAFKA, **files, "CHAPAR_DESK_GRPC_PEERS": '{"*": ["dns:router"]}'}
    assert DeskSettings.load(env=env).grpc_peers == {"*": ("dns:router",)}
    assert "CHAPAR_DESK_GRPC_PEERS: looks like JSON" in refused({"CHAPAR_DESK_GRPC_PEERS": "{oops"})


@pytest.mark.parametrize(
    "env",
    [
        {"CHAPAR_DESK_TLS_CERT_FILE": "/c"},
        {"CHAPAR_DESK_TLS_CA_FILE": "/c"},
        {"CHAPAR_DESK_GRPC_PEERS": '{"*": ["dns:x"]}'},
        {"CHAPAR_DESK_JWT__SECRET_FILE": "/a", "CHAPAR_DESK_JWT__JWKS_FILE": "/b"},
        {"CHAPAR_DESK_JWT": "text", "CHAPAR_DESK_JWT__ISSUER": "x"},
        {**TLS, "CHAPAR_DESK_INSECURE_DEV": "true"},
        {**TLS, "CHAPAR_DESK_TLS_CA_FILE": "/a", "CHAPAR_DESK_GRPC_PEERS": '{"*": ["router"]}'},
        {**TLS, "CHAPAR_DESK_TLS_CA_FILE": "/a", "CHAPAR_DESK_GRPC_PEERS": '{"*": ["dns:a", "email:b"]}'},
    ],
)
def test_settings_that_contradict_each_other_are_refused(env: dict[str, str]) -> None:
    """The refusal comes before any server listens."""
    assert refused(env)


def test_settings_are_frozen_and_read_nothing_when_constructed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test does not depend on the shell that started it."""
    monkeypatch.setenv("CHAPAR_DESK_GRPC_PORT", "6000")
    settings = DeskSettings(kafka=KafkaSettings(bootstrap_servers="a:1"), jwt=JwtSettings())
    assert settings.grpc_port == 0
    with pytest.raises(ValidationError):
        settings.grpc_port = 1


def test_only_loopback_in_development_goes_without_tls() -> None:
    """The sentence names the variables to set."""
    kafka = KafkaSettings(bootstrap_servers="a:1")
    DeskSettings(kafka=kafka, insecure_dev=True).require_secure_or_loopback()
    DeskSettings(kafka=kafka, tls_cert_file=Path("/c"), tls_key_file=Path("/k")).require_secure_or_loopback()
    with pytest.raises(ChaparError, match="CHAPAR_DESK_TLS_CERT_FILE"):
        DeskSettings(kafka=kafka).require_secure_or_loopback()
    with pytest.raises(ChaparError, match="CHAPAR_DESK_GRPC_HOST"):
        DeskSettings(kafka=kafka, insecure_dev=True, grpc_host="10.0.0.9").require_secure_or_loopback()
