"""The settings of processes: the fields of the pydantic classes, with the variables that set them."""

import socket
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from services.chassis.kafka_settings import KafkaSettings
from services.chassis.outgoing_settings import OutgoingSettings
from services.chassis.settings import ServiceSettings
from services.cli.local.broker.settings import BrokerSettings
from services.feedback.settings import FeedbackSettings
from services.ingest.settings import IngestSettings
from services.router.settings import RouterSettings
from services.sla.settings import SlaSettings

SERVICES: Final = (IngestSettings, RouterSettings, SlaSettings, FeedbackSettings)
COMMON: Final = frozenset({*ServiceSettings.model_fields})
_PLAIN: Final = {str: "text", bool: "true or false", int: "whole number", float: "number", Path: "path"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `name` is its variable, or its key within an entry of a list."""

    name: str
    kind: str
    default: str
    bounds: str
    meaning: str


def groups() -> Iterator[tuple[str, str, tuple[Setting, ...]]]:
    """(title, introduction, settings) of each class."""
    common = tuple(_settings(ServiceSettings, "CHAPAR_<SERVICE>_", skip=frozenset({"kafka"})))
    outgoing = tuple(_settings(OutgoingSettings, "CHAPAR_<SERVICE>_", skip=COMMON))
    services = "`CHAPAR_INGEST_`, `CHAPAR_ROUTER_`, `CHAPAR_SLA_` or `CHAPAR_FEEDBACK_`"
    yield "Every service", f"`CHAPAR_<SERVICE>_` is {services}.", common
    yield "Services that send to addresses of tenants", "ingest, sla and feedback.", outgoing
    for service in SERVICES:
        prefix = service.model_config.get("env_prefix", "")
        name = prefix.split("_")[1].lower()
        yield name, "", tuple(_settings(service, prefix, skip=COMMON | set(OutgoingSettings.model_fields)))
    for title, cls, text in (
        ("Kafka", KafkaSettings, "Every process with a Kafka client, the command line included."),
        (
            "The embedded broker",
            BrokerSettings,
            "`make run`, `make demo`, `make kafka`, and `chapar` on a development machine.",
        ),
    ):
        yield title, text, tuple(_settings(cls, cls.model_config.get("env_prefix", "")))
    for model in _listed():
        title = f"Entries of `{_lists()[model]}`"
        yield title, "Keys of each JSON or YAML mapping in the list.", tuple(_settings(model, "", entry=True))


def _lists() -> Mapping[type[BaseModel], str]:
    """Models that settings hold in lists, with the setting that holds them."""
    found: dict[type[BaseModel], str] = {}
    for path, field in _walk(ServiceSettings, ()):
        model = _listed_model(field)
        if model is not None:
            found[model] = ".".join(path)
    return found


def _listed() -> tuple[type[BaseModel], ...]:
    return tuple(_lists())


def _walk(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in model.model_fields.items():
        if (inner := _nested(field)) is not None:
            yield from _walk(inner, (*path, name))
        else:
            yield (*path, name), field


def _settings(
    model: type[BaseModel], prefix: str, *, skip: frozenset[str] | set[str] = frozenset(), entry: bool = False
) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        if name in skip:
            continue
        if (inner := _nested(field)) is not None:
            yield from _settings(inner, f"{prefix}{name}." if entry else f"{prefix}{name.upper()}__", entry=entry)
            continue
        alias = field.validation_alias
        shown = alias if isinstance(alias, str) else f"{prefix}{name if entry else name.upper()}"
        meaning = " ".join((field.description or "").split())
        yield Setting(f"`{shown}`", _kind(field.annotation), _default(field), _bounds(field), meaning)


def _nested(field: FieldInfo) -> type[BaseModel] | None:
    inner = field.annotation
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) and inner is not KafkaSettings else None


def _listed_model(field: FieldInfo) -> type[BaseModel] | None:
    inner = next(iter(get_args(field.annotation)), None)
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin in (Union, types.UnionType):
        return _kind(next(each for each in arguments if each is not type(None)))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        return f"list of {_kind(arguments[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"map of {_kind(arguments[1])} by text"
    if annotation is SecretStr:
        return "text (secret)"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return ", ".join(f"`{value}`" for value in annotation)
    return _PLAIN.get(annotation, "value")


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        made = field.default_factory
        return "none" if made is dict else "the host's name" if made is socket.gethostname else "computed"
    if field.default is PydanticUndefined:
        return ""
    return _value(field.default)


def _value(value: Any) -> str:
    if value is None or value in ((), "", {}):
        return "none"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, tuple):
        return ", ".join(f"`{part}`" for part in value)
    if isinstance(value, Path):
        return f"`{value.name}`"
    return f"`{value}`"


def _number(value: Any) -> str:
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if isinstance(value, int) and value >= size and value % size == 0:
            return f"{value:,} ({value // size} {unit})"
    return f"{value:,}"


def _bounds(field: FieldInfo) -> str:
    parts: list[str] = []
    least, most = "", ""
    for rule in field.metadata:
        match rule:
            case Ge():
                least = f"at least {_number(rule.ge)}"
            case Gt():
                least = f"above {_number(rule.gt)}"
            case Le():
                most = f"at most {_number(rule.le)}"
            case Lt():
                most = f"below {_number(rule.lt)}"
            case MinLen():
                parts.append("not empty" if rule.min_length == 1 else f"at least {rule.min_length} characters")
            case MaxLen():
                what = "entries" if get_origin(field.annotation) is tuple else "characters"
                parts.append(f"at most {rule.max_length:,} {what}")
    if least.startswith("at least ") and most.startswith("at most "):
        return ", ".join([*parts, f"{least.removeprefix('at least ')} to {most.removeprefix('at most ')}"])
    return ", ".join(part for part in (*parts, least, most) if part)
