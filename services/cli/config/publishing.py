"""Publishes a configuration: one record of config.v1 for all services, and one activation in the log of every pool, in one transaction.

The router acts on the activation only, so that a replay applies each version at the same position as the live engine did.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from chapar.audit.v1 import audit_pb2
from chapar.common.v1 import options_pb2, types_pb2
from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2
from services.chassis import ids
from services.chassis.clock import Clock
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.topics import full_name
from services.cli.topic_reader import decoded, read_all

CONFIG, COMMANDS, AUDIT = "config.v1", "routing.commands.v1", "audit.v1"


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of `apply`. `changed` is False when this content was already in force."""

    tenant: str
    version: int
    changed: bool


async def current(kafka: KafkaSettings) -> dict[str, config_pb2.TenantConfiguration]:
    """Return the configurations in force, by tenant."""
    found: dict[str, config_pb2.TenantConfiguration] = {}
    for record in await read_all(kafka, CONFIG):
        tenant = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            found.pop(tenant, None)
        for _, configuration in decoded((record,), config_pb2.TenantConfiguration.FromString):
            if configuration.tenant == tenant:
                found[tenant] = configuration
    return found


async def apply(
    kafka: KafkaSettings, wanted: config_pb2.TenantConfiguration, clock: Clock, actor: str = "chapar"
) -> Applied:
    """Put a linted configuration in force, and record in the audit log that `actor` applied it.

    Raises KafkaError when the cluster does not accept it; then nothing has changed.
    """
    before = (await current(kafka)).get(wanted.tenant)
    digest = hashlib.sha256(wanted.SerializeToString(deterministic=True)).hexdigest()
    if before is not None and before.content_hash == digest:
        return Applied(wanted.tenant, before.version, changed=False)
    configuration = config_pb2.TenantConfiguration()
    configuration.CopyFrom(wanted)
    configuration.version = before.version + 1 if before is not None else 1
    configuration.content_hash = digest
    tenant = wanted.tenant
    event_id = ids.derive("configuration", tenant, str(configuration.version))
    records = [(CONFIG, tenant.encode(), configuration.SerializeToString(), event_id)]
    for pool in configuration.pools:
        activation = _activation(configuration, pool.name, clock())
        key = f"{tenant}/{pool.name}".encode()
        records.append((COMMANDS, key, activation.SerializeToString(), activation.command_id))
    audited = _audit(configuration, clock(), actor)
    records.append((AUDIT, tenant.encode(), audited.SerializeToString(), audited.event_id))
    producer = AIOKafkaProducer(
        **kafka.client_options(),
        # One id per tenant: two concurrent calls are serialised, and the slower one fails because it was fenced.
        transactional_id=f"{kafka.topic_prefix}config-apply-{wanted.tenant}",
        transaction_timeout_ms=15_000,
    )
    try:
        await producer.start()
        async with producer.transaction():
            futures = [
                await producer.send(
                    full_name(kafka.topic_prefix, topic),
                    key=key,
                    value=value,
                    headers=list(record_headers(topic, event_id, tenant)),
                )
                for topic, key, value, event_id in records
            ]
            for future in futures:
                await future
    finally:
        await producer.stop()
    return Applied(wanted.tenant, configuration.version, changed=True)


def _audit(configuration: config_pb2.TenantConfiguration, now_ms: int, actor: str) -> audit_pb2.AuditRecord:
    return audit_pb2.AuditRecord(
        event_id=ids.derive("audit", "configuration", configuration.tenant, str(configuration.version)),
        tenant=configuration.tenant,
        service="cli",
        method="chapar config apply",
        action=options_pb2.AUDIT_ACTION_CHANGE,
        targets=[audit_pb2.AuditedTarget(kind="configuration", id=f"version {configuration.version}")],
        subject=actor,
        outcome=audit_pb2.AUDIT_OUTCOME_REQUESTED,
        occurred_at_ms=now_ms,
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
