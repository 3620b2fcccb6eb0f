"""The text by which a status report finds its delivery."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.delivery_reference import DeliveryReference, reference_of, reference_text

ONE = DeliveryReference("0b8f9a4e-3d5c-5e1f-8a7b-1c2d3e4f5a6b", "1b8f9a4e-3d5c-5e1f-8a7b-1c2d3e4f5a6b", 2, 3)


def test_a_reference_is_read_back() -> None:
    """What we write is what we read, within the provider's 512 characters."""
    text = reference_text(ONE)
    assert reference_of(text) == ONE
    assert len(text) <= 512


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "order 12",
        reference_text(ONE) + "/1",
        reference_text(ONE).replace("/2/3", "/4/3"),
        reference_text(ONE).replace("/2/3", "/0/3"),
        reference_text(ONE).replace("/2/3", "/2/999"),
        reference_text(ONE).replace("chapar", "other"),
        "chapar/../../x/1/1",
        "chapar/" + "a" * 600,
    ],
)
def test_any_other_text_is_not_ours(text: object) -> None:
    """Other programs with the same number write their own texts."""
    assert reference_of(text) is None


@given(st.text(max_size=600))
def test_no_text_breaks_the_reader(text: str) -> None:
    """The text comes from outside."""
    assert reference_of(text) is None or text.startswith("chapar/")
