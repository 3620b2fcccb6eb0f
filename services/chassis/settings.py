"""Settings: read once, validated once, frozen; unknown settings are refused.

Precedence, lowest first: defaults, the YAML file given by `--config`, the environment, arguments in code. A service's
variables start with its prefix (`CHAPAR_INGEST_GRPC_PORT`); `__` goes one level down
(`CHAPAR_INGEST_JWT__SECRET_FILE`); a value that starts with `[` or `{` is JSON. A variable with the prefix that is not the
name of a setting is an error, because a misspelt setting would otherwise silently keep its default. Exempt are the
variables that Kubernetes and Docker add for a Service of the same name (`CHAPAR_INGEST_PORT_50051_TCP_ADDR`).

Constructing a settings class reads nothing from the environment: only `load` does, from the mapping that it is given.
(`KafkaSettings` is the exception: it reads values that it is not given from the process's KAFKA_* variables.)
"""

import argparse
import difflib
import json
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from services.chassis.build import version
from services.chassis.errors import ChaparError, ErrorKind, FieldViolation
from services.chassis.grpc_settings import PEER_PREFIXES, GrpcLimits
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.lane_settings import LaneSettings
from services.chassis.metrics_settings import MetricsSettings
from services.chassis.reasons import Reason
from services.chassis.tokens import JwtSettings

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
_MAX_FILE_BYTES = 1 << 20
_ORCHESTRATOR = re.compile(
    r"port|port_\d+_(tcp|udp|sctp)(_(proto|port|addr))?|service_host|service_port(_[a-z0-9_]+)?|name|env_.*"
)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class ServiceSettings(BaseSettings):
    """The settings that every service needs. A service's own class adds its fields and sets `env_prefix`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="CHAPAR_", hide_input_in_errors=True)

    instance: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        max_length=128,
        description="Name of this process among its replicas; stable across restarts (in Kubernetes the pod's name).",
    )
    grpc_host: str = Field(default="127.0.0.1", description="Address that gRPC listens on.")
    grpc_port: int = Field(default=0, ge=0, le=65535, description="Port of gRPC; 0 takes a free one.")
    health_port: int = Field(
        default=0, ge=0, le=65535, description="Plaintext port of gRPC health, on ops_host; 0 takes a free one."
    )
    ops_host: str = Field(default="127.0.0.1", description="Address of /metrics, /healthz, /readyz, /startupz.")
    ops_port: int = Field(default=0, ge=0, le=65535, description="Port of /metrics and the probes; 0 takes a free one.")
    log_level: LogLevel = Field(default="INFO", description="Lowest level that is logged.")
    log_human: bool = Field(default=False, description="Logs for a terminal instead of JSON.")
    insecure_dev: bool = Field(
        default=False,
        description="Development: gRPC without TLS on loopback, with reflection. Tokens are still checked.",
    )
    tls_cert_file: Path | None = Field(default=None, description="PEM certificate chain of this service.")
    tls_key_file: Path | None = Field(default=None, description="PEM private key of the certificate.")
    tls_ca_file: Path | None = Field(
        default=None, description="PEM certificates that peers must be signed by; asks callers for theirs (mTLS)."
    )
    grpc_peers: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="With mTLS: names that may call ('dns:…', 'uri:…', or 'cn:…' of certificates without alternative "
        "names), by '/pkg.Service/Method', 'pkg.Service' or '*'. Empty: any.",
    )
    grpc_limits: GrpcLimits = Field(default_factory=GrpcLimits, description="Slots, connections and streams.")
    grpc_max_request_bytes: int = Field(default=1 << 20, ge=1024, le=16 << 20, description="Largest gRPC request.")
    grpc_max_message_bytes: int = Field(default=4 << 20, ge=1024, le=64 << 20, description="Largest gRPC response.")
    secrets_dir: Path | None = Field(
        default=None,
        description="Directory with a directory for each tenant; `file:` in a tenant's configuration reads below it. Empty: no files.",
    )
    otlp_endpoint: str = Field(default="", description="OTLP/gRPC collector for traces (http://host:4317); empty: off.")
    trace_ratio: float = Field(default=1.0, ge=0, le=1, description="Share of new traces that are recorded.")
    drain_s: float = Field(
        default=0.5,
        ge=0,
        le=300,
        description="Seconds between reporting NOT_SERVING and refusing calls, so that clients can move.",
    )
    stop_grace_s: float = Field(default=10, ge=0, le=300, description="Seconds that calls in progress get to finish.")
    lane: LaneSettings = Field(
        default_factory=LaneSettings, description="Membership in the groups of the lanes: how soon partitions move."
    )
    metrics: MetricsSettings = Field(default_factory=MetricsSettings, description="Labels and bounds of the metrics.")
    jwt: JwtSettings = Field(default_factory=JwtSettings, description="How callers' tokens are verified.")
    kafka: KafkaSettings = Field(description="The cluster: by default from KAFKA_* and CHAPAR_TOPIC_PREFIX.")

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file go together: set both or neither")
        if self.tls_ca_file is not None and self.tls_cert_file is None:
            raise ValueError("tls_ca_file needs tls_cert_file and tls_key_file")
        if self.grpc_peers and self.tls_ca_file is None:
            raise ValueError("grpc_peers are names in callers' certificates: set tls_ca_file too")
        if untyped := [n for names in self.grpc_peers.values() for n in names if not n.startswith(PEER_PREFIXES)]:
            raise ValueError(f"grpc_peers: {untyped[0]!r} has no type: write dns:, uri: or cn: before the name")
        if self.insecure_dev and self.tls_cert_file is not None:
            raise ValueError("insecure_dev is for development without TLS: unset it, or the TLS files")
        return self

    @property
    def tls(self) -> bool:
        """Whether gRPC uses TLS."""
        return self.tls_cert_file is not None

    def require_secure_or_loopback(self) -> None:
        """Raise INVALID INSECURE_GRPC unless there is TLS, or this is development on loopback."""
        if self.tls:
            return
        prefix = self.model_config.get("env_prefix", "")
        if not self.insecure_dev:
            raise ChaparError(
                ErrorKind.INVALID,
                Reason.INSECURE_GRPC,
                f"gRPC without TLS is refused: set {prefix}TLS_CERT_FILE and {prefix}TLS_KEY_FILE, "
                f"or {prefix}INSECURE_DEV=true for development on this machine alone.",
            )
        if self.grpc_host not in _LOOPBACK:
            raise ChaparError(
                ErrorKind.INVALID,
                Reason.INSECURE_GRPC,
                f"gRPC without TLS listens on loopback only, not on {self.grpc_host}: "
                f"set {prefix}GRPC_HOST=127.0.0.1, or give TLS files.",
            )

    def require_keys_that_only_verify(self) -> None:
        """Raise INVALID SHARED_KEY for keys that can sign or are fetched without TLS, unless this is development on loopback."""
        reason = self.jwt.development_only()
        refusal = self.jwt.refusal()
        if reason and not refusal and not (self.insecure_dev and self.grpc_host in _LOOPBACK):
            refusal = f"{reason}: accepted with insecure_dev and gRPC on loopback only"
        if refusal:
            raise ChaparError(ErrorKind.INVALID, Reason.SHARED_KEY, refusal)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use arguments only: no test depends on the shell that started it."""
        return (init_settings,)

    @classmethod
    def load(
        cls,
        config_file: Path | None = None,
        env: Mapping[str, str] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return settings from file and environment. Raises INVALID SETTINGS_REFUSED with one sentence for each mistake."""
        env = os.environ if env is None else env
        prefix = cls.model_config.get("env_prefix", "")
        values = _read_yaml(config_file) if config_file is not None else {}
        # The cluster's own variables (KAFKA_BOOTSTRAP_SERVERS…) are shared by all services; a service's variables override them.
        values.setdefault("kafka", {})
        for name, field in KafkaSettings.model_fields.items():
            if env.get(str(field.validation_alias)):
                _merge(values, {"kafka": {name: env[str(field.validation_alias)]}})
        _merge(values, _env_values(cls, prefix, env))
        _merge(values, dict(overrides or {}))
        # Nested classes of libraries may ignore unknown settings; here every class refuses them.
        unknown = list(_unknown(cls, values, ()))
        if unknown:
            raise _refused(unknown)
        try:
            return cls(**values)
        except ValidationError as error:
            raise _refusal(cls, prefix, error) from error

    @classmethod
    def from_args(cls, argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> Self:
        """Return the settings of a service's `__main__`: `--config FILE`, its own options (`add_options`) and the environment.

        `--version` prints it and exits.
        """
        parser = argparse.ArgumentParser(description=(cls.__doc__ or "").strip().splitlines()[0])
        parser.add_argument("--config", type=Path, default=None, metavar="FILE", help="YAML file with settings")
        parser.add_argument("--version", action="version", version=version())
        cls.add_options(parser)
        given = vars(parser.parse_args(argv))
        file = given.pop("config")
        return cls.load(file, env, {name: value for name, value in given.items() if value is not None})

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Add options that are also settings, under their names; they override file and environment. None by default."""


def _env_values(cls: type[BaseSettings], prefix: str, env: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    unknown: list[FieldViolation] = []
    for name in sorted(env):
        if not name.upper().startswith(prefix):
            continue
        path = name[len(prefix) :].lower().split("__")
        if path[0] not in cls.model_fields:
            if not _ORCHESTRATOR.fullmatch(path[0]):
                unknown.append(FieldViolation(name, f"no such setting{_nearest(path[0], cls.model_fields, prefix)}"))
            continue
        at = values
        for part in path[:-1]:
            deeper = at.setdefault(part, {})
            if not isinstance(deeper, dict):
                raise _refused([FieldViolation(name, "both a whole value and a part of it are set")])
            at = deeper
        at[path[-1]] = _parsed(name, env[name])
    if unknown:
        raise _refused(unknown)
    return values


def _parsed(name: str, text: str) -> Any:
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refused([FieldViolation(name, f"looks like JSON and is not ({error})")]) from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _refused([FieldViolation(str(path), f"cannot be read: {error.strerror}")]) from error
    if len(raw) > _MAX_FILE_BYTES:
        raise _refused([FieldViolation(str(path), "is larger than 1 MiB, so it is not a settings file")])
    try:
        values = YAML(typ="safe", pure=True).load(raw.decode())
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise _refused([FieldViolation(str(path), f"is not YAML{where}")]) from error
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise _refused([FieldViolation(str(path), "must be a mapping of settings")])
    return values


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        below = base.get(key)
        if isinstance(below, dict) and isinstance(value, Mapping):
            _merge(below, value)
        else:
            base[key] = value


def _refusal(cls: type[BaseSettings], prefix: str, error: ValidationError) -> ChaparError:
    violations = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        path = [str(part) for part in item["loc"]]
        name = ".".join(path) or "settings"
        if len(path) > 1 and path[1].isupper():
            name = path[1]  # a setting with its own variable, shared by all services
        elif path and path[0] in cls.model_fields:
            name += f" ({prefix}{'__'.join(path).upper()})"
        text = item["msg"].removeprefix("Value error, ")
        violations.append(FieldViolation(name, text))
    return _refused(violations)


def _unknown(model: type[BaseModel], values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[FieldViolation]:
    for key, value in values.items():
        field = model.model_fields.get(key)
        if field is None:
            hint = _nearest(str(key), model.model_fields, "")
            yield FieldViolation(".".join((*path, str(key))), f"no such setting{hint}")
            continue
        inner = field.annotation
        if isinstance(value, Mapping) and isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _unknown(inner, value, (*path, key))


def _nearest(name: str, known: Iterable[str], prefix: str) -> str:
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    if not found:
        return ""
    return f"; did you mean {(prefix + found[0]).upper() if prefix else found[0]}?"


def _refused(violations: list[FieldViolation]) -> ChaparError:
    text = "; ".join(f"{v.field}: {v.description}" for v in violations)
    return ChaparError(ErrorKind.INVALID, Reason.SETTINGS_REFUSED, text, violations=tuple(violations))
