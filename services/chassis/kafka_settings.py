"""The Kafka cluster of a process, from its environment: the one settings class that everything with a Kafka client takes.

Both an embedded broker and a managed cluster are just an address here; TLS and SASL are settings, never code.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.chassis.tls_files import FollowingContext

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

_SERVER = r"(\[[0-9a-fA-F:]+\]|[^\s,:\[\]]+):[0-9]{1,5}"
Servers = Annotated[str, StringConstraints(strip_whitespace=True, pattern=rf"^{_SERVER}(\s*,\s*{_SERVER})*$")]
Prefix = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9._-]{0,100}$")]


class KafkaSettings(BaseSettings):
    """Reads KAFKA_* and CHAPAR_TOPIC_PREFIX; every field can also be given by its own name."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    bootstrap_servers: Annotated[Servers, Field(validation_alias="KAFKA_BOOTSTRAP_SERVERS")]
    """Addresses of brokers, `host:port`; several are separated by commas."""

    security_protocol: Annotated[Protocol, Field(validation_alias="KAFKA_SECURITY_PROTOCOL")] = "PLAINTEXT"
    """How connections to the brokers are protected."""
    sasl_mechanism: Annotated[Mechanism | None, Field(validation_alias="KAFKA_SASL_MECHANISM")] = None
    """SASL mechanism; required with SASL."""
    sasl_username: Annotated[str | None, Field(validation_alias="KAFKA_SASL_USERNAME")] = None
    """User name; required with SASL."""
    sasl_password: Annotated[SecretStr | None, Field(validation_alias="KAFKA_SASL_PASSWORD")] = None
    """Password; required with SASL."""

    ssl_cafile: Annotated[Path | None, Field(validation_alias="KAFKA_SSL_CAFILE")] = None
    """PEM file with the trusted certificate authorities; without it, the authorities of the system."""
    ssl_certfile: Annotated[Path | None, Field(validation_alias="KAFKA_SSL_CERTFILE")] = None
    """PEM file with the client's certificate, for clusters that require one (mTLS)."""
    ssl_keyfile: Annotated[Path | None, Field(validation_alias="KAFKA_SSL_KEYFILE")] = None
    """PEM file with the private key of KAFKA_SSL_CERTFILE, when that file does not contain it."""

    topic_prefix: Annotated[Prefix, Field(validation_alias="CHAPAR_TOPIC_PREFIX")] = "chapar."
    """Prefix of every topic, consumer group and transactional id, so that several installations can share a cluster."""

    @field_validator("security_protocol", "sasl_mechanism", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.uses_sasl:
            given = {
                "KAFKA_SASL_MECHANISM": self.sasl_mechanism,
                "KAFKA_SASL_USERNAME": self.sasl_username,
                "KAFKA_SASL_PASSWORD": self.sasl_password,
            }
            if lacking := [name for name, value in given.items() if value is None]:
                raise ValueError(f"KAFKA_SECURITY_PROTOCOL={self.security_protocol} also needs {', '.join(lacking)}")
        elif self.sasl_mechanism or self.sasl_username or self.sasl_password:
            raise ValueError("KAFKA_SASL_… is set, but KAFKA_SECURITY_PROTOCOL is not SASL_SSL or SASL_PLAINTEXT")
        if self.ssl_keyfile and not self.ssl_certfile:
            raise ValueError("KAFKA_SSL_KEYFILE is set without KAFKA_SSL_CERTFILE")
        if not self.uses_tls and (self.ssl_cafile or self.ssl_certfile):
            raise ValueError("KAFKA_SSL_… is set, but KAFKA_SECURITY_PROTOCOL is not SSL or SASL_SSL")
        return self

    @property
    def uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL_")

    @property
    def uses_tls(self) -> bool:
        return self.security_protocol.endswith("SSL")

    @classmethod
    def from_environment(cls) -> Self:
        """Read the settings. Raises pydantic's ValidationError, whose text names the variables but never shows their values."""
        return cls.model_validate({})

    def client_options(self) -> dict[str, Any]:
        """Return the options that every aiokafka client (consumer, producer, admin) needs to reach the cluster.

        A new dict, with a new TLS context, at each call. Raises OSError (for example ssl.SSLError) when a TLS file cannot be read.
        """
        options: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in self.bootstrap_servers.split(",")],
            "security_protocol": self.security_protocol,
        }
        if self.uses_tls:
            options["ssl_context"] = self._tls()
        if self.uses_sasl and self.sasl_password is not None:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password.get_secret_value()
        return options

    def _tls(self) -> ssl.SSLContext:
        # Strimzi renews the certificates of users and of the cluster: connections that come later use the new files.
        return FollowingContext.of_client(self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile)
