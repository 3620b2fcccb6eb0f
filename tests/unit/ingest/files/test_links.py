"""Links to files: signed, expiring, and worth nothing when changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.clock import ManualClock
from services.ingest.adapters.files.links import FileLinks, link_key
from services.ingest.domain.files.places import FilePlace, Folder

OLD, NEW = link_key(b"o" * 32), link_key(b"n" * 32)
PLACE = FilePlace("acme", "owner", "file", Folder.ORIGINALS)


def links(*keys: bytes, now_ms: int = 1_000_000) -> FileLinks:
    """Links for a minute, with these keys."""
    return FileLinks(keys or (NEW,), lambda: "https://files.example/", ManualClock(now_ms), 60)


@given(
    st.builds(
        FilePlace,
        st.text(max_size=20),
        st.text(max_size=20),
        st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True),
        st.sampled_from(Folder),
    )
)
def test_a_link_names_its_file(place: FilePlace) -> None:
    """Whatever the ids; the link is a path of one segment."""
    url, expires_at_ms = links().url(place)
    base, _, token = url.rpartition("/")
    assert (base, expires_at_ms) == ("https://files.example/files", 1_060_000)
    assert links().read(token) == place
    assert token.isascii()
    assert not set(token) & set("=+/?#%")


def test_a_link_expires() -> None:
    """After its time it is not read."""
    token, _ = links().token(PLACE)
    assert links(now_ms=1_059_000).read(token) == PLACE
    assert links(now_ms=1_060_000).read(token) is None


def test_keys_can_be_replaced() -> None:
    """A link of the old key is read while the old key is configured, and no longer."""
    token, _ = links(OLD).token(PLACE)
    assert links(NEW, OLD).read(token) == PLACE
    assert links(NEW).read(token) is None


@given(st.integers(0, 200), st.sampled_from("Ab-_=.9"))
def test_a_changed_link_is_refused(at: int, other: str) -> None:
    """Each character counts."""
    token, _ = links().token(PLACE)
    at %= len(token)
    if token[at] != other:
        assert links().read(token[:at] + other + token[at + 1 :]) is None


@pytest.mark.parametrize("token", ["", "a", "AAAA", "A" * 3000, "سلام", "AAAA" * 8])
def test_anything_else_is_refused(token: str) -> None:
    """It raises nothing."""
    assert links().read(token) is None
