"""Conditions in CEL: their variables, their cost limits, and that no failure reaches the lane."""

from dataclasses import replace

import pytest

from services.chassis.expressions import ExpressionRefused, compile_expression
from services.policy.model.automatic import AutomaticKind
from services.policy.model.rules import RuleInput, Verdict
from services.policy.reading.rule_conditions import CelConditions

GIVEN = RuleInput(
    channel="telegram",
    account="bot",
    language="fa",
    text="سلام، می‌خواهم بخرم",
    text_length=19,
    person={"tier": "gold", "verified": "true"},
    labels={"public": "true"},
    public=True,
    automatic=AutomaticKind.LIST,
    account_open=False,
    open=lambda queue: queue != "closed",
)


@pytest.mark.parametrize(
    ("when", "verdict"),
    [
        ("channel == 'telegram' && account == 'bot'", Verdict.HOLDS),
        ("text.contains('بخرم')", Verdict.HOLDS),
        ("text_length > 100", Verdict.DOES_NOT_HOLD),
        ("has(person.tier) && person.tier == 'gold'", Verdict.HOLDS),
        ("has(person.nothing) && person.nothing == 'x'", Verdict.DOES_NOT_HOLD),
        ("message.automatic == 'LIST'", Verdict.HOLDS),
        ("message.automatic != 'NONE' && message.automatic != 'SPAM_SUSPECT'", Verdict.HOLDS),
        ("message.automatic == 'NEWSLETTER'", Verdict.DOES_NOT_HOLD),
        ("public && labels.public == 'true'", Verdict.HOLDS),
        ("open('support') && !open('closed')", Verdict.HOLDS),
        ("open('closed')", Verdict.DOES_NOT_HOLD),
        ("account_open", Verdict.DOES_NOT_HOLD),
        ("['a'].all(x, open('closed') || open('support'))", Verdict.HOLDS),
        ("open(channel)", Verdict.FAILED),
        ("'support'.open()", Verdict.FAILED),
        ("open()", Verdict.FAILED),
        ("open", Verdict.FAILED),
        ("text.matches('(a+)+$')", Verdict.DOES_NOT_HOLD),
        ("person.nothing == 'x'", Verdict.FAILED),
        ("1 / 0 == 1", Verdict.FAILED),
        ("text", Verdict.FAILED),
        ("nosuch(1)", Verdict.FAILED),
        ("text.matches('[')", Verdict.FAILED),
        ("this is no CEL", Verdict.FAILED),
    ],
)
def test_each_condition_has_its_verdict(when: str, verdict: Verdict) -> None:
    """True holds, false does not, anything else is a failure and never an exception."""
    assert CelConditions([when])(when, GIVEN) is verdict


def test_each_message_is_judged_by_its_own_values() -> None:
    """Although values are converted once and read often."""
    when = "language == 'fa'"
    conditions = CelConditions([when])
    assert conditions(when, GIVEN) is Verdict.HOLDS
    assert conditions(when, replace(GIVEN, language="en")) is Verdict.DOES_NOT_HOLD
    assert conditions(when, GIVEN) is Verdict.HOLDS


def test_each_message_is_judged_by_the_hours_of_its_time() -> None:
    """The functions belong to the message as the variables do."""
    when = "open('support')"
    conditions = CelConditions([when])
    assert conditions(when, GIVEN) is Verdict.HOLDS
    assert conditions(when, replace(GIVEN, open=lambda _queue: False)) is Verdict.DOES_NOT_HOLD
    assert conditions(when, GIVEN) is Verdict.HOLDS


@pytest.mark.parametrize(
    "source",
    [
        "(" * 100 + "true" + ")" * 100,
        "!" * 100 + "true",
        "true || " * 1_000 + "true",
        f"[{'1,' * 40}].all(a, [{'1,' * 40}].all(b, [{'1,' * 40}].all(c, a == b)))",
        "a +",
    ],
)
def test_expressions_without_bounds_are_refused_with_words(source: str) -> None:
    """They are refused before they run, and the version's other expressions work."""
    with pytest.raises(ExpressionRefused):
        compile_expression(source)
    conditions = CelConditions([source, "true"])
    assert conditions.refused[source]
    assert conditions("true", GIVEN) is Verdict.HOLDS
