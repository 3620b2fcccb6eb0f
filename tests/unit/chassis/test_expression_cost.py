"""The cost of an expression is known before it is evaluated: the estimate is an upper bound, and no expression exceeds it."""

import contextlib
import functools
import time

import cel
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.chassis.expression_cost import MOST_ENTRIES, MOST_ENTRY_TEXT, MOST_TEXT, estimate
from services.chassis.expression_tokens import Unestimable, text_of, tokens
from services.chassis.expressions import (
    MAX_NESTING,
    MOST_STEPS,
    ExpressionRefused,
    Expressions,
    Program,
    Together,
    TooCostly,
    UnknownVariable,
    bounded,
    compile_expression,
    steps_of,
)
from services.chassis.pattern_cost import pattern_cost


def ones(count: int) -> str:
    """Return a literal list."""
    return f"[{','.join('1' * count)}]"


@pytest.mark.parametrize(
    "source",
    [
        f"{ones(300)}.all(x, {ones(300)}.all(y, {ones(300)}.all(z, x == y)))",
        f"{ones(900)}.map(x, x).size() == 1",
        f"{ones(900)}.filter(x, true).size() == 1",
        f"{ones(40)}.map(x, {ones(40)}.map(y, {ones(40)})) == []",
        f"{ones(20)}.map(a, {ones(20)}.map(b, {ones(20)}.map(c, {ones(20)}.map(d, a))))",
        "labels.exists(a, labels.exists(b, labels.exists(c, a == b)))",
        "labels.map(a, labels.map(b, labels.map(c, a + b + c))).size() == 1",
        "[text].map(a, a + a + a + a).map(a, a + a + a + a).map(a, a + a + a + a).map(a, a + a + a + a)"
        ".map(a, a + a + a + a).map(a, a + a + a + a).map(a, a + a + a + a) == []",
        r'text.matches("\\w{100}")',
        r'text.matches(r"(?i)[\w.]{60}")',
        r'text.matches("\\p{L}{90}")',
        r'text.matches("((a{30}){30}){30}")',
        r'text.matches("(\\d{9}){90}")',
        r'labels.all(k, k.matches("^\\w+$"))',
    ],
)
def test_expressions_that_cost_too_much_are_refused(source: str) -> None:
    """Each of these takes from 10 ms to hours for one message."""
    with pytest.raises(TooCostly, match="steps for one message"):
        compile_expression(source)


@pytest.mark.parametrize(
    "source",
    [
        'channel == "email"',
        'text.contains("price") || text.contains("قیمت")',
        'text.matches("(?i)refund|money back|بازپرداخت")',
        'text.matches("^[0-9]{4}-[0-9]{4}-[0-9]{4}$")',
        'labels.exists(k, k.startsWith("vip") && labels[k] == "yes")',
        '"tier" in labels && labels.tier in ["gold", "silver"] ? text_length > 10 : !public',
        "has(person.country) && person.country != 'IR'",
        "[1, 2, 3].map(x, x * 2).filter(x, x > 2).size() == 2",
        'priority >= 3 && (queue == "a" || queue == r"b\\c")',
        'timestamp("2026-01-01T00:00:00Z").getFullYear() == 2026 // a comment with "quotes',
    ],
)
def test_ordinary_conditions_are_cheap(source: str) -> None:
    """An ordinary condition takes a twentieth of the limit of one expression, so that twenty rules of the most expensive kind fit."""
    assert steps_of(source) < MOST_STEPS / 20
    compile_expression(source)


@pytest.mark.parametrize(
    "source",
    [
        "text.matches(text)",
        "text.matches(labels.pattern)",
        'text.matches("a" + text)',
        'text.matches("[a[^b]]{9}")',
        'text.matches("(?x) a {9}")',
        "text.replace('a', 'b') == ''",
        "a.b{c: 1} == a",
        "text ?: 1",
        "`text` == 'a'",
        "text.all(1, true)",
        "x.map(y, z, w, v)",
        "'\\q' == text",
    ],
)
def test_expressions_that_are_not_understood_are_refused(source: str) -> None:
    """It is never guessed: a guess would not be a bound."""
    with pytest.raises(ExpressionRefused):
        compile_expression(source)


@pytest.mark.parametrize(
    ("literal", "said"),
    [("'a'", "a"), (r"'\x41\u0042\103'", "ABC"), (r"r'\d'", r"\d"), ('"""a"b"""', 'a"b'), (r'"\\w\""', '\\w"')],
)
def test_text_literals_have_the_value_that_the_library_reads(literal: str, said: str) -> None:
    """The weight of a pattern depends on its value."""
    assert text_of(literal) == said
    assert cel.evaluate(literal) == said
    assert [token.kind for token in tokens(literal)] == ["text", "end"]


def test_a_name_that_no_comprehension_binds_here_is_unknown() -> None:
    """This holds although another comprehension binds the same name elsewhere."""
    with pytest.raises(UnknownVariable, match="uses x"):
        compile_expression("[1].all(x, x == 1) && x == 2", ["text"])
    compile_expression("[1].all(x, x == 1)", ["text"])


