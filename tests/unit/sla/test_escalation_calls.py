"""How escalations are handled when the router refuses the call."""

import grpc
import pytest

from chapar.router.v1 import router_pb2
from chapar.sla.v1 import sla_pb2
from services.chassis.kafka.consumer import NotNow
from services.chassis.kafka.records import Record
from services.chassis.metrics import Metrics
from services.sla.adapters.escalation import Escalation
from services.sla.metrics import METRICS


class Router:
    """Answers each call with the next status; None means success."""

    def __init__(self, *answers: grpc.StatusCode | None) -> None:
        self._answers = list(answers)
        self.calls = 0

    async def Reprioritise(  # noqa: N802 - the contract's name
        self, request: router_pb2.ReprioritiseRequest, **_: object
    ) -> router_pb2.ReprioritiseResponse:
        self.calls += 1
        answer = self._answers.pop(0)
        if answer is not None:
            raise grpc.aio.AioRpcError(answer, grpc.aio.Metadata(), grpc.aio.Metadata(), "refused")
        return router_pb2.ReprioritiseResponse()


def a_warning() -> Record:
    event = sla_pb2.SlaEvent(
        event_id="e", tenant="acme", pool="default", interaction_id="i", kind=sla_pb2.SLA_EVENT_KIND_WARNED
    )
    event.escalate_priority = 2
    return Record("sla.events.v1", 0, 0, 0, b"acme/c", event.SerializeToString(), ())


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAVAILABLE]
)
async def test_a_fault_of_this_service_loses_no_escalation(code: grpc.StatusCode) -> None:
    """A rotated key or a missing right is for an operator to correct: the escalation comes again, and is then
    settled."""
    router = Router(code, None)
    escalation = Escalation(router, Metrics(METRICS))  # type: ignore[arg-type]  # a fake with the one method
    with pytest.raises(NotNow):
        await escalation.handle([a_warning()])
    await escalation.handle([a_warning()])
    await escalation.handle([a_warning()])
    assert router.calls == 2


async def test_a_final_refusal_is_counted_and_skipped() -> None:
    """The interaction was closed meanwhile: another attempt would change nothing."""
    router = Router(grpc.StatusCode.NOT_FOUND)
    metrics = Metrics(METRICS)
    escalation = Escalation(router, metrics)  # type: ignore[arg-type]  # a fake with the one method
    await escalation.handle([a_warning()])
    await escalation.handle([a_warning()])
    assert router.calls == 1
    assert metrics.value("chapar_sla_reprioritise_total", "refused") == 1
