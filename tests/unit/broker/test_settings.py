"""Settings of the embedded broker, and of programs that use Kafka."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.chassis.kafka_settings import KafkaSettings
from services.cli.local.broker.settings import CHECKOUT, BrokerSettings

SASL = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "scram-sha-512",
    "KAFKA_SASL_USERNAME": "someone",
    "KAFKA_SASL_PASSWORD": "geheim-7",
}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove this machine's own settings."""
    names = ["BOOTSTRAP_SERVERS", "SECURITY_PROTOCOL", *(f"SASL_{x}" for x in ("MECHANISM", "USERNAME", "PASSWORD"))]
    for name in [*names, *(f"SSL_{x}" for x in ("CAFILE", "CERTFILE", "KEYFILE"))]:
        monkeypatch.delenv(f"KAFKA_{name}", raising=False)
    for name in ("HOME", "CACHE_DIR", "MAVEN_URL", "KAFKA_HEAP", "KAFKA_PORT", "KAFKA_FULL_COMPILER", "TOPIC_PREFIX"):
        monkeypatch.delenv(f"CHAPAR_{name}", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def given(monkeypatch: pytest.MonkeyPatch, **environment: str) -> KafkaSettings:
    for name, value in {"KAFKA_BOOTSTRAP_SERVERS": "one:9092, two:9092", **environment}.items():
        monkeypatch.setenv(name, value)
    return KafkaSettings.from_environment()


def test_a_plain_cluster_needs_only_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prefix has a default; client options contain the servers and no TLS."""
    settings = given(monkeypatch)

    assert settings.topic_prefix == "chapar."
    assert settings.client_options() == {
        "bootstrap_servers": ["one:9092", "two:9092"],
        "security_protocol": "PLAINTEXT",
    }


def test_sasl_over_tls_becomes_client_options_and_the_password_stays_out_of_sight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The options contain the password, since the client needs it; no repr, no str, no dump does."""
    settings = given(monkeypatch, **SASL)
    options = settings.client_options()

    context = options.pop("ssl_context")
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert options == {
        "bootstrap_servers": ["one:9092", "two:9092"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "someone",
        "sasl_plain_password": "geheim-7",
    }
    assert "geheim" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({**SASL, "KAFKA_SASL_PASSWORD": ""}, "also needs KAFKA_SASL_PASSWORD"),
        ({**SASL, "KAFKA_SECURITY_PROTOCOL": "SSL"}, "is not SASL_SSL"),
        ({**SASL, "KAFKA_SASL_MECHANISM": "GSSAPI"}, "PLAIN"),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "SASL_SSL"),
        ({"KAFKA_SSL_CAFILE": "/ca.pem"}, "is not SSL"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_KEYFILE": "/key.pem"}, "without KAFKA_SSL_CERTFILE"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "no port"}, "KAFKA_BOOTSTRAP_SERVERS"),
        ({"KAFKA_BOOTSTRAP_SERVERS": ""}, "KAFKA_BOOTSTRAP_SERVERS"),
        ({"CHAPAR_TOPIC_PREFIX": "با فاصله"}, "CHAPAR_TOPIC_PREFIX"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], complaint: str
) -> None:
    """The refusal comes at the start of a process, and does not show the values: they may be secrets."""
    with pytest.raises(ValidationError, match=complaint) as refused:
        given(monkeypatch, **environment)
    assert "geheim" not in str(refused.value)


def test_a_missing_authority_file_is_an_error_and_not_an_insecure_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error is raised when the options are requested."""
    settings = given(monkeypatch, KAFKA_SECURITY_PROTOCOL="ssl", KAFKA_SSL_CAFILE=str(tmp_path / "ca.pem"))
    with pytest.raises(FileNotFoundError):
        settings.client_options()


def test_settings_do_not_change() -> None:
    """Settings are frozen: code that wants another prefix copies them."""
    settings = KafkaSettings(bootstrap_servers="one:9092")
    with pytest.raises(ValidationError):
        settings.topic_prefix = "other."
    assert settings.model_copy(update={"topic_prefix": "other."}).topic_prefix == "other."


def test_each_copy_has_its_home_and_all_share_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default the home is below the project, and the cache is below the user's cache directory."""
    settings = BrokerSettings()
    assert settings.kafka_home == CHECKOUT / ".chapar" / "kafka"
    assert settings.cache == Path.home() / ".cache" / "chapar"
    assert (CHECKOUT / "pyproject.toml").exists()

    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert BrokerSettings().cache == Path("/x/chapar")
    monkeypatch.setenv("CHAPAR_CACHE_DIR", "/y")
    monkeypatch.setenv("CHAPAR_HOME", "/z")
    assert BrokerSettings().cache == Path("/y")
    assert BrokerSettings().kafka_home == Path("/z/kafka")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHAPAR_MAVEN_URL", "ftp://x"),
        ("CHAPAR_KAFKA_HEAP", "much"),
        ("CHAPAR_KAFKA_HEAP", "1g -agentlib:x"),
        ("CHAPAR_KAFKA_PORT", "80"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The refusal comes before anything starts."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        BrokerSettings()
