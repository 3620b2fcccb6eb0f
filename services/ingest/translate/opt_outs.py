"""Converts opt-outs that hold."""

from collections.abc import Iterable

from chapar.ingest.v1 import records_pb2
from services.ingest.domain.opt_outs import OptOut, OptOutScope


def opt_outs(records: Iterable[records_pb2.HeldOptOut]) -> tuple[OptOut, ...]:
    """Convert opt-outs. Raises ValueError for a scope that this version does not know."""
    return tuple(OptOut(each.channel, OptOutScope(each.scope), each.since_ms, each.actor) for each in records)


def opt_out_records(values: Iterable[OptOut]) -> list[records_pb2.HeldOptOut]:
    """Convert opt-outs to the contract."""
    return [
        records_pb2.HeldOptOut(
            channel=each.channel,
            scope=records_pb2.OptOutScope.ValueType(each.scope),
            since_ms=each.since_ms,
            actor=each.actor,
        )
        for each in values
    ]
