"""The versions of tenants' configurations: `config.history.v1`, which has the newest versions of each tenant.

`config.v1` is compacted and has the version in force only. A record here has the key `tenant/version`. The transaction that adds a version writes
a tombstone for the oldest one too, when there are too many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chapar.config.v1 import config_pb2
from chapar.config.v1.history_pb2 import ConfigurationVersion
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka_settings import KafkaSettings
from services.cli.reasons import Reason
from services.cli.topic_reader import decoded, read_all

CONFIG: Final = "config.v1"
HISTORY: Final = "config.history.v1"
KEPT: Final = 100
"""How many versions of each tenant are kept unless CHAPAR_CONFIG_KEEP says otherwise."""
Versions = Mapping[int, ConfigurationVersion]
"""The versions of one tenant by number, oldest first."""


async def in_force(kafka: KafkaSettings) -> dict[str, ConfigurationVersion]:
    """Return the configurations in force by tenant, with the time of their record. They have no actor: the history has."""
    found: dict[str, ConfigurationVersion] = {}
    for record in await read_all(kafka, CONFIG):
        tenant = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            found.pop(tenant, None)
        for _, configuration in decoded((record,), config_pb2.TenantConfiguration.FromString):
            if configuration.tenant == tenant:
                found[tenant] = ConfigurationVersion(configuration=configuration, applied_at_ms=record.timestamp_ms)
    return found


async def kept(kafka: KafkaSettings) -> dict[str, dict[int, ConfigurationVersion]]:
    """Return the versions in the history, by tenant and number."""
    found: dict[bytes, ConfigurationVersion] = {}
    for record in await read_all(kafka, HISTORY):
        key = record.key or b""
        if record.value is None:
            found.pop(key, None)
        for _, version in decoded((record,), ConfigurationVersion.FromString):
            if key == key_of(version):
                found[key] = version
    tenants: dict[str, dict[int, ConfigurationVersion]] = {}
    for version in sorted(found.values(), key=lambda each: each.configuration.version):
        tenants.setdefault(version.configuration.tenant, {})[version.configuration.version] = version
    return tenants


async def versions_of(kafka: KafkaSettings, tenant: str) -> dict[int, ConfigurationVersion]:
    """Return the known versions of a tenant, the one in force included, oldest first. Raises NOT_FOUND when no configuration is in force."""
    now, known = await in_force(kafka), await kept(kafka)
    if (current := now.get(tenant)) is None:
        names = ", ".join(sorted(now)) or "none"
        raise ChaparError(
            ErrorKind.NOT_FOUND, Reason.NO_TENANT, f"tenant {tenant} has no configuration in force; these have: {names}"
        )
    return with_current(known.get(tenant, {}), current)


def with_current(known: Versions, current: ConfigurationVersion) -> dict[int, ConfigurationVersion]:
    """Return the versions with the one in force, which may be from before the history began, or of a version without one."""
    number = current.configuration.version
    same = number in known and known[number].configuration == current.configuration
    return dict(sorted({**known, **({} if same else {number: current})}.items()))


def version_of(versions: Versions, number: int) -> ConfigurationVersion:
    """Return one version. Raises NOT_FOUND UNKNOWN_VERSION with the versions that are known."""
    if (found := versions.get(number)) is None:
        raise ChaparError(
            ErrorKind.NOT_FOUND,
            Reason.UNKNOWN_VERSION,
            f"version {number} is not in the history: it has {', '.join(map(str, versions))}",
        )
    return found


def key_of(version: ConfigurationVersion) -> bytes:
    """Return the key of a version's record."""
    return f"{version.configuration.tenant}/{version.configuration.version}".encode()


def content_of(configuration: config_pb2.TenantConfiguration) -> config_pb2.TenantConfiguration:
    """Return the content that a file would have: without what `chapar config apply` sets."""
    content = config_pb2.TenantConfiguration()
    content.CopyFrom(configuration)
    content.ClearField("version")
    content.ClearField("content_hash")
    return content
