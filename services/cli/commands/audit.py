"""`chapar audit`: lists who read or changed which person, conversation, assignment or configuration."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from chapar.audit.v1 import audit_pb2, audit_pb2_grpc
from chapar.common.v1 import options_pb2, types_pb2
from services.cli.commands.options import Json, Limit
from services.cli.connection import channel_to, execute
from services.cli.local.workspace import Workspace
from services.cli.moments import parse_moment
from services.cli.output import as_data, console, emit_json, moment, table

_ACTIONS = {options_pb2.AUDIT_ACTION_READ: "read", options_pb2.AUDIT_ACTION_CHANGE: "change"}
_OUTCOMES = {
    audit_pb2.AUDIT_OUTCOME_REQUESTED: "requested",
    audit_pb2.AUDIT_OUTCOME_RETURNED: "returned",
    audit_pb2.AUDIT_OUTCOME_REFUSED: "refused",
}
_SHOWN_TARGETS = 3


def audit(
    target: Annotated[
        str, typer.Argument(help="Id of a person, conversation, interaction, agent…; default: all.")
    ] = "",
    actor: Annotated[str, typer.Option(help="Subject or agent id of the caller.")] = "",
    kind: Annotated[str, typer.Option(help="Kind of the target, e.g. person.")] = "",
    since: Annotated[str, typer.Option(help="Earliest time, e.g. 2026-11-01, 1405/08/10 or 2h (ago).")] = "",
    until: Annotated[str, typer.Option(help="End of the range (exclusive), in the same formats.")] = "",
    limit: Limit = 50,
    as_json: Json = False,
    jalali: Annotated[bool, typer.Option(help="Show Jalali dates.")] = False,
) -> None:
    """List audit records, newest first. Each use is audited too and needs the scope audit.read."""
    request = audit_pb2.ListAuditRequest(
        actor=actor, target_kind=kind, target_id=target, page=types_pb2.PageRequest(size=limit)
    )
    for field, text in (("from", since), ("to", until)):
        if text:
            getattr(request, field).FromDatetime(_moment(text))

    async def work() -> audit_pb2.ListAuditResponse:
        async with channel_to(Workspace.here(), "ingest") as channel:
            return await audit_pb2_grpc.AuditServiceStub(channel).ListAudit(request)

    answer = execute(work)
    if as_json:
        emit_json([as_data(record) for record in answer.records])
        return
    rows = (
        (
            moment(record.occurred_at_ms, jalali=jalali),
            record.agent_id or record.subject,
            _ACTIONS.get(record.action, ""),
            record.method.rpartition("/")[2],
            _targets(record),
            _outcome(record),
        )
        for record in answer.records
    )
    console.print(table("audit", ("when", "who", "action", "method", "targets", "outcome"), rows))


def _moment(text: str) -> datetime:
    now = datetime.now(UTC)
    try:
        return parse_moment(text, now, now.astimezone().tzinfo or UTC)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _outcome(record: audit_pb2.AuditRecord) -> str:
    times = f"{record.calls} times" if record.calls > 1 else ""
    return " ".join(filter(None, (_OUTCOMES.get(record.outcome, ""), record.reason, times)))


def _targets(record: audit_pb2.AuditRecord) -> str:
    shown = [f"{each.kind} {each.id}".strip() for each in record.targets[:_SHOWN_TARGETS]]
    more = len(record.targets) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
