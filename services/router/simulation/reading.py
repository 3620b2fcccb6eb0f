"""Read a scenario file and report every error in it with its line; also the JSON Schema for editors."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from services.router.simulation.distributions import DURATION_PATTERN
from services.router.simulation.scenario import Scenario, unknown_names

LARGEST_FILE: Final = 4_000_000
MOST_NODES: Final = 300_000
"""A small file of aliases of aliases can expand to more than any memory holds."""
MOST_PROBLEMS: Final = 20

ValuePath = tuple[str | int, ...]
"""The keys and indexes that lead to a value in a file."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error in a file."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class ScenarioError(Exception):
    """A scenario that cannot be run; the text has a line for each problem."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems[:MOST_PROBLEMS]
        more = len(problems) - len(self.problems)
        super().__init__("\n".join([*map(str, self.problems), *([f"and {more} more"] if more else [])]))


class _TooMuchError(ValueError):
    """More nodes than a scenario may have."""


def read(path: Path) -> Scenario:
    """Return the scenario of a file. Raises ScenarioError; OSError for a file that cannot be read."""
    file = str(path)
    if path.stat().st_size > LARGEST_FILE:
        raise ScenarioError(Problem(file, 1, f"is larger than {LARGEST_FILE:,} bytes"))
    try:
        content = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
        plain = _Plain().of(content)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ScenarioError(Problem(file, line, str(error.problem or "not valid YAML"))) from None
    except (YAMLError, ValueError, TypeError, RecursionError, _TooMuchError) as error:
        raise ScenarioError(Problem(file, 1, f"not valid UTF-8 YAML of a scenario's size: {error}")) from None
    if not isinstance(plain, dict):
        raise ScenarioError(
            Problem(file, 1, "a scenario is a mapping that has at least `duration`, `types` and `groups`")
        )
    try:
        scenario = Scenario.model_validate(plain)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True)
        raise ScenarioError(*_problems(file, content, plain, details)) from None
    wrong = unknown_names(scenario)
    if wrong:
        raise ScenarioError(*(Problem(file, _line(content, place), text) for place, text in wrong.items()))
    return scenario


class _Plain:
    """Converts YAML nodes to plain data, up to a limit of nodes."""

    def __init__(self) -> None:
        self._seen = 0

    def of(self, node: Any) -> Any:
        self._seen += 1
        if self._seen > MOST_NODES:
            raise _TooMuchError(f"it has more than {MOST_NODES:,} nodes")
        if isinstance(node, CommentedMap):
            return {str(key): self.of(value) for key, value in node.items()}
        if isinstance(node, CommentedSeq):
            return [self.of(item) for item in node]
        for kind in (bool, int, float, str):  # the parser's own types remember how they were written
            if isinstance(node, kind):
                return kind(node)
        return node


def _problems(file: str, content: Any, plain: Any, details: list[ErrorDetails]) -> list[Problem]:
    found: dict[tuple[ValuePath, str], Problem] = {}
    for detail in details:
        place = _in_file(plain, detail["loc"])
        line = _line(content, place[:-1] if detail["type"] == "missing" else place)
        # Where one of several forms is allowed, each form has its own error; the first is enough.
        form = detail["type"] if detail["type"] in ("missing", "extra_forbidden") else ""
        found.setdefault((place, form), Problem(file, line, _sentence(place, detail)))
    return sorted(found.values(), key=lambda problem: problem.line)


def _in_file(plain: Any, loc: tuple[str | int, ...]) -> ValuePath:
    """Return a model's place without parts that are not keys of the file (the name of the distribution, of a member of a union)."""
    place: list[str | int] = []
    node = plain
    for number, step in enumerate(loc):
        last = number == len(loc) - 1
        if isinstance(node, dict) and (step in node or (last and node is not None)):
            place.append(step)
            node = node.get(step)
        elif isinstance(node, list) and isinstance(step, int) and step < len(node):
            place.append(step)
            node = node[step]
    return tuple(place)


