"""The router writes its records itself: every byte equals a message object's, serialized deterministically."""

from functools import partial
from typing import Any, Final, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chapar.router.v1 import records_pb2 as pb
from services.router.domain import effects as fx
from services.router.domain.commands import ReplyTo
from services.router.domain.model import AgentState, InteractionAttributes, OfferEnd
from services.router.translate import attributes as attributes_module
from services.router.translate.attributes import AttributesCache, encode_attributes, from_attributes
from services.router.translate.events import BODIES, EventWriter, event_time
from services.router.translate.feed import feed_time, write_notice, write_result
from services.router.translate.wire import int32, tag, text, varint
from tests.unit.router import messages
from tests.unit.router.test_translate import SELECTORS

_TEXTS: Final = st.text("ab=|é تهران\u200c\x00😀", max_size=8) | st.sampled_from(("", "x" * 127, "x" * 128, "é" * 200))
_EDGES: Final = (0, 1, 127, 128, 16_383, 16_384, 2**31 - 1)
_INT32: Final = st.sampled_from((*_EDGES, -1, -(2**31))) | st.integers(-(2**31), 2**31 - 1)
_INT64: Final = st.sampled_from((*_EDGES, -1, 2**31, 2**63 - 1, -(2**63))) | st.integers(-(2**63), 2**63 - 1)
_SMALL: Final = {"position", "eligible", "considered", "used", "total", "priority", "automatic", "state"}
"""Fields of 32 bits."""
_ATTRIBUTES: Final = st.builds(
    InteractionAttributes,
    **{name: _TEXTS for name, kind in get_type_hints(InteractionAttributes).items() if kind is str},
    priority=_INT32,
    requirements=SELECTORS,
    labels=st.dictionaries(_TEXTS, _TEXTS, max_size=4).map(lambda d: tuple(sorted(d.items()))),
    arrived_at_ms=_INT64,
    public=st.booleans(),
    due_at_ms=_INT64,
    start_at_ms=_INT64,
    automatic=_INT32,
)
_BY_TYPE: Final[dict[Any, st.SearchStrategy[Any]]] = {
    str: _TEXTS,
    bool: st.booleans(),
    AgentState: st.sampled_from(AgentState),
    OfferEnd: st.sampled_from(OfferEnd),
    InteractionAttributes: st.sampled_from(
        (
            InteractionAttributes("", ""),
            InteractionAttributes("i", "c", queue="q", priority=-1, labels=(("tier", "gold"),)),
            InteractionAttributes("i" * 60, "c" * 60, "p" * 60, arrived_at_ms=1_700_000_000_000),
        )
    ),
}


def _made(kind: type[Any], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return values of a dataclass, each of whose fields is drawn by its type."""
    fields = {
        name: _BY_TYPE[hint] if hint is not int else _INT32 if name in _SMALL else _INT64
        for name, hint in get_type_hints(kind).items()
        if name not in given
    }
    return st.builds(kind, **fields, **given)


_EVENTS: Final = {kind: _made(kind) for kind in (*get_args(fx.InteractionEvent), fx.AgentStateChanged)}
_PARTS: Final = {
    fx.SnapshotNotice: {
        "offers": st.lists(_made(fx.OfferNotice), max_size=2).map(tuple),
        "assignments": st.lists(_made(fx.AssignmentNotice), max_size=2).map(tuple),
    }
}
_NOTICES: Final = {kind: _made(kind, **_PARTS.get(kind, {})) for kind in get_args(fx.Notice)}
_GATEWAYS: Final = st.builds(ReplyTo, _TEXTS, st.just(3))


def _bytes(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


@given(_ATTRIBUTES)
def test_attributes_are_written_as_a_message_writes_them(attributes: InteractionAttributes) -> None:
    """This includes the order of labels, labels without a value, and groups of requirements."""
    assert encode_attributes(attributes) == _bytes(messages.from_attributes(attributes))
    assert from_attributes(attributes) == messages.from_attributes(attributes)


@pytest.mark.parametrize("kind", _EVENTS)
@settings(max_examples=40)
@given(st.data(), _TEXTS, _TEXTS, _TEXTS, _TEXTS, _INT64, _INT64)
def test_every_event_is_written_as_a_message_writes_it(
    kind: type[Any], data: Any, event_id: str, tenant: str, pool: str, cause: str, now_ms: int, version: int
) -> None:
    """Any values of the contract's types, the default ones too."""
    event = data.draw(_EVENTS[kind])
    writer = EventWriter(tenant, pool, AttributesCache())
    writer.begin(cause, event_time(now_ms), version)
    write = writer.agent_state if isinstance(event, fx.AgentStateChanged) else writer.interaction
    expected = messages.from_event(event, event_id, tenant, pool, cause, now_ms, version)
    assert write(event_id, event) == _bytes(expected)


@pytest.mark.parametrize("kind", _NOTICES)
@settings(max_examples=40)
@given(st.data(), _GATEWAYS, _TEXTS, _TEXTS, _INT64)
def test_every_notice_is_written_as_a_message_writes_it(
    kind: type[Any], data: Any, gateway: ReplyTo, session_id: str, agent_id: str, now_ms: int
) -> None:
    """A snapshot holds offers and assignments."""
    to = fx.ToDesk(gateway, session_id, agent_id, data.draw(_NOTICES[kind]))
    assert write_notice(to, feed_time(now_ms), AttributesCache()) == _bytes(messages.from_desk(to, now_ms))


@given(_made(fx.Result, reply_to=_GATEWAYS), _INT64)
def test_every_result_is_written_as_a_message_writes_it(result: fx.Result, now_ms: int) -> None:
    """Also a refusal, which has no `ok`."""
    assert write_result(result, feed_time(now_ms)) == _bytes(messages.from_result(result, now_ms))


def test_every_kind_of_event_can_be_written() -> None:
    """A new event without a writer makes this test fail, and not a lane."""
    assert set(BODIES) == set(get_args(fx.InteractionEvent))


def test_changed_attributes_are_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache compares objects, so a change is seen; unchanged attributes are encoded once, until the interaction is closed."""
    encoded: list[InteractionAttributes] = []

    def counted(attributes: InteractionAttributes) -> bytes:
        encoded.append(attributes)
        return encode_attributes(attributes)

    monkeypatch.setattr(attributes_module, "encode_attributes", counted)
    cache, one, other = AttributesCache(), InteractionAttributes("i", "c"), InteractionAttributes("i", "c", queue="q")
    assert cache.sized(one) == cache.sized(one) == b"\x06\x0a\x01i\x12\x01c"
    assert cache.sized(other) == b"\x09\x0a\x01i\x12\x01c\x42\x01q"
    cache.forget("i")
    cache.sized(other)
    assert encoded == [one, other, other]


@pytest.mark.parametrize("write", [partial(varint, 2**63), partial(varint, -(2**63) - 1), partial(int32, b"", 2**31)])
def test_numbers_out_of_range_are_refused(write: Any) -> None:
    """A message refuses them, and a reader would read another number."""
    with pytest.raises(ValueError, match="bits"):
        write()


def test_text_that_is_not_unicode_is_refused() -> None:
    """A message refuses lone surrogates too."""
    with pytest.raises(ValueError, match="surrogates"):
        text(tag(pb.FeedRecord, "agent_id"), "\ud800")
