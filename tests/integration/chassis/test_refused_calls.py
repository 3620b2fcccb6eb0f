"""What a refused call leaves behind, on real sockets: no request, no slot."""

from __future__ import annotations  # the async stubs exist in .pyi files only

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from chapar.sla.v1 import sla_pb2
from services.chassis.grpc.status import from_rpc_error
from services.chassis.grpc_settings import GrpcLimits
from services.chassis.lifecycle import Service, serving
from services.chassis.settings import ServiceSettings
from tests.hostile.grpc_floods import until
from tests.integration.chassis.conftest import SERVICE, Probe, bearer, build_probe, dev_settings, token

GET = f"/{SERVICE}/GetDeadlines"
WATCH = f"/{SERVICE}/WatchEvents"
SIZE, CALLS = 200_000, 30
_UNKNOWN_FIELD = b"\x7a" + b"\xc0\x9a\x0c" + b"x" * SIZE  # field 15, which the contract does not know


@contextmanager
def no_collector() -> Iterator[None]:
    """Without the collector, memory comes back only when the last reference is gone."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
        gc.enable()


def asks_for(interaction_id: str) -> bytes:
    """A large request whose large part is a field that nobody reads."""
    return sla_pb2.GetDeadlinesRequest(interaction_id=interaction_id).SerializeToString() + _UNKNOWN_FIELD


def watches(subject: str) -> bytes:
    return sla_pb2.WatchEventsRequest(queue=subject).SerializeToString()


@pytest.mark.parametrize(
    ("method", "request_", "deadline_s", "reason"),
    [
        pytest.param(GET, asks_for("x" * SIZE), 10, "INVALID_FIELD", id="breaks its limits"),
        pytest.param(GET, b"\xff" * SIZE, 10, "REQUEST_UNREADABLE", id="unreadable"),
        pytest.param(GET, asks_for("missing"), 10, "NO_INTERACTION", id="refused by the handler"),
        pytest.param(GET, asks_for("i"), None, "DEADLINE_MISSING", id="without a deadline"),
        pytest.param(WATCH, watches("x" * SIZE), 10, "INVALID_FIELD", id="a stream that breaks its limits"),
    ],
)
async def test_a_refused_call_leaves_nothing_of_its_request(
    service: Service[ServiceSettings], method: str, request_: bytes, deadline_s: float | None, reason: str
) -> None:
    """The bytes are gone when the call ends, not when the collector comes by: it counts objects, not how large they are."""
    metadata = bearer(token())
    async with grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel:
        call = _caller(channel, method)
        assert await _refused(call, request_, metadata, deadline_s) == reason
        with no_collector():
            for _ in range(CALLS):
                await _refused(call, request_, metadata, deadline_s)
            await until(lambda: service.metrics.value("chapar_grpc_in_progress", method) == 0)
            left, _ = tracemalloc.get_traced_memory()
    assert left < CALLS * SIZE / 4


async def test_a_refusal_that_waits_has_no_slot(probe: Probe, tmp_path: Path) -> None:
    """The call is in progress until it is answered, and another call may take its slot meanwhile."""
    limits = GrpcLimits(request_bytes=1 << 20, calls=2, calls_per_caller=1)
    settings = dev_settings(tmp_path, grpc_limits=limits, grpc_max_request_bytes=4 << 20)
    async with (
        serving("probe", settings, build_probe(probe)) as service,
        grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel,
    ):
        open_: Any = channel
        metadata = bearer(token())
        refused = open_.unary_unary(GET)(b"\x7a\x80\x80\x60" + b"x" * (3 << 19), metadata=metadata, timeout=20)
        await until(lambda: service.metrics.value("chapar_grpc_in_progress", GET) == 1 and _slots(service) == 0)
        small = sla_pb2.GetDeadlinesRequest(interaction_id="i").SerializeToString()
        await open_.unary_unary(GET)(small, metadata=metadata, timeout=5)
        assert not refused.done()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await refused
        assert from_rpc_error(caught.value).reason == "TOO_MANY_BYTES"


def _slots(service: Service[ServiceSettings]) -> float:
    return service.metrics.value("chapar_grpc_slots_taken", "call") or 0


def _caller(channel: Any, method: str) -> Any:
    return channel.unary_stream(method) if method == WATCH else channel.unary_unary(method)


async def _refused(call: Any, request: bytes, metadata: Any, deadline_s: float | None) -> str:
    """The reason of a refusal. What the client holds of it is gone when this returns."""
    made = call(request, metadata=metadata, timeout=deadline_s)
    try:
        await (made.read() if hasattr(made, "read") else made)
    except grpc.aio.AioRpcError as error:
        reason = from_rpc_error(error).reason
        error.__traceback__ = None
        return reason
    raise AssertionError("the call was served")
