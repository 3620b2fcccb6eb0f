"""The audit log: who read or changed which person, conversation, assignment or configuration.

- A change is recorded before it is made, a read before the data leave the service; when the record can't be made durable,
  the call is refused with UNAVAILABLE. So nothing that the log does not know was disclosed.
- A refusal of an authenticated caller is recorded afterwards. When that fails, the refusal holds all the same.
- Records hold ids of ours, never names, texts or native ids, so erasure need not touch them.
- Each record has an id; who reads the log drops a repetition by it.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import options_pb2
from services.chassis import ids
from services.chassis.audit_rules import AuditRule, audit_rule_of, targets_of
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.context import Call
from services.chassis.kafka.producer import BrokerUnavailable, RecordTooLarge
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics

TOPIC = "audit.v1"
_REQUESTED = audit_pb2.AUDIT_OUTCOME_REQUESTED
_RETURNED = audit_pb2.AUDIT_OUTCOME_RETURNED
_REFUSED = audit_pb2.AUDIT_OUTCOME_REFUSED


class AuditLog(Protocol):
    """Where records go: `DurableProducer` is one."""

    async def publish(self, topic: str, key: bytes, value: bytes) -> Any:
        """Returns when the record is durable. Raises BrokerUnavailable."""


class AuditTrail:
    """Records the calls of one service."""

    def __init__(self, service: str, log: AuditLog, clock: Clock, metrics: Metrics) -> None:
        self._service = service
        self._log = log
        self._clock = clock
        self._records = metrics.counter("chapar_audit_records_total")
        self._rules: dict[str, AuditRule | None] = {}
        self._logger = get_logger(__name__)

    def rule(self, method: str) -> AuditRule | None:
        """The rule of a method; looked up once."""
        if method not in self._rules:
            self._rules[method] = audit_rule_of(method)
        return self._rules[method]

    async def requested(self, call: Call, rule: AuditRule, request: Any) -> None:
        """A change is about to be made. Raises UNAVAILABLE AUDIT_AWAY."""
        await self._write(call, rule, {"request": request, "caller": call.caller}, _REQUESTED)

    async def returned(self, call: Call, rule: AuditRule, request: Any, response: Any) -> None:
        """Data are about to leave. `response` is None for a stream, which is recorded once, when it opens."""
        roots = {"request": request, "response": response, "caller": call.caller}
        await self._write(call, rule, roots, _RETURNED)

    async def refused(self, call: Call, rule: AuditRule, request: Any, error: ChaparError) -> None:
        """An authenticated caller was refused. Never raises."""
        roots = {"request": request, "caller": call.caller}
        try:
            await self._write(call, rule, roots, _REFUSED, error.reason)
        except ChaparError:
            self._logger.warning("a refusal could not be audited", method=call.method, reason=error.reason)

    async def _write(
        self,
        call: Call,
        rule: AuditRule,
        roots: Mapping[str, Any],
        outcome: "audit_pb2.AuditOutcome.ValueType",
        reason: str = "",
    ) -> None:
        if call.caller is None:
            return
        record = audit_record(self._service, call, rule, roots, outcome, reason, self._clock())
        try:
            await self._log.publish(TOPIC, record.tenant.encode(), record.SerializeToString())
        except (BrokerUnavailable, RecordTooLarge) as error:
            self._records.labels("lost").inc()
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                "AUDIT_AWAY",
                "this call must be audited and the audit log can't be written now: try again",
                retry_after_s=2,
            ) from error
        self._records.labels(audit_pb2.AuditOutcome.Name(outcome).removeprefix("AUDIT_OUTCOME_").lower()).inc()


def audit_record(
    service: str,
    call: Call,
    rule: AuditRule,
    roots: Mapping[str, Any],
    outcome: "audit_pb2.AuditOutcome.ValueType",
    reason: str,
    now_ms: int,
) -> audit_pb2.AuditRecord:
    """The record of one call. The caller must be known."""
    caller = call.caller
    assert caller is not None
    action = options_pb2.AUDIT_ACTION_CHANGE if rule.changes else options_pb2.AUDIT_ACTION_READ
    return audit_pb2.AuditRecord(
        event_id=ids.random_id(),
        tenant=caller.tenant,
        service=service,
        method=call.method.removeprefix("/"),
        action=action,
        targets=[audit_pb2.AuditedTarget(kind=kind, id=each) for kind, each in targets_of(rule, roots)],
        subject=caller.subject,
        agent_id=caller.agent_id,
        outcome=outcome,
        reason=reason,
        occurred_at_ms=now_ms,
        idempotency_key=call.idempotency_key,
    )
