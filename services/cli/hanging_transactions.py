"""What an operator does about transactions that hang: which are there, what ending them means, and the audited writing of markers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import options_pb2
from services.chassis import ids
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.kafka.transactions.cluster import Cluster
from services.chassis.kafka.transactions.ending import Outcome, Recorded, end, recorded
from services.chassis.kafka.transactions.hanging import Found, find
from services.chassis.kafka_settings import KafkaSettings
from services.cli.reasons import Reason

AUDIT: Final = "audit.v1"
CLIENT: Final = "cli-transactions"
_REQUEST_MS: Final = 10_000
_CLOSE_S: Final = 3.0
_END_S: Final = 20.0

COMMIT: Final = "commit, as its coordinator recorded. Its records in other partitions are visible already; its effects may be confirmed."
ABORT: Final = "abort, as its coordinator recorded. Its writer has done the same work again, or will."
UNDECIDED_ABORT: Final = (
    "abort, because you said so: no outcome is recorded. If it was committed, a part of its work is lost now: compare the records "
    "that the same producer wrote to other partitions at the same time."
)
UNDECIDED: Final = "stays open: no outcome is recorded. `--abort` drops its records in this partition."


@dataclass(frozen=True, slots=True)
class Seen:
    """A transaction that readers wait for. `outcome`: what its coordinator recorded, if it hangs and something was."""

    found: Found
    outcome: Outcome | None

    @property
    def name(self) -> str:
        """Where it is, for sentences."""
        each = self.found.open
        topic, partition = each.place
        return (
            f"{topic}/{partition} from offset {each.first_offset} on (producer {each.producer_id}, epoch {each.epoch})"
        )


@dataclass(frozen=True, slots=True)
class EndPlan:
    """What to end, and how. `says`: sentences for the operator. `undecided`: the number of those that stay open."""

    ends: tuple[tuple[Seen, Outcome], ...]
    undecided: int
    says: tuple[str, ...]


def cluster_of(kafka: KafkaSettings) -> Cluster:
    """Return connections to the cluster, to be opened."""
    return Cluster(kafka, client_id=CLIENT, request_timeout_ms=_REQUEST_MS, close_timeout=_CLOSE_S)


async def seen(kafka: KafkaSettings) -> list[Seen]:
    """Return the transactions that are open in the topics of this installation. Raises KafkaError."""
    async with cluster_of(kafka) as cluster:
        found = await find(cluster, await cluster.places_of(kafka.topic_prefix), kafka.topic_prefix)
    words = await recorded(kafka, [each.open for each in found if each.hangs], client_id=CLIENT)
    none = Recorded(None, ongoing=False)
    seen_ = [(each, words.get(each.open, none)) for each in found]
    # A coordinator that is not available now has not forgotten what it recorded.
    return [Seen(each._replace(hangs=each.hangs and not word.ongoing), word.outcome) for each, word in seen_]


def plan(present: Sequence[Seen], *, topic: str = "", partition: int | None = None, abort: bool = False) -> EndPlan:
    """Plan to end the transactions that hang, of one topic or partition if it is named. `abort`: also those without an outcome."""
    ends: list[tuple[Seen, Outcome]] = []
    says: list[str] = []
    undecided = 0
    for each in present:
        place = each.found.open.place
        if not each.found.hangs or topic not in ("", place[0]) or partition not in (None, place[1]):
            continue
        if (outcome := each.outcome) is not None:
            said = COMMIT if outcome.commit else ABORT
        elif abort:
            outcome, said = Outcome(commit=False, epoch=each.found.open.epoch), UNDECIDED_ABORT
        else:
            undecided, said = undecided + 1, UNDECIDED
        if outcome is not None:
            ends.append((each, outcome))
        says.append(f"{each.name}: {said}")
    return EndPlan(tuple(ends), undecided, tuple(says) or ("No transaction hangs.",))


async def carry_out(kafka: KafkaSettings, planned: EndPlan, clock: Clock, *, tenant: str, actor: str) -> None:
    """Record the decision in the audit log of `tenant`, then write the markers of those that still hang.

    Raises UNAVAILABLE when the decision cannot be audited; then nothing was written. Raises KafkaError.
    """
    async with DurableProducer(kafka, client_id=CLIENT) as producer:
        try:
            # The audit record comes first: a change without a trace is worse than a request that is repeated.
            audited = _audit(planned, tenant, actor, clock())
            headers = record_headers(AUDIT, audited.event_id, tenant)
            await producer.publish(AUDIT, tenant.encode(), audited.SerializeToString(), headers)
        except BrokerUnavailable as error:
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.BROKER_UNAVAILABLE,
                "the decision could not be audited, so nothing was written: try again",
            ) from error
    async with cluster_of(kafka) as cluster:
        places = {each.found.open.place for each, _ in planned.ends}
        still = {each.open for each in await find(cluster, places, kafka.topic_prefix) if each.hangs}
        for each, outcome in planned.ends:
            if each.found.open in still:
                await end(cluster, each.found.open, outcome, _END_S)


def _audit(planned: EndPlan, tenant: str, actor: str, now_ms: int) -> audit_pb2.AuditRecord:
    return audit_pb2.AuditRecord(
        event_id=ids.random_id(),
        tenant=tenant,
        service="cli",
        method="chapar transactions end",
        action=options_pb2.AUDIT_ACTION_CHANGE,
        targets=[
            audit_pb2.AuditedTarget(kind="transaction", id=f"{place[0]}/{place[1]}@{each.found.open.first_offset}")
            for each, _ in planned.ends
            for place in (each.found.open.place,)
        ],
        subject=actor,
        outcome=audit_pb2.AUDIT_OUTCOME_REQUESTED,
        occurred_at_ms=now_ms,
    )
