"""The scenario format: errors have their line, sizes are bounded, and examples and schema follow from the code."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from referencing import Registry, Resource
from ruamel.yaml import YAML

from services.router.simulation import reading
from services.router.simulation.reading import ScenarioError
from services.router.simulation.scenario import MOST_CUSTOMERS, Scenario
from tests.unit.router.simulation.questions import a_scenario, calls

EXAMPLES = Path("deploy/config/scenarios")
GOOD = """\
duration: 8h
types:
  calls:
    arrivals: {every: 18s}
    handling: {distribution: exponential, mean: 3m}
groups:
  agents: {agents: 14}
"""


def complaints(tmp_path: Path, text: str) -> list[str]:
    """Return the errors reported for a file, without its name."""
    path = tmp_path / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as raised:
        reading.read(path)
    return str(raised.value).replace(f"{path}:", "").splitlines()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_examples(path: Path) -> None:
    """They can be read, and editors find no error in them."""
    reading.read(path)
    schemas = (EXAMPLES / "schema.json", EXAMPLES.parent / "schema.json")
    registry: Registry = Registry().with_resources(
        (file.resolve().as_uri(), Resource.from_contents(json.loads(file.read_text()))) for file in schemas
    )
    whole = {"$ref": schemas[0].resolve().as_uri()}
    assert list(Draft202012Validator(whole, registry=registry).iter_errors(YAML(typ="safe").load(path))) == []


def test_the_schema_is_the_codes() -> None:
    """`make docs` was run after the last change."""
    assert (EXAMPLES / "schema.json").read_text(encoding="utf-8") == reading.schema_text()


@pytest.mark.parametrize(
    ("right", "wrong", "line", "message"),
    [
        ("mean: 3m", "mean: 3", 5, "`types.calls.handling.mean` must be a time such as 20s, 5m or 1h30m, not 3"),
        ("mean: 3m", "mean: 0s", 5, "`types.calls.handling.mean` must be more than 0, not '0s'"),
        ("mean: 3m", "meen: 3m", 5, "`types.calls.handling.meen` is not a key here; did you mean `mean`?"),
        ("agents: 14", "agents: -1", 7, "`groups.agents.agents` must be greater than or equal to 0, not -1"),
        ("agents: 14", "skills: {}", 7, "`groups.agents` needs either `agents` or `shifts`"),
        ("duration: 8h", "warm_up: 1h", 1, "`duration` is missing"),
        ("duration: 8h", "duration: 8h\nwarm_up: 9h", 1, "`the scenario` `warm_up` must be less than `duration`"),
        ("every: 18s", "rates: [1, x]", 4, "`types.calls.arrivals.rates.1` must be a number, not 'x'"),
        ("every: 18s", "every: 18s, rates: [1]", 4, "`types.calls.arrivals` needs either `every` or `rates`"),
        ("every: 18s", "every: 1ms", 1, "expects 28,800,000 customers in a replication; at most 2,000,000"),
        ("agents: 14}", "agents: 14, prefers: [mails]}", 7, "`mails` is not a type of this scenario; there are calls"),
        ("agents: 14}", "agents: [14", 8, "expected ',' or ']'"),
        ("  calls:", "  all:", 1, "has a type called `all`"),
    ],
)
def test_errors_have_line_and_field(tmp_path: Path, right: str, wrong: str, line: int, message: str) -> None:
    """Each error has a line, a field, and what is allowed."""
    said = complaints(tmp_path, GOOD.replace(right, wrong))
    assert any(text.startswith(f"{line}: ") and message in text for text in said), said


def test_an_unknown_distribution_is_refused(tmp_path: Path) -> None:
    """The message names the known ones."""
    [said] = complaints(tmp_path, GOOD.replace("exponential", "expo"))
    assert said.startswith("5: `types.calls.handling.distribution` is `expo`; allowed are exponential, uniform,")


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    """The limit is twenty errors."""
    assert len(complaints(tmp_path, GOOD.replace("18s", "18").replace("3m", "3").replace("14", "x"))) == 3
    many = GOOD + "".join(f"  g{n}: {{agents: x}}\n" for n in range(30))
    assert complaints(tmp_path, many)[-1] == "and 10 more"


@pytest.mark.parametrize("text", ["", "- 1", "a: b: c", "\x00", "duration: &a [*a]"])
def test_no_scenario_at_all(tmp_path: Path, text: str) -> None:
    """The only result is an error."""
    assert complaints(tmp_path, text)


def test_bombs(tmp_path: Path) -> None:
    """A few lines that expand to a billion nodes, and files too large, are refused before they are interpreted."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]", *(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))]
    assert "more than 300,000 nodes" in complaints(tmp_path, "\n".join(lines))[0]
    assert "larger than" in complaints(tmp_path, "#" * (reading.LARGEST_FILE + 1))[0]


def test_sizes_are_bounded() -> None:
    """Agents and customers are limited."""
    with pytest.raises(ValidationError, match="more than 10,000 agents"):
        a_scenario(groups={"a": {"agents": 9_000}, "b": {"shifts": [{"start": "0s", "end": "1h", "agents": 1_001}]}})
    with pytest.raises(ValidationError, match=f"at most {MOST_CUSTOMERS:,}"):
        a_scenario(types={"a": calls(arrivals={"rates": [1e6]}), "b": calls(arrivals={"rates": [1e6]})}, duration="2h")


def test_expected_arrivals_count_repetitions_and_parts() -> None:
    """Two and a half rounds of two periods: 3+5+3+5+1.5; the limit applies to this sum."""
    text = GOOD.replace("every: 18s", "rates: [700000, 1300000]").replace("8h", "75m")
    with pytest.raises(ValidationError, match="expects 2,350,000 customers"):
        Scenario.model_validate(YAML(typ="safe").load(text))
