"""Fields of requests are refused by path and never by their contents, in time that is linear in the size of the request."""

import math
import time
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import ingest_pb2
from chapar.router.v1 import records_pb2, router_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.field_limits import FieldLimits

LIMITS = FieldLimits()
Selector = types_pb2.Selector


def wrong(request: Message) -> dict[str, str]:
    """Return violations by path; empty when there are none."""
    refused = None
    try:
        LIMITS.check(request)
    except ChaparError as error:
        refused = error
    if refused is None:
        return {}
    assert (refused.kind, refused.reason) == (ErrorKind.INVALID, "INVALID_FIELD")
    return {each.field: each.description for each in refused.violations}


def agent(**fields: Any) -> router_pb2.UpsertAgentRequest:
    return router_pb2.UpsertAgentRequest(agent=config_pb2.AgentProfile(agent_id="sara", **fields))


def nested(depth: int) -> Selector:
    found = Selector(attribute="x")
    for _ in range(depth):
        found = Selector(any_of=[found])
    return found


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (agent(pool="x" * 200_000), "agent.pool"),
        (agent(display_name="x" * 200_000), "agent.display_name"),
        (agent(queues=["a"] * 100_000), "agent.queues"),
        (agent(queues=["a", "b" * 201]), "agent.queues[1]"),
        (agent(skills={"x" * 5000: 1.0}), "agent.skills[0].key"),
        (agent(skills={"x": math.nan}), "agent.skills[0].value"),
        (agent(skills={f"s{i}": 1.0 for i in range(201)}), "agent.skills"),
        (ingest_pb2.SubmitRequest(idempotency_key="k" * 201), "idempotency_key"),
        (ingest_pb2.SubmitRequest(text="t" * 200_001), "text"),
        (ingest_pb2.SubmitRequest(text="a\x00b"), "text"),
        (ingest_pb2.SubmitRequest(display_name="a\nb"), "display_name"),
        (ingest_pb2.SubmitRequest(native_id="evil\u202eknil"), "native_id"),
        (ingest_pb2.SubmitRequest(labels={"a": "v" * 101}), "labels[0].value"),
        (ingest_pb2.SubmitRequest(labels={"a\x07": "v"}), "labels[0].key"),
        (ingest_pb2.GetConversationRequest(conversation_id="گفتگو"), "conversation_id"),
        (
            ingest_pb2.GetConversationRequest(page=types_pb2.PageRequest(cursor="c" * 2001)),
            "page.cursor",
        ),
        (sla_pb2.ListAtRiskRequest(least_probability=math.nan), "least_probability"),
        (sla_pb2.ListAtRiskRequest(within_ms=-1), "within_ms"),
        (sla_pb2.WatchEventsRequest(kinds=[sla_pb2.SLA_EVENT_KIND_WARNED] * 21), "kinds"),
        (
            router_pb2.RerouteRequest(
                reroute=records_pb2.Reroute(requirements=[Selector(), Selector(texts=["a", "b\u2028"])])
            ),
            "reroute.requirements[1].texts[1]",
        ),
        (router_pb2.SessionRequest(reply=router_pb2.Reply(text="x" * 20_001)), "reply.text"),
    ],
)  # fmt: skip
def test_a_field_beyond_its_limits_is_named(request_: Message, path: str) -> None:
    """The refusal has the path that the caller knows."""
    assert set(wrong(request_)) == {path}


def test_a_refusal_contains_nothing_of_the_request() -> None:
    """The refusal is logged and shown; the field may contain a customer's words."""
    found = wrong(ingest_pb2.SubmitRequest(native_id="my secret\x07diary", labels={"secret\x07": "x"}))
    assert "secret" not in f"{found}"


def test_an_invalid_time_is_refused() -> None:
    """It is refused whatever the handler would make of it."""
    request = ingest_pb2.SubmitRequest()
    request.sent_at.seconds = 1 << 60
    request.due_at.nanos = -5
    assert set(wrong(request)) == {"sent_at.seconds", "due_at.nanos"}


def test_persian_text_with_its_marks_is_accepted() -> None:
    """ZWNJ, marks, both directions in a text."""
    assert wrong(agent(display_name="سارا می\u200cخواهد", pool="فروش")) == {}
    assert wrong(ingest_pb2.SubmitRequest(text="سلام\n\u202bخوبی؟\u202c", native_id="۱۲۳")) == {}


def test_unknown_fields_are_dropped() -> None:
    """Otherwise a caller could store any number of bytes that no limit checks."""
    smuggled = b"\xfa\x3f" + b"\x80\x08" + b"x" * 1024  # field 1023, length 1024
    request = router_pb2.UpsertAgentRequest.FromString(b"\x12" + _length(smuggled) + smuggled)
    assert len(request.SerializeToString()) > 1000
    LIMITS.check(request)
    assert request.SerializeToString() == b"\x12\x00"


def _length(value: bytes) -> bytes:
    return bytes(((len(value) & 0x7F) | 0x80, len(value) >> 7))


def test_deep_and_wide_requests_are_refused() -> None:
    """They are refused by the number of their parts, whatever their shape."""
    assert wrong(router_pb2.RerouteRequest(reroute=records_pb2.Reroute(requirements=[nested(50)]))) == {}
    wide = Selector(any_of=[Selector(all_of=[Selector(any_of=[Selector()] * 20)] * 20)] * 20)
    assert set(wrong(router_pb2.RerouteRequest(reroute=records_pb2.Reroute(requirements=[wide])))) == {""}


@pytest.mark.parametrize("shape", ["parts", "text", "items", "names", "keys"])
def test_the_cost_is_at_most_linear(shape: str) -> None:
    """A request of ten times the size costs at most about ten times the CPU time, for the worst request of each shape."""

    def cost(size: int) -> float:
        request = _hostile(shape, size)
        best = math.inf
        for _ in range(5):
            begun = time.process_time()
            for _ in range(20):
                wrong(request)
            best = min(best, time.process_time() - begun)
        return best

    assert cost(100_000) < 40 * max(cost(10_000), 1e-4)


def _hostile(shape: str, size: int) -> Message:
    if shape == "parts":
        return router_pb2.RerouteRequest(
            reroute=records_pb2.Reroute(requirements=[Selector(any_of=[Selector()] * 19)] * (size // 20))
        )
    if shape == "items":
        return agent(queues=["q"] * size)
    if shape == "keys":
        return agent(skills={f"{index}": 1.0 for index in range(size)})
    if shape == "names":
        return agent(display_name="\u200c" * size)
    return ingest_pb2.SubmitRequest(text="\u0301" * size)


@given(st.text(max_size=300), st.text(max_size=300), st.lists(st.text(max_size=250), max_size=30))
def test_fields_that_pass_are_within_the_limits(name: str, pool: str, queues: list[str]) -> None:
    """A value that does not pass is named, with one violation for each wrong field."""
    try:
        request = agent(display_name=name, pool=pool, queues=queues)
    except UnicodeEncodeError:
        return  # protobuf itself refuses half a surrogate pair
    found = wrong(request)
    assert ("agent.display_name" in found) == (len(name) > 200 or _not_one_line(name))
    assert ("agent.pool" in found) == (len(pool) > 200 or _not_one_line(pool))
    for index, queue in enumerate(queues):
        assert (f"agent.queues[{index}]" in found) == (len(queue) > 200 or _not_one_line(queue)) or len(found) >= 20


def _not_one_line(text: str) -> bool:
    return any(
        ord(c) < 0x20
        or 0x7F <= ord(c) < 0xA0
        or c in "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
        for c in text
    )
