"""A number in the chart's values reaches the service unchanged, at any size and depth."""

import json
from collections.abc import Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

import annotated_types
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from services.chassis.kafka_settings import KafkaSettings
from tests.architecture.deployed import SETTINGS, containers, environment
from tests.fixtures.helm import Render

LARGE, FRACTION = 123_456_789, 1_234_567.25
CHARTS_OWN = frozenset({"GRPC_PORT", "OPS_PORT", "HTTP_PORT", "SMTP_PORT", "HEALTH_PORT"})
"""The image fixes the ports; the Services refer to them."""


def _numbers(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Yield the numeric settings at any depth."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        kinds = {kind, *(get_args(kind) if get_origin(kind) in (Union, UnionType) else ())}
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind is not KafkaSettings:
                yield from _numbers(kind, (*path, name))
        elif kinds & {int, float} and bool not in kinds:
            yield (*path, name), field


def _large(field: FieldInfo) -> float:
    """Return the largest value that the setting accepts, with at most nine digits; for a float, a value with a fraction."""
    most = LARGE if field.annotation is int else FRACTION
    for limit in field.metadata:
        match limit:
            case annotated_types.Le(le=bound):
                most = min(most, float(str(bound)))
            case annotated_types.Lt(lt=bound):
                most = min(most, float(str(bound)) / 2)
    return int(most) if field.annotation is int else most


def _of(documents: list[dict[str, Any]], service: str) -> dict[str, str]:
    workloads = [d for d in documents if d["kind"] in {"Deployment", "StatefulSet"}]
    return environment(next(c for w in workloads for c in containers(w) if c["name"] == service))


def _at(settings: BaseModel, path: tuple[str, ...]) -> Any:
    for name in path:
        settings = getattr(settings, name)
    return settings


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_every_numeric_setting_of_every_service_keeps_its_value(render: Render, nested: bool) -> None:
    """No setting turns 4194304 into 4.194304e+06, whether it is written as JWT__LEEWAY_S or as JWT: {LEEWAY_S: …}."""
    values: dict[str, Any] = {}
    wanted: dict[str, dict[tuple[str, ...], float]] = {}
    for service, model in SETTINGS.items():
        numbers = {path: _large(field) for path, field in _numbers(model) if "__".join(path).upper() not in CHARTS_OWN}
        settings: dict[str, Any] = {}
        for path, number in numbers.items():
            at = settings
            if nested:
                for part in path[:-1]:
                    at = at.setdefault(part.upper(), {})
            at[path[-1].upper() if nested else "__".join(path).upper()] = number
        values[service] = {"settings": settings}
        wanted[service] = numbers
    assert sum(number > 999_999 for numbers in wanted.values() for number in numbers.values()) > 20
    documents = render(values)
    for service, model in SETTINGS.items():
        variables = _of(documents, service)
        loaded = model.load(env=variables)
        assert {path: _at(loaded, path) for path in wanted[service]} == wanted[service]
        for path, number in wanted[service].items():
            if isinstance(number, int):
                assert variables[f"CHAPAR_{service.upper()}_{'__'.join(path).upper()}"] == str(number)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4194304, "4194304"),
        (1000000, "1000000"),
        (-1234567890, "-1234567890"),
        (9007199254740991, "9007199254740991"),
        (0.25, "0.25"),
        (2500000.5, "2500000.5"),
        (True, "true"),
        (False, "false"),
        ("0010", "0010"),
        ("4.194304e+06", "4.194304e+06"),
        ("", ""),
    ],
)
def test_values_are_rendered_unchanged(render: Render, value: object, text: str) -> None:
    """Numbers have no exponent, boolean words are in lower case, and text is unchanged."""
    assert _of(render({"router": {"settings": {"LOG_LEVEL": value}}}), "router")["CHAPAR_ROUTER_LOG_LEVEL"] == text


def test_lists_and_maps_that_are_not_settings_are_json(render: Render) -> None:
    """Whole numbers inside lists and maps stay whole."""
    peers = {"/chapar.router.v1.RoutingService/Explain": ["a", 1234567]}
    variables = _of(render({"router": {"settings": {"GRPC_PEERS": peers, "ANY": [4194304, {"b": 1.5}]}}}), "router")
    assert json.loads(variables["CHAPAR_ROUTER_GRPC_PEERS"]) == peers
    assert variables["CHAPAR_ROUTER_ANY"] == '[4194304,{"b":1.5}]'


def test_numbers_outside_the_settings_are_unchanged(render: Render) -> None:
    """KEDA's threshold is text in its manifest, so without care a million becomes 1e+06."""
    scale = {"enabled": True, "minReplicas": 2, "maxReplicas": 8, "lagThreshold": 1_000_000}
    documents = render(
        {
            "ingest": {"autoscaling": scale},
            "feedback": {"autoscaling": scale},
            "tracing": {"endpoint": "http://c:4317", "ratio": 0.0000025},
        }
    )
    triggers = [t["metadata"] for d in documents if d["kind"] == "ScaledObject" for t in d["spec"]["triggers"]]
    assert {trigger["lagThreshold"] for trigger in triggers} == {"1000000"}
    for service, model in SETTINGS.items():
        assert model.load(env=_of(documents, service)).trace_ratio == 0.0000025