def test_all_conditions_together_have_a_bound() -> None:
    """A thousand cheap rules cost as much as one expensive rule; the first are kept, the same source counts once."""
    sources = [f"labels.all(k, k.matches('^a{number}'))" for number in range(200)]
    expressions = Expressions[dict[str, object]](sources, lambda given: given)
    assert 10 < len(expressions.refused) < 200
    assert sources[0] not in expressions.refused
    assert expressions.holds(sources[0], {"labels": {"a0": "x"}}) is True
    assert expressions.holds(sources[-1], {"labels": {}}) is None
    together = Together()
    for _ in range(1_000):
        together.add(sources[0])
    long_ones = [f"{' ' * 3_900}{number} == 1" for number in range(20)]
    assert sum(_refused(together, source) for source in long_ones) > 5


def _refused(together: Together, source: str) -> bool:
    try:
        together.add(source)
    except TooCostly:
        return True
    return False


def test_inputs_are_cut_to_the_sizes_that_estimates_assume() -> None:
    """A text above the limit, a map with more entries and longer names: none costs more than the proved bound."""
    assert bounded("x" * 10**6) == "x" * MOST_TEXT
    labels = bounded({f"{number:06}{'x' * 1_000}": "y" * 1_000 for number in range(1_000)})
    assert len(labels) == MOST_ENTRIES
    assert {len(part) for pair in labels.items() for part in pair} == {MOST_ENTRY_TEXT}
    seen = Expressions[int](
        ["labels.size() == 64 && text.size() == 4000"],
        lambda _: {"text": "x" * 9_999, "labels": {str(number): "" for number in range(99)}},
    )
    assert seen.holds("labels.size() == 64 && text.size() == 4000", 1) is True


NAMES = st.sampled_from(["text", "labels", "x", "y"])
EXPRESSIONS = st.recursive(
    st.one_of(NAMES, st.sampled_from(["1", "'a'", "true", "[1, 2, 3]", "text + text", "labels['k1']", f"{ones(30)}"])),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]} + {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} == {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} in [{two[1]}, {two[1]}])"),
        st.tuples(inner, inner, inner).map(lambda three: f"({three[0]} == 1 ? {three[1]} : {three[2]})"),
        st.tuples(inner, st.sampled_from(["all", "exists", "map", "filter", "exists_one"]), NAMES, inner).map(
            lambda four: f"{four[0]}.{four[1]}({four[2]}, {four[3]})"
        ),
        st.lists(inner, max_size=4).map(lambda many: f"[{', '.join(many)}]"),
        st.tuples(inner, st.sampled_from(["^a", r"(a|b)+$", "[a-z]{1,9}", r"\\d+"])).map(
            lambda two: f"{two[0]}.matches('{two[1]}')"
        ),
    ),
    max_leaves=12,
)
INPUT = {
    "text": "ab" * (MOST_TEXT // 2),
    "labels": {f"k{number}": "a" * MOST_ENTRY_TEXT for number in range(MOST_ENTRIES)},
    "x": 1,
    "y": "b",
}


@settings(max_examples=150)
@example("labels.map(x, labels.map(y, x + y)) == []")
@example(f"{ones(400)}.map(x, x) == [1]")
@given(EXPRESSIONS)
def test_no_expression_costs_more_than_its_estimate(source: str) -> None:
    """With the largest input, a step takes no longer than in an expression whose steps are counted by hand."""
    try:
        program = compile_expression(source)
    except ExpressionRefused:
        return
    assert _seconds(program) < 10 * _step() * (steps_of(source) + 5_000)


KNOWN = f"{ones(400)}.map(x, x).size() == 1"


@functools.cache
def _step() -> float:
    return _seconds(compile_expression(KNOWN)) / steps_of(KNOWN)


def _seconds(program: Program) -> float:
    """Return the CPU time of one evaluation: the least of several, so that other load on the machine does not count."""
    context = cel.Context(variables={name: bounded(value) for name, value in INPUT.items()})
    spent = []
    for _ in range(3):
        begun = time.thread_time()
        with contextlib.suppress(Exception):
            program(context)  # its types may not fit
        spent.append(time.thread_time() - begun)
    return min(spent)


@settings(max_examples=300)
@given(st.text(max_size=200) | st.text(alphabet="()[]{}'\"\\.,:?!-+=&|<>ab01rb \n/", max_size=60))
def test_any_text_is_estimated_or_refused(source: str) -> None:
    """Any text gives an estimate or a refusal, and no other exception."""
    try:
        compile_expression(source)
    except ExpressionRefused:
        return
    assert estimate(source).steps <= MOST_STEPS


@settings(max_examples=300)
@given(st.text(alphabet="ab()[]{}|*+?^$.\\w1,9dpPi:<>=-", max_size=60))
def test_any_pattern_is_weighed_or_refused(pattern: str) -> None:
    """More text never costs less."""
    try:
        assert 0 < pattern_cost(pattern, 10) <= pattern_cost(pattern, 4_000)
    except Unestimable:
        return


def test_long_chains_do_not_overflow_the_stack() -> None:
    """The longest expressions of each operator are estimated or refused, without a stack overflow."""
    pieces = ("a||", "a+", "a==", "a ? b : ", "!", "-", "a.", "(", "[", "{1:", "a.b(", "a[", "f(", "'x'+", "x.map(y,")
    for piece in pieces:
        for end in ("", "a"):
            with contextlib.suppress(ExpressionRefused):
                compile_expression((piece * 2_000)[:3_990] + end)
    for piece in ("(", "[", "!", "x.map(y,"):
        with pytest.raises(ExpressionRefused, match=f"nested deeper than {MAX_NESTING}"):
            compile_expression(piece * (MAX_NESTING + 1))
