"""Requirements: as they are typed, and who could meet them by the configuration."""

from itertools import product
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from services.policy.lint.requirements import able, ages, demands, describe
from services.policy.model.eligibility import meets_all, requirements_at
from services.policy.reading.requirement_text import parse_requirement

_NAMES = st.sampled_from(["x", "x", "x", "y"])
_TEXTS = st.sampled_from(["a", "b"])
_NUMBERS = st.integers(0, 2).map(float)
_AGES = st.integers(0, 3)
_LEAVES = st.builds(
    types_pb2.Selector,
    attribute=_NAMES,
    operator=st.sampled_from([*types_pb2.SelectorOperator.values(), *[types_pb2.SELECTOR_OPERATOR_AT_LEAST] * 9]),
    number=_NUMBERS,
    text=st.sampled_from(["", "", "", "", "", "a"]),
    texts=st.lists(_TEXTS, max_size=2),
    expires_after_ms=st.sampled_from([0, 0, 0, 2]),
    steps=st.dictionaries(st.integers(1, 3), _NUMBERS, max_size=2).map(
        lambda found: [types_pb2.SelectorStep(after_ms=at, number=number) for at, number in sorted(found.items())]
    ),
)


def _grouped(members: st.SearchStrategy[types_pb2.Selector]) -> st.SearchStrategy[types_pb2.Selector]:
    some = st.lists(members, min_size=1, max_size=3)
    return st.one_of(
        members,
        st.builds(types_pb2.Selector, any_of=some, expires_after_ms=_AGES),
        st.builds(types_pb2.Selector, all_of=some, expires_after_ms=_AGES),
    )


_SELECTORS = st.lists(_grouped(_grouped(_LEAVES)), min_size=1, max_size=2)
_RINGS = st.lists(
    st.builds(
        config_pb2.Ring,
        after_ms=_AGES,
        drop=st.sampled_from([[], [], [], ["x"], ["y"]]),
        lower=st.dictionaries(_NAMES, _NUMBERS, min_size=1),
    ),
    max_size=3,
).map(lambda rings: sorted(rings, key=lambda ring: ring.after_ms))
_SKILLS = [
    {name: value for name, value in (("x", x), ("y", y), ("x=a", label)) if value is not None}
    for x, y, label in product((None, 0.0, 1.0, 2.0), (None, 1.0), (None, 1.0))
]
"""Agents of every kind that could make a difference."""


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("persian >= 5", {"attribute": "persian", "operator": types_pb2.SELECTOR_OPERATOR_AT_LEAST, "number": 5}),
        ("persian > 5", {"attribute": "persian", "operator": types_pb2.SELECTOR_OPERATOR_GREATER, "number": 5}),
        ("load<=0.5", {"attribute": "load", "operator": types_pb2.SELECTOR_OPERATOR_AT_MOST, "number": 0.5}),
        ("load < 2", {"attribute": "load", "operator": types_pb2.SELECTOR_OPERATOR_LESS, "number": 2}),
        ("team = red", {"attribute": "team", "operator": types_pb2.SELECTOR_OPERATOR_EQUAL, "text": "red"}),
        ("team != red", {"attribute": "team", "operator": types_pb2.SELECTOR_OPERATOR_NOT_EQUAL, "text": "red"}),
        ("شهر in (قم, ری)", {"attribute": "شهر", "operator": types_pb2.SELECTOR_OPERATOR_IN, "texts": ["قم", "ری"]}),
        ("has vip", {"attribute": "vip", "operator": types_pb2.SELECTOR_OPERATOR_HAS}),
    ],
)
def test_requirements_can_be_typed_as_they_are_shown(text: str, selector: dict[str, Any]) -> None:
    """`--require` accepts the form that `explain` prints."""
    made = parse_requirement(text)
    assert made == types_pb2.Selector(**selector)
    assert describe(made).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("text", ["", "persian", ">= 5", "persian >=", "has", "a b >= 5", "persian => 5"])
def test_the_error_for_other_text_shows_what_a_requirement_looks_like(text: str) -> None:
    """The message has examples."""
    with pytest.raises(ValueError, match="such as"):
        parse_requirement(text)


@settings(max_examples=20)
@given(_SELECTORS, _RINGS)
def test_between_two_ages_nothing_changes(selectors: list[types_pb2.Selector], rings: list[config_pb2.Ring]) -> None:
    """Lint checks these ages only, and that is enough. The cases cover expiry, steps, rings and groups."""
    queue = config_pb2.Queue(name="q", requirements=selectors, rings=rings)
    (demand,) = demands(config_pb2.TenantConfiguration(queues=[queue]))
    known = ages(demand)
    for age in range(5):
        last = max(at for at in known if at <= age)
        now, then = (requirements_at(demand.requirements, demand.rings, at) for at in (age, last))
        for skills in _SKILLS:
            assert meets_all(now, skills) == meets_all(then, skills)


def test_lint_asks_the_engine_who_can_take_what() -> None:
    """The agents of the queue whose skills meet the requirement, as relaxed after some time."""
    configuration = ParseDict(
        {
            "queues": [
                {
                    "name": "q",
                    "requirements": [
                        {"attribute": "x", "number": 5},
                        {"attribute": "team", "operator": 1, "text": "red"},
                    ],
                    "rings": [{"afterMs": 10, "lower": {"x": 2}}, {"afterMs": 20, "queues": ["r"]}],
                },
                {"name": "r"},
            ],
            "agents": [
                {"agentId": "strong", "skills": {"x": 5}, "team": "red", "queues": ["q"]},
                {"agentId": "weak", "skills": {"x": 2}, "team": "red", "queues": ["q"]},
                {"agentId": "blue", "skills": {"x": 9}, "team": "blue", "queues": ["q"]},
                {"agentId": "other queue", "skills": {"x": 9}, "team": "red", "queues": ["r"]},
            ],
        },
        config_pb2.TenantConfiguration(),
    )
    demand = next(demands(configuration))
    assert ages(demand) == [0, 10, 20]
    assert [able(configuration, demand, age) for age in ages(demand)] == [
        ["strong"],
        ["strong", "weak"],
        ["strong", "weak", "other queue"],
    ]
