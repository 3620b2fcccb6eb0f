"""Carries out an operator's decision about one partition: audits it, then writes it as a claim (`services.chassis.kafka.intervention`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import options_pb2
from services.chassis import ids
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.contract import LaneSpec
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.intervention import LaneOperator, Repair, Situation
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.kafka.transactions.producer import TransactionFailed
from services.chassis.kafka_settings import KafkaSettings
from services.cli.lane_decisions import Plan
from services.cli.reasons import Reason

AUDIT: Final = "audit.v1"
CLIENT: Final = "cli-lanes"
Planner = Callable[[Situation], Plan]
"""Returns the plan for a situation, or raises ChaparError."""


async def situations(kafka: KafkaSettings, lane: LaneSpec, clock: Clock) -> list[Situation]:
    """Return the situation of each partition of a lane. Raises KafkaError."""
    async with LaneOperator(kafka, lane, clock=clock, client_id=CLIENT) as operator:
        return [await operator.look(partition) for partition in await operator.partitions()]


async def planned(kafka: KafkaSettings, lane: LaneSpec, partition: int, planner: Planner, clock: Clock) -> Plan:
    """Return the plan for the present situation of a partition. Raises KafkaError, and NOT_FOUND for another partition."""
    async with LaneOperator(kafka, lane, clock=clock, client_id=CLIENT) as operator:
        count = len(await operator.partitions())
        if partition not in range(count):
            raise ChaparError(
                ErrorKind.NOT_FOUND, Reason.OFFSET_OUT_OF_RANGE, f"{lane.name} has partitions 0 to {count - 1}"
            )
        return planner(await operator.look(partition))


async def carry_out(
    kafka: KafkaSettings,
    lane: LaneSpec,
    partition: int,
    planner: Planner,
    plan: Plan,
    clock: Clock,
    *,
    method: str,
    tenant: str,
    actor: str,
) -> None:
    """Record the decision in the audit log of `tenant`, then write it, if the partition still needs the same decision.

    Raises FAILED_PRECONDITION when it has changed, and UNAVAILABLE when the cluster does not answer.
    """

    def choose(situation: Situation) -> Repair:
        if (again := planner(situation)).repair != plan.repair:
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION,
                Reason.LANE_CHANGED,
                f"{lane.name}/{partition} has changed: {again.says[0]} Nothing was written",
            )
        return plan.repair

    target = f"{lane.name}/{partition}"
    async with DurableProducer(kafka, client_id=CLIENT) as producer:
        try:
            # The audit record comes first: a change without a trace is worse than a request that is repeated.
            audited = _audit(method, target, tenant, actor, clock())
            headers = record_headers(AUDIT, audited.event_id, tenant)
            await producer.publish(AUDIT, tenant.encode(), audited.SerializeToString(), headers)
        except BrokerUnavailable as error:
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.BROKER_UNAVAILABLE,
                "the decision could not be audited, so nothing was written: try again",
            ) from error
    async with LaneOperator(kafka, lane, clock=clock, client_id=CLIENT) as operator:
        try:
            await operator.decide(partition, choose)
        except TransactionFailed as failure:
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.LANE_CONTESTED,
                f"{target}: {failure}; look with `chapar lanes list` whether the decision was written, and try again",
            ) from failure


def _audit(method: str, target: str, tenant: str, actor: str, now_ms: int) -> audit_pb2.AuditRecord:
    return audit_pb2.AuditRecord(
        event_id=ids.random_id(),
        tenant=tenant,
        service="cli",
        method=method,
        action=options_pb2.AUDIT_ACTION_CHANGE,
        targets=[audit_pb2.AuditedTarget(kind="lane", id=target)],
        subject=actor,
        outcome=audit_pb2.AUDIT_OUTCOME_REQUESTED,
        occurred_at_ms=now_ms,
    )
