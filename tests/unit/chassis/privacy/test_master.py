"""The form of a wrapped key."""

from hypothesis import given
from hypothesis import strategies as st

from services.chassis.privacy.master import MasterKeys, has_the_form


@given(key=st.binary(min_size=1, max_size=64), cut=st.integers(0, 200))
def test_what_was_wrapped_has_the_form_and_its_beginning_does_not(key: bytes, cut: int) -> None:
    """A record without a key, or with a piece of one, is refused before a lane waits for a master key that does not exist."""
    wrapped = MasterKeys([b"s" * 32]).wrap(key, b"owner")
    assert has_the_form(wrapped)
    assert not has_the_form(wrapped[: min(cut, len(wrapped) - len(key))])
