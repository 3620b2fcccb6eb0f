"""Configuration files: the forms that people may use, and the errors with their lines."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from chapar.config.v1 import config_pb2
from services.cli.config.files import Document, load, parse_duration_ms, schema
from services.cli.config.lint import lint

EXAMPLE = Path(__file__).parents[3] / "deploy" / "config" / "demo.yaml"
GOOD = """\
tenant: shop
pools: [{name: default}]
skills: [{name: persian}]
queues:
  - {name: sales, pool: default}
agents:
  - {agent_id: sara, pool: default, skills: {persian: 9}, capacity_profile: standard}
capacity_profiles: [{name: standard, total: 100, default_weight: 20}]
"""


def checked(tmp_path: Path, text: str) -> Document:
    path = tmp_path / "tenant.yaml"
    path.write_text(text, encoding="utf-8")
    document = load(path)
    if not document.findings:
        lint(document)
    return document


def only(document: Document, code: str) -> int:
    """Return the line of the only finding with this code."""
    (finding,) = [f for f in document.findings if f.code == code]
    return finding.line


def test_the_example_is_clean_and_fits_its_schema() -> None:
    """The example in the repository follows our own rules."""
    document = load(EXAMPLE)
    lint(document)
    assert document.findings == []
    Draft202012Validator(schema()).validate(YAML(typ="safe").load(EXAMPLE.read_text()))


def test_times_and_enums_may_be_written_as_people_write_them(tmp_path: Path) -> None:
    """`offer_timeout: 1m30s` sets offer_timeout_ms, `choice: load_ratio` the contract's long name."""
    document = checked(
        tmp_path,
        GOOD.replace("pool: default}\nagents", "pool: default, offer_timeout: 1m30s, choice: load_ratio}\nagents"),
    )
    queue = document.configuration.queues[0]
    assert (queue.offer_timeout_ms, queue.choice) == (90_000, config_pb2.AGENT_CHOICE_LOAD_RATIO)
    assert document.findings == []


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ("name: sales, pool: default", "name: sales, pool: nowhere", "UNKNOWN_POOL", 5),
        ("persian: 9", "parsian: 9", "UNKNOWN_SKILL", 7),
        ("pool: default, skills", "pool: default, queues: [sale], skills", "UNKNOWN_QUEUE", 7),
        ("total: 100", "total: lots", "WRONG_TYPE", 8),
        ("total: 100", "totel: 100", "UNKNOWN_KEY", 8),
        ("tenant: shop", "tenant: Shop!", "TENANT_NAME", 1),
        ("tenant: shop", "tenant: shop\nversion: 3", "SET_BY_APPLY", 2),
        ("name: sales, pool: default", "name: sales, pool: default, choice: fastest", "UNKNOWN_VALUE", 5),
        ("name: sales, pool: default", "name: sales, pool: default, sticky: soon", "WRONG_TYPE", 5),
        (
            "capacity_profiles",
            "rules: [{name: r, queue: sales, when: channel ==}]\ncapacity_profiles",
            "BAD_EXPRESSION",
            8,
        ),
        (
            "capacity_profiles",
            "rules: [{name: r, queue: sales, when: color == 'x'}]\ncapacity_profiles",
            "UNKNOWN_VARIABLE",
            8,
        ),
        (
            "capacity_profiles",
            "rules: [{name: r, queue: sales, when: 'labels.all(a, labels.all(b, labels.all(c, a == b)))'}]\n"
            "capacity_profiles",
            "COSTLY_EXPRESSION",
            8,
        ),
        ("capacity_profiles", "calendars: [{name: c}]\ncapacity_profiles", "NEVER_OPEN", 8),
        (
            "capacity_profiles",
            "sla_policies: [{name: p, targets: [{kind: pick_up, desired: 2m, adequate: 1m}]}]\ncapacity_profiles",
            "CONTRADICTING_LEVELS",
            8,
        ),
        (
            "capacity_profiles",
            "channels: [{channel: telegram, account: a, secrets: {bot_token: '123:abc'}}]\ncapacity_profiles",
            "SECRET_IN_CLEAR",
            8,
        ),
    ],
)
def test_each_error_is_reported_with_its_line(tmp_path: Path, old: str, new: str, code: str, line: int) -> None:
    """One mistake in a good file gives that finding, on its line."""
    assert old in GOOD
    assert only(checked(tmp_path, GOOD.replace(old, new, 1)), code) == line


def test_a_misspelt_key_names_the_nearest_one(tmp_path: Path) -> None:
    """The message says how to fix it."""
    document = checked(tmp_path, GOOD.replace("default_weight", "defautl_weight"))
    assert "did you mean `default_weight`?" in document.findings[0].message


def test_a_requirement_that_no_agent_can_meet_is_a_warning(tmp_path: Path) -> None:
    """The agent directory may add agents later, so the warning does not stop `apply`."""
    document = checked(
        tmp_path,
        GOOD.replace(
            "pool: default}\nagents", "pool: default, requirements: [{attribute: persian, number: 10}]}\nagents"
        ),
    )
    assert [(f.code, f.severity) for f in document.findings] == [("NOBODY_CAN_MEET", "warning")]


@pytest.mark.parametrize(
    "text", ["", "- a", "a: [", "tenant: \x00", "\ttenant: x", "&a [*a]", "tenant: !!python/object:os.system x"]
)
def test_files_that_are_not_a_configuration_give_a_finding_and_no_exception(tmp_path: Path, text: str) -> None:
    """For any content the result is a finding with a line."""
    assert checked(tmp_path, text).findings


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda c: (
            st.lists(c, max_size=3)
            | st.dictionaries(st.sampled_from(["tenant", "pools", "queues", "name", "x"]), c, max_size=4)
        ),
        max_leaves=8,
    )
)
def test_no_shape_of_content_raises(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    """Well-formed YAML of any shape is read or refused, without a crash."""
    path = tmp_path_factory.mktemp("shape") / "t.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(content, file)
    document = load(path)
    if not document.findings:
        lint(document)
    assert document.findings or document.configuration.tenant


@given(st.integers(0, 10), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_durations_add_up(hours: int, minutes: int, seconds: int, ms: int) -> None:
    """1h2m3s4ms is the sum of its parts."""
    assert (
        parse_duration_ms(f"{hours}h{minutes}m{seconds}s{ms}ms") == ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms
    )


def test_aliases_of_aliases_are_a_finding(tmp_path: Path) -> None:
    """A dozen lines that expand to a million entries are refused, not expanded."""
    levels = "".join(f"  - &s{n} {{any_of: [{', '.join([f'*s{n - 1}'] * 9)}]}}\n" for n in range(1, 12))
    text = f"tenant: shop\nqueues:\n- name: q\n  requirements:\n  - &s0 {{attribute: a}}\n{levels}"
    assert "TOO_LARGE" in {finding.code for finding in checked(tmp_path, text).findings}


@pytest.mark.parametrize(
    "value", ["2026-13-45", "9" * 5_000, "1" + "0" * 400, '"\\ud800"', "[1, [2]]", ".nan", "!!binary x"]
)
def test_a_value_that_no_reader_expects_is_a_finding(tmp_path: Path, value: str) -> None:
    """An invalid date, an infinite number, half a character: never a traceback."""
    for key in ("tenant", "default_language"):
        assert checked(tmp_path, f"{key}: {value}\n").findings
    assert checked(
        tmp_path, f"tenant: s\npools: [{{name: {value}}}]\nskills: [{value}]\nagents: [{{skills: {{a: {value}}}}}]\n"
    ).findings