def _line(content: Any, place: ValuePath) -> int:
    """Return the line of a part; of the nearest enclosing part when it is not in the file itself."""
    node, line = content, 1
    for step in place:
        if isinstance(node, CommentedMap) and step in node:
            line = node.lc.key(step)[0] + 1
            node = node[step]
        elif isinstance(node, CommentedSeq) and str(step).isdigit() and int(step) < len(node):
            line = node.lc.item(int(step))[0] + 1
            node = node[int(step)]
        else:
            break
    return int(line)


def _sentence(place: ValuePath, detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx") or {}
    field = ".".join(map(str, place)) or "the scenario"
    if kind == "missing":
        return f"`{field}` is missing"
    if kind == "extra_forbidden":
        known = sorted(_keys_beside(detail["loc"]))
        near = difflib.get_close_matches(str(place[-1]), known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known)}"
        return f"`{field}` is not a key here; {hint}"
    if kind == "union_tag_not_found":
        return f"`{field}` must say its `distribution`"
    if kind == "union_tag_invalid":
        wanted = str(context.get("expected_tags", "")).replace("'", "")
        return f"`{field}.distribution` is `{context.get('tag')}`; allowed are {wanted}"
    if kind == "value_error":
        return f"`{field}` {context.get('error', detail['msg'])}{_given(detail)}"
    message = detail["msg"]
    for wrong, right in (
        ("Input should be a valid integer", "must be a whole number"),
        ("Input should be a valid dictionary", "must be a mapping"),
        ("Input should be a valid ", "must be a "),
        ("Input should be ", "must be "),
        ("String should ", "must "),
        ("List should ", "must "),
        ("Dictionary should ", "must "),
    ):
        if message.startswith(wrong):
            message = right + message.removeprefix(wrong)
    return f"`{field}` {message}{_given(detail)}"


def _given(detail: ErrorDetails) -> str:
    given = detail["input"]
    return f", not {given!r}" if isinstance(given, str | int | float | bool) else ""


def _keys_beside(loc: tuple[str | int, ...]) -> list[str]:
    """Return the keys that a mapping of the format may have, from the schema."""
    full = Scenario.model_json_schema()
    nodes: list[Any] = [full]
    for step in loc[:-1]:
        nodes = [found for node in nodes for found in _step(full, node, step)]
    return [key for node in nodes for option in _options(full, node) for key in option.get("properties", {})]


def _options(full: Mapping[str, Any], node: Any) -> list[dict[str, Any]]:
    """Return a part of the schema without its references and alternatives."""
    if "$ref" in node:
        return _options(full, full["$defs"][node["$ref"].rsplit("/", 1)[-1]])
    found: list[dict[str, Any]] = [node]
    for several in ("anyOf", "oneOf", "allOf"):
        for option in node.get(several, []):
            found += _options(full, option)
    return found


def _step(full: Mapping[str, Any], node: Any, step: str | int) -> list[Any]:
    found = []
    for option in _options(full, node):
        if isinstance(step, int):
            found += [option["items"]] if "items" in option else []
        elif step in option.get("properties", {}):
            found.append(option["properties"][step])
        elif isinstance(option.get("additionalProperties"), dict):
            found.append(option["additionalProperties"])
        elif "patternProperties" in option:
            found += option["patternProperties"].values()
        elif option.get("properties", {}).get("distribution", {}).get("const") == step:
            found.append(option)  # the step is the name of the distribution itself
    return found


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a scenario file."""
    made = Scenario.model_json_schema()
    # Queues and capacity profiles are those of a tenant's configuration, whose schema is one directory up.
    for key in ("queues", "capacity_profiles"):
        made["properties"][key] = {
            "$ref": f"../schema.json#/properties/{key}",
            "description": made["properties"][key]["description"],
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_written(made),
        "title": "Chapar what-if scenario",
    }


def _written(node: Any) -> Any:
    """Return defaults of times in readable form: in the model they are milliseconds."""
    if isinstance(node, list):
        return [_written(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _written(value) for key, value in node.items() if key != "title" or not isinstance(value, str)}
    if node.get("pattern") == DURATION_PATTERN and isinstance(node.get("default"), float):
        made["default"] = f"{node['default'] / 1_000:g}s"
    return made


def schema_text() -> str:
    """Return the schema as the text of the file in deploy/config/scenarios."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
