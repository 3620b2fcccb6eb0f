"""Compares a cluster with the table of topics: `diff` reports the differences, `apply` removes them; both may be repeated.

A different partition count is reported as a conflict, because keys would move, and `apply` refuses to continue. Settings of a topic that an
operator added and that the table does not name are left alone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka.clients import admin_client
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.reasons import Reason
from services.chassis.topics import WantedTopic, replication_for, wanted


class ChangeKind(StrEnum):
    """The kind of difference."""

    CREATE = "CREATE"
    CONFIGURE = "CONFIGURE"
    CONFLICT = "CONFLICT"
    """Not fixed by `apply`: a partition count would move keys, a replication factor needs a reassignment."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the cluster and the table, for people and for `--json`."""

    kind: ChangeKind
    topic: str
    detail: str


async def diff(
    kafka: KafkaSettings, *, replication: int | None = None, partitions: Mapping[str, int] = MappingProxyType({})
) -> list[Change]:
    """Return the changes that `apply` would make. The default of `replication` depends on the number of brokers. Raises UNAVAILABLE KAFKA."""
    async with _admin(kafka) as admin:
        return [change for change, _ in await _compare(admin, kafka, replication, partitions)]


async def apply(
    kafka: KafkaSettings,
    *,
    replication: int | None = None,
    partitions: Mapping[str, int] = MappingProxyType({}),
    timeout_s: float = 30.0,
) -> list[Change]:
    """Create missing topics, set settings that differ, and return the changes once they are visible.

    Raises FAILED_PRECONDITION TOPIC_CONFLICT, with nothing changed, when a topic has another partition count or
    replication factor; UNAVAILABLE KAFKA when the cluster cannot be reached.
    """
    async with _admin(kafka) as admin:
        found = await _compare(admin, kafka, replication, partitions)
        conflicts = [change for change, _ in found if change.kind is ChangeKind.CONFLICT]
        if conflicts:
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION,
                Reason.TOPIC_CONFLICT,
                "; ".join(f"{c.topic}: {c.detail}" for c in conflicts)
                + ": use another topic prefix, or the partition counts that the topics have",
            )
        missing = [topic for change, topic in found if change.kind is ChangeKind.CREATE]
        if missing:
            await _create(admin, missing)
        altered = [topic for change, topic in found if change.kind is ChangeKind.CONFIGURE]
        if altered:
            await _configure(admin, altered)

        async def visible() -> bool:
            names = [topic.full_name for topic in missing]
            described = await admin.describe_topics(names) if names else []
            leaders = [p["leader"] for topic in described for p in topic["partitions"] or [{"leader": -1}]]
            return min(leaders, default=0) >= 0 and not await _compare(admin, kafka, replication, partitions)

        if found:
            await _wait_until(visible, timeout_s)
        return [change for change, _ in found]


async def _compare(
    admin: Any, kafka: KafkaSettings, replication: int | None, partitions: Mapping[str, int]
) -> list[tuple[Change, WantedTopic]]:
    brokers = len((await admin.describe_cluster())["brokers"])
    factor, min_isr = replication_for(brokers) if replication is None else (replication, min(2, replication))
    if factor > brokers:
        raise ChaparError(
            ErrorKind.FAILED_PRECONDITION,
            Reason.TOO_FEW_BROKERS,
            f"replication factor {factor} needs {factor} brokers, the cluster has {brokers}",
        )
    table = wanted(kafka.topic_prefix, replication=factor, min_isr=min_isr, partitions=partitions)
    there = set(await admin.list_topics())
    known = [topic.full_name for topic in table if topic.full_name in there]
    described = {d["topic"]: d["partitions"] for d in await admin.describe_topics(known)} if known else {}
    configs = await _configs(admin, known)
    found: list[tuple[Change, WantedTopic]] = []
    for topic in table:
        name = topic.full_name
        if name not in there:
            detail = (
                f"{topic.partitions} partitions, replication {topic.replication}, {topic.configs['cleanup.policy']}"
            )
            found.append((Change(ChangeKind.CREATE, name, detail), topic))
            continue
        has = described[name]
        if len(has) != topic.partitions:
            detail = f"has {len(has)} partitions, the table asks for {topic.partitions}"
            found.append((Change(ChangeKind.CONFLICT, name, detail), topic))
        factors = {len(partition["replicas"]) for partition in has}
        if replication is not None and factors != {topic.replication}:
            detail = f"has replication {sorted(factors)}, the settings ask for {topic.replication}"
            found.append((Change(ChangeKind.CONFLICT, name, detail), topic))
        other = [f"{k}={v} (was {configs[name].get(k)})" for k, v in topic.configs.items() if configs[name].get(k) != v]
        if other:
            found.append((Change(ChangeKind.CONFIGURE, name, ", ".join(sorted(other))), topic))
    return found


async def _create(admin: Any, topics: Sequence[WantedTopic]) -> None:
    requests = [NewTopic(t.full_name, t.partitions, t.replication, topic_configs=dict(t.configs)) for t in topics]
    response = await admin.create_topics(requests)
    for name, code, *rest in response.topic_errors:
        # Another process applies the same table at the same time: both succeed.
        if code and for_code(code).__name__ != "TopicAlreadyExistsError":
            raise _failed(
                f"topic {name} cannot be created: {for_code(code).__name__} {rest[0] if rest else ''}".strip()
            )


async def _configure(admin: Any, topics: Sequence[WantedTopic]) -> None:
    # The protocol's AlterConfigs replaces all settings of a topic: those that are not ours are sent unchanged.
    own = await _configs(admin, [topic.full_name for topic in topics], dynamic_only=True)
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, t.full_name, configs={**own[t.full_name], **t.configs}) for t in topics
    ]
    for response in await admin.alter_configs(resources):
        for code, message, _kind, name in response.resources:
            if code:
                raise _failed(f"topic {name} cannot be configured: {for_code(code).__name__} {message or ''}".strip())


_DYNAMIC_TOPIC_CONFIG = 1


async def _configs(admin: Any, names: Sequence[str], dynamic_only: bool = False) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    found: dict[str, dict[str, str]] = {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    for response in await admin.describe_configs(resources):
        for code, message, _kind, name, entries in response.resources:
            if code:
                raise _failed(
                    f"settings of topic {name} cannot be read: {for_code(code).__name__} {message or ''}".strip()
                )
            found[name] = {
                key: value
                for key, value, _read_only, source, *_ in entries
                if value is not None and (not dynamic_only or source == _DYNAMIC_TOPIC_CONFIG)
            }
    return found


async def _wait_until(done: Callable[[], Awaitable[bool]], timeout_s: float) -> None:
    """Wait until a change is visible: a cluster answers before all of its brokers know about a change."""
    try:
        async with asyncio.timeout(timeout_s):
            while not await done():  # noqa: ASYNC110 - the cluster sends no notification
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise _failed(f"the changes were accepted and are not visible after {timeout_s:g} s") from error


@asynccontextmanager
async def _admin(kafka: KafkaSettings) -> AsyncIterator[Any]:
    try:
        async with admin_client(kafka, client_id="chapar-topics") as admin:
            yield admin
    except KafkaError as error:
        raise _failed(
            f"Kafka at {kafka.bootstrap_servers} cannot be used ({type(error).__name__}): "
            "check that it runs, and that KAFKA_BOOTSTRAP_SERVERS and the access rights are correct"
        ) from error


def _failed(message: str) -> ChaparError:
    return ChaparError(ErrorKind.UNAVAILABLE, Reason.BROKER_UNAVAILABLE, message)
