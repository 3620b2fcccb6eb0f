"""The audit log: who read or changed which person, conversation, assignment or configuration.

- A change is recorded before it is made, and a read before the data leave the service. When the record can't be made
  durable, the call is refused with UNAVAILABLE. So every disclosure is in the log.
- A stream of reads is recorded before its first answer leaves, so a stream that is refused at once is never recorded as
  returned.
- A refusal of an authenticated caller is recorded after it. When the recording fails, the call is still refused.
- A refusal before the request is read is recorded once for each caller, method and reason in a window (`audit_refusals`).
- A call with more targets than one record holds is recorded as several records, each complete.
- Records contain Chapar's own ids, never names, texts or native ids, so an erasure does not need to change them. A caller
  may write personal data into an idempotency key, so a record contains a hash of the key.
- Each record has an id; a reader of the log uses it to drop repetitions.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import options_pb2
from services.chassis import ids
from services.chassis.audit_refusals import Counted, Refusal, RefusalWindows
from services.chassis.audit_rules import MOST_TARGETS, AuditRule, audit_rule_of, targets_of
from services.chassis.clock import Clock
from services.chassis.current_call import Call
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.producer import BrokerUnavailable, RecordTooLarge
from services.chassis.kafka.records import Headers
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.chassis.reasons import Reason
from services.chassis.tokens import Caller

TOPIC = "audit.v1"
_REQUESTED = audit_pb2.AUDIT_OUTCOME_REQUESTED
_RETURNED = audit_pb2.AUDIT_OUTCOME_RETURNED
_REFUSED = audit_pb2.AUDIT_OUTCOME_REFUSED


class AuditLog(Protocol):
    """The destination of records, for example a `DurableProducer`."""

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers) -> Any:
        """Return when the record is durable. Raises BrokerUnavailable."""


class AuditTrail:
    """Records the calls of one service."""

    def __init__(self, service: str, log: AuditLog, clock: Clock, metrics: Metrics) -> None:
        self._service = service
        self._log = log
        self._clock = clock
        self._records = metrics.counter("chapar_audit_records_total")
        self._rules: dict[str, AuditRule | None] = {}
        self._refusals = RefusalWindows()
        self._logger = get_logger(__name__)

    def rule(self, method: str) -> AuditRule | None:
        """Return the rule of a method. Each method is looked up once."""
        if method not in self._rules:
            self._rules[method] = audit_rule_of(method)
        return self._rules[method]

    async def requested(self, call: Call, rule: AuditRule, request: Any) -> None:
        """Record a change before it is made. Raises UNAVAILABLE AUDIT_AWAY."""
        await self._write(call, rule, {"request": request, "caller": call.caller}, _REQUESTED)

    async def returned(self, call: Call, rule: AuditRule, request: Any, response: Any) -> None:
        """Record a read before the data leave. `response` is None for a stream, which is recorded once, with its first answer."""
        roots = {"request": request, "response": response, "caller": call.caller}
        await self._write(call, rule, roots, _RETURNED)

    async def refused(self, call: Call, rule: AuditRule, request: Any, error: ChaparError) -> None:
        """Record the refusal of an authenticated caller. Never raises."""
        roots = {"request": request, "caller": call.caller}
        try:
            await self._write(call, rule, roots, _REFUSED, error.reason)
        except ChaparError:
            self._logger.warning("a refusal could not be audited", method=call.method, reason=error.reason)

    async def turned_away(self, caller: Caller, method: str, reason: str) -> None:
        """Record that an authenticated caller was refused before the request was read. Never raises.

        The first refusal of a caller, method and reason is recorded at once; later refusals in the same window are
        counted, and `record_refusals` records their number.
        """
        refusal = Refusal(caller.tenant, caller.subject, caller.agent_id, method.removeprefix("/"), reason)
        # A service that names its tenant per call could invent tenants: its refusals share one allowance.
        group = "" if caller.names_tenant else caller.tenant
        if (first := self._refusals.note(group, refusal, self._clock())) is not None:
            await self._record_refusals(Counted(group, first, 1, self._clock()))

    async def record_refusals(self, *, all_windows: bool = False) -> None:
        """Record the refusals counted in windows that have ended, or in all windows when the service stops. Never raises.

        While the log can't be written, the counts are kept for the next call.
        """
        away = False
        for counted in self._refusals.due(self._clock(), all_windows=all_windows):
            if away:
                self._refusals.give_back(counted)
            else:
                away = not await self._record_refusals(counted)

    async def _record_refusals(self, counted: Counted) -> bool:
        refusal = counted.refusal
        rule = self.rule(refusal.method) if refusal.method else None
        record = audit_pb2.AuditRecord(
            event_id=ids.random_id(),
            tenant=refusal.tenant,
            service=self._service,
            method=refusal.method,
            action=options_pb2.AUDIT_ACTION_UNSPECIFIED if rule is None else _action(rule),
            subject=refusal.subject,
            agent_id=refusal.agent_id,
            outcome=_REFUSED,
            reason=refusal.reason,
            occurred_at_ms=counted.last_ms,
            calls=counted.count,
        )
        try:
            await self._publish(record)
        except ChaparError:
            self._refusals.give_back(counted)
            self._logger.warning("refusals could not be audited yet", method=refusal.method, reason=refusal.reason)
            return False
        return True

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
        for record in audit_records(self._service, call, call.caller, rule, roots, outcome, reason, self._clock()):
            await self._publish(record)

    async def _publish(self, record: audit_pb2.AuditRecord) -> None:
        try:
            headers = record_headers(TOPIC, record.event_id, record.tenant)
            await self._log.publish(TOPIC, record.tenant.encode(), record.SerializeToString(), headers)
        except (BrokerUnavailable, RecordTooLarge) as error:
            self._records.labels("lost").inc()
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.AUDIT_AWAY,
                "this call must be audited and the audit log can't be written now: try again",
                retry_after_s=2,
            ) from error
        self._records.labels(audit_pb2.AuditOutcome.Name(record.outcome).removeprefix("AUDIT_OUTCOME_").lower()).inc()


def audit_records(
    service: str,
    call: Call,
    caller: Caller,
    rule: AuditRule,
    roots: Mapping[str, Any],
    outcome: "audit_pb2.AuditOutcome.ValueType",
    reason: str,
    now_ms: int,
) -> Iterator[audit_pb2.AuditRecord]:
    """Yield the records of one call: one for each MOST_TARGETS targets. They differ only in their targets and ids."""
    found = targets_of(rule, roots)
    for at in range(0, len(found), MOST_TARGETS):
        targets = found[at : at + MOST_TARGETS]
        yield audit_pb2.AuditRecord(
            event_id=ids.random_id(),
            tenant=caller.tenant,
            service=service,
            method=call.method.removeprefix("/"),
            action=_action(rule),
            targets=[audit_pb2.AuditedTarget(kind=kind, id=each) for kind, each in targets],
            subject=caller.subject,
            agent_id=caller.agent_id,
            outcome=outcome,
            reason=reason,
            occurred_at_ms=now_ms,
            idempotency_key=hashed_key(caller.tenant, call.idempotency_key),
            calls=1,
        )


def hashed_key(tenant: str, key: str) -> str:
    """Return the hash of an idempotency key for a record: equal for equal keys of a tenant; empty without a key."""
    return ids.derive("audit", "idempotency key", tenant, key) if key else ""


def _action(rule: AuditRule) -> "options_pb2.AuditAction.ValueType":
    return options_pb2.AUDIT_ACTION_CHANGE if rule.changes else options_pb2.AUDIT_ACTION_READ
