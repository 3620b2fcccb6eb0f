"""Lint and the router agree on eligible agents: two implementations of one rule, compared for any requirement and any agent."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from services.policy.lint import requirements as lint
from services.router.domain.pool import eligibility
from services.router.translate.configuration import to_pool
from services.router.translate.selectors import to_selectors

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


@settings(max_examples=100)
@given(_SELECTORS, _RINGS)
def test_lint_and_router_agree_who_meets_what_and_when(
    selectors: list[types_pb2.Selector], rings: list[config_pb2.Ring]
) -> None:
    """The cases cover expiry, steps, rings and groups; each selector alone, and all together."""
    queue = config_pb2.Queue(name="q", requirements=selectors, rings=rings)
    (routed,) = to_pool(config_pb2.TenantConfiguration(queues=[queue]), "default").queues
    for asked in (selectors, *([selector] for selector in selectors)):
        own = to_selectors(asked)
        for age in range(5):
            now = eligibility.requirements_at(own, routed.rings, age)
            for skills in _SKILLS:
                assert lint.meets_all(asked, rings, age, skills) == eligibility.meets_all(now, skills), (age, skills)
        assert [lint.describe(selector) for selector in asked] == [eligibility.describe(s) for s in own]


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
    made = lint.parse_requirement(text)
    assert made == types_pb2.Selector(**selector)
    assert lint.describe(made).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("text", ["", "persian", ">= 5", "persian >=", "has", "a b >= 5", "persian => 5"])
def test_the_error_for_other_text_shows_what_a_requirement_looks_like(text: str) -> None:
    """The message has examples."""
    with pytest.raises(ValueError, match="such as"):
        lint.parse_requirement(text)


@settings(max_examples=20)
@given(_SELECTORS, _RINGS)
def test_between_two_ages_nothing_changes(selectors: list[types_pb2.Selector], rings: list[config_pb2.Ring]) -> None:
    """Checking these ages is therefore enough."""
    known = lint.ages(selectors, rings)
    for age, skills in product(range(5), _SKILLS):
        last = max(at for at in known if at <= age)
        assert lint.meets_all(selectors, rings, age, skills) == lint.meets_all(selectors, rings, last, skills)
