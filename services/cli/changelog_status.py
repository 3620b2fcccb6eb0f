"""The formats of the lanes' changelogs: what replicas write, what they could write, and what stops an operator from finalising an upgrade."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import options_pb2
from chapar.common.v1.changelog_format_pb2 import ChangelogFormat
from services.chassis import ids
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.finalised import TOPIC, format_of
from services.chassis.kafka.contract import LaneSpec
from services.chassis.kafka.coordination import PATIENCE_S
from services.chassis.kafka.groups import GroupDirectory
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.intervention import LaneOperator, Situation
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.cli.lane_table import LANES
from services.cli.reasons import Reason
from services.cli.topic_reader import read_all

AUDIT: Final = "audit.v1"
CLIENT: Final = "cli-upgrade"
SEALED: Final = "sealed"
"""Entries with personal data: their format is inside what only a person's key opens."""
_SEALED: Final = 0


@dataclass(frozen=True, slots=True)
class ChangelogStatus:
    """One changelog. Formats are 0 when they are not known."""

    changelog: str
    finalised: int
    """The newest format that replicas may write; 0: none was finalised, so they write the oldest that they can."""
    possible: int
    """The newest format that every present owner reads."""
    entries: Mapping[str, int]
    """How many entries have each format; "sealed" for those whose format cannot be seen."""
    versions: tuple[str, ...]
    """The versions of the present owners; "" for one that does not say its version."""
    stops: tuple[str, ...]
    """Why it cannot be finalised now, as sentences."""

    @property
    def to_finalise(self) -> int:
        """The format that finalising would allow; 0 when it would change nothing."""
        return self.possible if not self.stops and self.possible > self.finalised else 0


async def statuses(kafka: KafkaSettings, clock: Clock) -> list[ChangelogStatus]:
    """Return the status of each changelog. Raises KafkaError."""
    finalised = await finalised_formats(kafka)
    found = []
    async with GroupDirectory(kafka, client_id=CLIENT, patience_s=PATIENCE_S) as groups:
        for spec in LANES.values():
            async with LaneOperator(kafka, spec, clock=clock, client_id=CLIENT) as operator:
                situations = [await operator.look(partition) for partition in await operator.partitions()]
            idle = await groups.idle(spec.group, spec.input)
            found.append(status_of(spec, situations, idle, finalised.get(spec.changelog_topic, 0)))
    return found


def status_of(spec: LaneSpec, situations: Sequence[Situation], idle: Sequence[str], finalised: int) -> ChangelogStatus:
    """Return the status of a changelog. `idle`: the group's members without a partition."""
    claims = [each.found.claim for each in situations]
    newest = [0 if claim is None else claim.newest for claim in claims]
    return ChangelogStatus(
        spec.changelog_topic,
        finalised,
        min(newest, default=0),
        _entries(situations),
        tuple(sorted({"" if claim is None else claim.version for claim in claims})),
        tuple(_stops(spec, situations, idle, max(newest, default=0))),
    )


def _entries(situations: Sequence[Situation]) -> dict[str, int]:
    values = (value for each in situations for value in each.found.entries.values())
    counts = Counter(value[0] for value in values if value)
    return {SEALED if number == _SEALED else str(number): counts[number] for number in sorted(counts)}


def _stops(spec: LaneSpec, situations: Sequence[Situation], idle: Sequence[str], newest: int) -> list[str]:
    stops = []
    for each in situations:
        claim, place = each.found.claim, f"{spec.name}/{each.partition}"
        if not each.owner or claim is None or claim.free:
            stops.append(f"{place} has no owner now, so the version of its next owner is not known.")
        elif not claim.newest:
            stops.append(f"{place} is owned by {each.owner}, whose version is too old to say which formats it reads.")
        elif claim.newest < newest:
            stops.append(
                f"{place} is owned by {each.owner} of version {claim.version}, which reads formats up to {claim.newest}."
            )
    stops += [
        f"{member} is in the group {spec.group} without a partition, so its version is not known." for member in idle
    ]
    return stops


async def finalised_formats(kafka: KafkaSettings) -> dict[str, int]:
    """Return the finalised format of each changelog."""
    found: dict[str, int] = {}
    for record in await read_all(kafka, TOPIC):
        name = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            found.pop(name, None)
            continue
        try:
            found[name] = format_of(name, record.value)
        except (ValueError, DecodeError):  # the services refuse such a record, too
            continue
    return found


async def finalise(
    kafka: KafkaSettings, changelogs: Mapping[str, int], clock: Clock, *, tenant: str, actor: str
) -> None:
    """Record the decision in the audit log of `tenant`, then let every replica write these formats. Raises UNAVAILABLE."""
    async with DurableProducer(kafka, client_id=CLIENT) as producer:
        try:
            # The audit record comes first: a change without a trace is worse than a request that is repeated.
            audited = _audit(changelogs, tenant, actor, clock())
            headers = record_headers(AUDIT, audited.event_id, tenant)
            await producer.publish(AUDIT, tenant.encode(), audited.SerializeToString(), headers)
            for changelog, number in changelogs.items():
                record = ChangelogFormat(changelog=changelog, format=number, finalised_at_ms=clock(), actor=actor)
                headers = record_headers(TOPIC, ids.derive("format", changelog, str(number)), "")
                await producer.publish(TOPIC, changelog.encode(), record.SerializeToString(), headers)
        except BrokerUnavailable as error:
            raise ChaparError(
                ErrorKind.UNAVAILABLE,
                Reason.BROKER_UNAVAILABLE,
                "not everything may be finalised, because the cluster did not answer: try again",
            ) from error


def _audit(changelogs: Mapping[str, int], tenant: str, actor: str, now_ms: int) -> audit_pb2.AuditRecord:
    return audit_pb2.AuditRecord(
        event_id=ids.random_id(),
        tenant=tenant,
        service="cli",
        method="chapar upgrade finalise",
        action=options_pb2.AUDIT_ACTION_CHANGE,
        targets=[audit_pb2.AuditedTarget(kind="format", id=f"{name} {number}") for name, number in changelogs.items()],
        subject=actor,
        outcome=audit_pb2.AUDIT_OUTCOME_REQUESTED,
        occurred_at_ms=now_ms,
    )
