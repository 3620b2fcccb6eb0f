"""AuditService: lists who read or changed which person, conversation, assignment or configuration."""

from typing import Any, Protocol

from chapar.audit.v1 import audit_pb2, audit_pb2_grpc
from services.chassis.current_call import current_tenant
from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.adapters.edges.grpc_checks import optional, raise_for
from services.ingest.domain.reasons import Reason


class AuditRecords(Protocol):
    """The audit records of all tenants."""

    async def list(self, tenant: str, request: audit_pb2.ListAuditRequest) -> audit_pb2.ListAuditResponse:
        """Return a page of one tenant's records, newest first."""


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    """See the contract."""

    def __init__(self, records: AuditRecords | None) -> None:
        self._records = records

    async def ListAudit(self, request: audit_pb2.ListAuditRequest, context: Any) -> audit_pb2.ListAuditResponse:  # noqa: N802 - the contract's name
        """Return a page of the caller's tenant's records, newest first."""
        tenant = current_tenant()
        raise_for(optional(name, getattr(request, name)) for name in ("actor", "target_kind", "target_id"))
        if self._records is None:
            raise ChaparError(
                ErrorKind.UNAVAILABLE, Reason.HISTORY_OFF, "this replica keeps no history: ask another one"
            )
        return await self._records.list(tenant, request)
