"""A cursor comes back unchanged, or it is INVALID, whatever a caller invents."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.chassis.cursors import MAX_CURSOR, decode_cursor, encode_cursor
from services.chassis.errors import ChaparError, ErrorKind
from services.feedback.adapters import scores_view, views
from services.ingest.adapters.history import cursor as history
from services.router.adapters import paging
from services.sla.translate import views as sla_views

READERS: dict[str, Callable[[str], Any]] = {
    "history": lambda cursor: history.decode("messages", cursor),
    "router, waiting": paging.position_of,
    "router, agents": paging.agent_of,
    "sla, at risk": sla_views.place_of,
    "sla, ranked": sla_views.ranked_place_of,
    "sla, groups": sla_views.group_of,
    "feedback, answers": views._read_cursor,
    "feedback, scores": scores_view._read_cursor,
}
LISTS = ("messages", "waiting", "agents", "at_risk", "ranked", "groups", "responses", "scores")


def as_cursor(content: str) -> str:
    """Encode a text as a cursor."""
    return base64.urlsafe_b64encode(content.encode("utf-8", "replace")).decode().rstrip("=")


def refused(read: Callable[[str], Any], cursor: str) -> bool:
    """Return whether a reader refuses it; only a refusal may be raised."""
    try:
        read(cursor)
    except ChaparError as error:
        return (error.kind, error.reason) == (ErrorKind.INVALID, "BAD_CURSOR")
    return False


NUMBERS = ("9" * 25, "1e308", "-1e300", str(2**63), "NaN", "1" * 5000, "0.5")
INVENTED = [
    *("9" * 25, "=", "====", "a", "é", "\ud800", "\x00", "A" * (MAX_CURSOR + 1)),
    *(as_cursor(number) for number in NUMBERS),
    *(as_cursor(f'["{name}",{number}]') for name in LISTS for number in NUMBERS),
    *(as_cursor(f'["{name}",[{number},"a"]]') for name in LISTS for number in NUMBERS),
    *(as_cursor(f'["{name}",[{number},"a","b"]]') for name in LISTS for number in NUMBERS),
    *(as_cursor(f'["{name}",[{number},"a",1,1]]') for name in LISTS for number in NUMBERS),
    *(as_cursor(f'["{name}",[1,0.5,[{number},"a",1,1]]]') for name in LISTS for number in NUMBERS),
    *(as_cursor(f'["{name}",[1,"a\\u0000","b"]]') for name in LISTS),
    *(as_cursor(f'["{name}",{"[" * 400}{"]" * 400}]') for name in LISTS),
]


@pytest.mark.parametrize("name", READERS)
def test_invented_cursors_are_refused(name: str) -> None:
    """Numbers of 25 digits, NaN, deep lists, NUL, cursors of other lists."""
    assert [cursor for cursor in INVENTED if not refused(READERS[name], cursor)] == []


@pytest.mark.parametrize("name", READERS)
@given(cursor=st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
@example(cursor=as_cursor('["waiting",9007199254740993]'))
def test_no_exception_but_a_refusal_is_raised(name: str, cursor: str) -> None:
    """For any text, and for any bytes encoded as a cursor."""
    refused(READERS[name], cursor)


@given(
    st.lists(
        st.integers(-(2**53) + 1, 2**53 - 1)
        | st.text(alphabet=st.characters(exclude_characters="\x00", codec="utf-8"), max_size=50),
        max_size=5,
    )
)
def test_a_cursor_comes_back_unchanged(place: list[Any]) -> None:
    """It is unchanged, and valid only for its own list."""
    cursor = encode_cursor("list", place)
    assert decode_cursor("list", cursor, list[Any]) == place
    assert refused(lambda given: decode_cursor("other", given, list[Any]), cursor)
    assert msgspec.json.decode(msgspec.json.encode(place)) == place


def test_each_list_accepts_its_own_cursor() -> None:
    """The encoders and decoders of the four services."""
    assert paging.position_of(paging.at_position(50)) == 50
    assert paging.agent_of(paging.after_agent("sara")) == "sara"
    assert history.decode("messages", history.encode("messages", 7, "k")) == (7, "k")
    assert sla_views.place_of(sla_views.cursor_of((1, "a", 2, 3))) == (1, "a", 2, 3)
    assert sla_views.ranked_place_of(sla_views.ranked_cursor_of(5, -0.25, (1, "a", 2, 3))) == (5, -0.25, (1, "a", 2, 3))
    assert sla_views.group_of(sla_views.group_cursor_of((1, "q", "c"))) == (1, "q", "c")
