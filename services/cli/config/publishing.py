"""Publishes a configuration in one transaction: one record of config.v1 for all services, one activation in the log of every pool, one version
for the history.

The router acts on the activation only, so that a replay applies each version at the same position as the live engine did.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, ProducerFenced

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import options_pb2, types_pb2
from chapar.config.v1 import config_pb2
from chapar.config.v1.history_pb2 import ConfigurationVersion
from chapar.router.v1 import records_pb2
from services.chassis import ids
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.topics import full_name
from services.cli.config.differences import differences, summary
from services.cli.config.hints import hints
from services.cli.config.history import CONFIG, HISTORY, KEPT, Versions, in_force, kept, key_of, with_current
from services.cli.reasons import Reason

COMMANDS, AUDIT = "routing.commands.v1", "audit.v1"


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of `apply`. `changed` is False when this content was already in force."""

    tenant: str
    version: int
    changed: bool
    hints: tuple[str, ...] = ()
    """What the change does not do by itself, as sentences."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person was shown before: it holds if `expected` is still the version in force. `restores`: the version of a rollback."""

    expected: int
    restores: int = 0


@dataclass(frozen=True, slots=True)
class _Output:
    """One record of the transaction; without a value it is a tombstone."""

    topic: str
    key: bytes
    value: bytes | None
    event_id: str


async def current(kafka: KafkaSettings) -> dict[str, config_pb2.TenantConfiguration]:
    """Return the configurations in force, by tenant."""
    return {tenant: version.configuration for tenant, version in (await in_force(kafka)).items()}


async def apply(
    kafka: KafkaSettings,
    wanted: config_pb2.TenantConfiguration,
    clock: Clock,
    actor: str = "chapar",
    *,
    keep: int = KEPT,
    decided: Decided | None = None,
) -> Applied:
    """Put a linted configuration in force, and record in the audit log that `actor` applied it. The history keeps `keep` versions.

    Raises KafkaError when the cluster does not accept it, and FAILED_PRECONDITION when the version in force is not the expected one; then
    nothing has changed.
    """
    tenant = wanted.tenant
    digest = hashlib.sha256(wanted.SerializeToString(deterministic=True)).hexdigest()
    async with _only_producer(kafka, tenant) as producer:
        before = (await in_force(kafka)).get(tenant)
        number = before.configuration.version if before is not None else 0
        if decided is not None and number != decided.expected:
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION,
                Reason.CONFIG_CHANGED,
                f"version {number} of {tenant} has been put in force meanwhile; nothing was changed: compare again",
            )
        if before is not None and before.configuration.content_hash == digest:
            return Applied(tenant, number, changed=False)
        version = ConfigurationVersion(
            configuration=wanted,
            applied_at_ms=clock(),
            actor=actor,
            summary=summary(differences(before.configuration, wanted)) if before is not None else "first version",
            restores=decided.restores if decided is not None else 0,
        )
        version.configuration.version = number + 1
        version.configuration.content_hash = digest
        known = (await kept(kafka)).get(tenant, {})
        pools = pools_of(version.configuration, *([before.configuration] if before is not None else []))
        outputs = [*_in_force(version, pools), *_remembered(known, before, version, keep)]
        async with producer.transaction():
            futures = [
                await producer.send(
                    full_name(kafka.topic_prefix, output.topic),
                    key=output.key,
                    value=output.value,
                    # A tombstone has no headers (`headers`).
                    headers=list(record_headers(output.topic, output.event_id, tenant)) if output.value else None,
                )
                for output in outputs
            ]
            for future in futures:
                await future
    told = hints(before.configuration, wanted) if before is not None else ()
    return Applied(tenant, version.configuration.version, changed=True, hints=told)


@asynccontextmanager
async def _only_producer(kafka: KafkaSettings, tenant: str) -> AsyncIterator[AIOKafkaProducer]:
    """Start a producer that fences the one before it. It starts before anything is read: of two concurrent calls for a tenant one fails, or
    the later one sees what the earlier one wrote. Raises KafkaError, ProducerFenced when another call has begun."""
    producer = AIOKafkaProducer(
        **kafka.client_options(),
        transactional_id=f"{kafka.topic_prefix}config-apply-{tenant}",
        transaction_timeout_ms=15_000,
    )
    try:
        await producer.start()
        yield producer
    except IllegalOperation as error:  # aiokafka's word for the next record after the one that was refused
        raise ProducerFenced(f"another change of {tenant} has begun; nothing was changed: try again") from error
    finally:
        await producer.stop()


def pools_of(*versions: config_pb2.TenantConfiguration) -> tuple[str, ...]:
    """Return the pools of versions, once each. A pool of the version before passes its work on."""
    return tuple(dict.fromkeys(pool.name for version in versions for pool in version.pools))


def _in_force(version: ConfigurationVersion, pools: Iterable[str]) -> Iterator[_Output]:
    configuration, tenant = version.configuration, version.configuration.tenant
    event_id = ids.derive("configuration", tenant, str(configuration.version))
    yield _Output(CONFIG, tenant.encode(), configuration.SerializeToString(), event_id)
    for pool in pools:
        activation = _activation(configuration, pool, version.applied_at_ms)
        yield _Output(COMMANDS, f"{tenant}/{pool}".encode(), activation.SerializeToString(), activation.command_id)
    audited = _audit(version)
    yield _Output(AUDIT, tenant.encode(), audited.SerializeToString(), audited.event_id)


def _remembered(
    known: Versions, before: ConfigurationVersion | None, version: ConfigurationVersion, keep: int
) -> Iterator[_Output]:
    """Yield the changes of the history: the new version, the one before it if the history does not have it, and tombstones for the oldest."""
    complete = dict(known) if before is None else with_current(known, before)
    complete[version.configuration.version] = version
    left = sorted(complete)[-keep:]
    for number, each in complete.items():
        if number in left and known.get(number) != each:
            yield _remembering(each, each.SerializeToString())
        elif number not in left and number in known:
            yield _remembering(each, None)


def _remembering(version: ConfigurationVersion, value: bytes | None) -> _Output:
    event_id = ids.derive("configuration version", key_of(version).decode(), str(value is None))
    return _Output(HISTORY, key_of(version), value, event_id)


def _audit(version: ConfigurationVersion) -> audit_pb2.AuditRecord:
    configuration = version.configuration
    return audit_pb2.AuditRecord(
        event_id=ids.derive("audit", "configuration", configuration.tenant, str(configuration.version)),
        tenant=configuration.tenant,
        service="cli",
        method="chapar config rollback" if version.restores else "chapar config apply",
        action=options_pb2.AUDIT_ACTION_CHANGE,
        targets=[audit_pb2.AuditedTarget(kind="configuration", id=f"version {configuration.version}")],
        subject=version.actor,
        outcome=audit_pb2.AUDIT_OUTCOME_REQUESTED,
        occurred_at_ms=version.applied_at_ms,
    )


def _activation(configuration: config_pb2.TenantConfiguration, pool: str, now_ms: int) -> records_pb2.RoutingCommand:
    return records_pb2.RoutingCommand(
        command_id=ids.derive("activate", configuration.tenant, pool, str(configuration.version)),
        tenant=configuration.tenant,
        pool=pool,
        issued_at_ms=now_ms,
        actor_kind=types_pb2.ACTOR_KIND_SYSTEM,
        actor_id="config-apply",
        activate_configuration=records_pb2.ActivateConfiguration(configuration=configuration),
    )
