"""Approved templates: their parameters, and the words that the customer gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.model.approved_templates import (
    MAX_BODY_CHARS,
    ApprovedTemplate,
    OutsideWindow,
    chosen,
    on_one_line,
)

READY = ApprovedTemplate(name="order_ready", language="en", body="Hello {{1}}, order {{2}} of {{1}} is ready.")


def test_each_parameter_is_put_where_its_number_is() -> None:
    """Also twice. A value that looks like a parameter stays as it is."""
    assert READY.parameters == 2
    assert READY.filled(("Sara", "12")) == "Hello Sara, order 12 of Sara is ready."
    assert READY.filled(("{{2}}", "12")) == "Hello {{2}}, order 12 of {{2}} is ready."


@pytest.mark.parametrize("values", [(), ("Sara",), ("Sara", "12", "13"), ("", "12"), ("a\nb", "12"), ("a\tb", "12")])
def test_values_that_the_provider_refuses_do_not_fit(values: tuple[str, ...]) -> None:
    """Too few, too many, empty, or not on one line."""
    assert READY.filled(values) is None


def test_a_text_that_is_too_long_does_not_fit() -> None:
    """The provider counts the text with its values."""
    body = ApprovedTemplate(name="n", language="en", body="{{1}}")
    assert body.filled(("x" * MAX_BODY_CHARS,)) is not None
    assert body.filled(("x" * (MAX_BODY_CHARS + 1),)) is None


def test_a_template_is_chosen_by_name_and_language() -> None:
    """Without a language, the first of the name."""
    persian = ApprovedTemplate(name="order_ready", language="fa", body="سلام")
    assert chosen((READY, persian), "order_ready", "fa") is persian
    assert chosen((READY, persian), "order_ready", "") is READY
    assert chosen((READY, persian), "order_ready", "de") is None
    assert chosen((READY, persian), "hello", "") is None


def test_the_rule_puts_the_text_and_the_name_into_its_values() -> None:
    """On one line. A text that contains a placeholder is not filled in again."""
    rule = OutsideWindow(template="order_ready", parameters=("{name}", "about {text}!"))
    assert rule.values(text="one\n\ttwo {name}", name="Sara") == ("Sara", "about one two {name}!")


@given(st.lists(st.text(min_size=1, max_size=80), max_size=5), st.text(max_size=40))
def test_a_text_that_fits_is_one_that_the_provider_takes(values: list[str], tail: str) -> None:
    """Whatever the values are: no value is empty or has more than one line, and the length is within the limit."""
    body = " ".join(f"{{{{{number}}}}}" for number in range(1, len(values) + 1)) + tail.replace("{", "")
    text = ApprovedTemplate(name="n", language="en", body=body).filled(values)
    if text is not None:
        assert len(text) <= MAX_BODY_CHARS
        assert all(value.strip() and "\n" not in value for value in values)
        assert all(value in text for value in values)


@given(st.text())
def test_a_text_on_one_line_always_fits_unless_it_is_empty_or_long(text: str) -> None:
    """The rule's `{text}` never fails for another reason."""
    line = on_one_line(text)
    found = ApprovedTemplate(name="n", language="en", body="{{1}}").filled((line,))
    assert (found == line) is (0 < len(line) <= MAX_BODY_CHARS)
