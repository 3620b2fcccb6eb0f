"""The one table of topics. Names, keys, partitions and retention are decided here and nowhere else.

A topic's full name is `{prefix}{name}`; the prefix keeps installations on one cluster apart. Partition counts are fixed
when a topic is created, as keys would move: `diff` reports another count as a conflict and `apply` refuses to go on.
A changelog has the partitions of its lane's input, always, overrides included.
Settings that an operator put on a topic and that this table does not name are left alone.

`diff` says what the cluster lacks, `apply` mends it; both may be repeated at will.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka_settings import KafkaSettings

DEFAULT_PREFIX = "chapar."
LANE_PARTITIONS = 4
"""Few, because the broker's CPU, not the lanes, limits one machine; a real installation overrides it once, at first."""

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `retention_ms` is None for compacted topics, which keep the newest record of each key."""

    name: str
    key: str
    holds: str
    written_by: str
    partitions: int = LANE_PARTITIONS
    retention_ms: int | None = None
    compact: bool = False
    follows: str = ""
    """The topic whose partition count this one shares."""

    def configs(self, min_isr: int) -> dict[str, str]:
        """The topic settings that this table decides."""
        configs = {"min.insync.replicas": str(min_isr)}
        if self.compact:
            configs["cleanup.policy"] = "compact"
            # A restore reads what the cleaner has left: keep the dirty part small.
            configs["min.cleanable.dirty.ratio"] = "0.2"
            configs["segment.bytes"] = str(32 << 20)
            configs["segment.ms"] = str(_HOUR_MS)
            configs["max.compaction.lag.ms"] = str(6 * _HOUR_MS)
        else:
            configs["cleanup.policy"] = "delete"
            configs["retention.ms"] = str(self.retention_ms)
        return configs


def _log(
    name: str, key: str, holds: str, written_by: str, days: float, partitions: int = LANE_PARTITIONS, follows: str = ""
) -> Topic:
    return Topic(name, key, holds, written_by, partitions, retention_ms=int(days * _DAY_MS), follows=follows)


def _changelog(lane: str, input_: str) -> Topic:
    return Topic(
        f"{lane}.state.v1",
        "entity",
        f"changelog of the {lane} lane: open work and the position in {input_}",
        f"{lane} lane",
        compact=True,
        follows=input_,
    )


_TABLE = (
    _log(
        "inbound.v1", "identity_id", "`chapar.ingest.v1.InboundRecord`: messages as normalised, with body", "edges", 7
    ),
    _log("conversations.v1", "conversation_id", "`chapar.ingest.v1.ConversationRecord`", "intake and sender lanes", 30),
    _log(
        "outbound.v1", "conversation_id", "`chapar.ingest.v1.OutboundRecord`: what to send", "gateways, intake lane", 7
    ),
    _log("deliveries.v1", "conversation_id", "`chapar.ingest.v1.DeliveryRecord`: what became of it", "sender lane", 30),
    _log("routing.commands.v1", "tenant/pool", "`chapar.router.v1.RoutingCommand`", "intake lane, gateways, sla", 7),
    _log("routing.events.v1", "conversation_id", "`chapar.router.v1.RoutingEvent`, with reasons", "router shard", 30),
    _log(
        "routing.journal.v1",
        "shard (explicit partition)",
        "`chapar.router.v1.JournalRecord`: enough to replay",
        "router shard",
        30,
        follows="routing.commands.v1",
    ),
    _log(
        "gateway.feed.v1",
        "gateway (explicit partition)",
        "`chapar.router.v1.FeedRecord`: results and events for sessions",
        "router shard",
        1 / 24,
        partitions=8,
    ),
    _log("sla.events.v1", "conversation_id", "`chapar.sla.v1.SlaEvent`", "sla lane", 30),
    _log(
        "sla.webhooks.v1",
        "tenant/webhook",
        "`chapar.common.v1.WebhookNotice`: what another system has not taken yet",
        "sla",
        2,
    ),
    _log("feedback.commands.v1", "person_id", "`chapar.feedback.v1.FeedbackCommand`", "feedback relay, intake lane", 7),
    _log("feedback.answers.v1", "person_id", "`chapar.feedback.v1.FeedbackRecord`", "survey lane", 400),
    _log(
        "feedback.webhooks.v1",
        "tenant/webhook",
        "`chapar.common.v1.WebhookNotice`: what another system has not taken yet",
        "feedback",
        2,
    ),
    Topic(
        "feedback.scores.v1",
        "dimension and partition of the answers",
        "`chapar.feedback.v1.ScoreRecord`",
        "feedback analytics",
        compact=True,
        follows="feedback.answers.v1",
    ),
    Topic("config.v1", "tenant", "`chapar.config.v1.TenantConfiguration`", "`chapar config apply`", 1, compact=True),
    _log("deadletters.v1", "origin", "`chapar.common.v1.DeadLetter`: raw bytes and reason", "any lane", 30, 1),
    _changelog("ingest-intake", "inbound.v1"),
    _changelog("ingest-relay", "routing.events.v1"),
    _changelog("ingest-sender", "outbound.v1"),
    _changelog("router", "routing.commands.v1"),
    _changelog("sla", "routing.events.v1"),
    _changelog("feedback-relay", "routing.events.v1"),
    _changelog("feedback", "feedback.commands.v1"),
)

TOPICS: Mapping[str, Topic] = MappingProxyType({topic.name: topic for topic in _TABLE})


def full_name(prefix: str, name: str) -> str:
    """The name on the cluster. Raises KeyError for a topic that is not in the table."""
    return prefix + TOPICS[name].name


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """A topic as it should be on the cluster."""

    full_name: str
    topic: Topic
    partitions: int
    replication: int
    configs: Mapping[str, str]


def replication_for(brokers: int) -> tuple[int, int]:
    """Replication factor and min.insync.replicas for a cluster of so many brokers."""
    return (3, 2) if brokers >= 3 else (1, 1)


def wanted(
    prefix: str = DEFAULT_PREFIX,
    *,
    replication: int = 1,
    min_isr: int = 1,
    partitions: Mapping[str, int] = MappingProxyType({}),
) -> tuple[WantedTopic, ...]:
    """The table for one installation. `partitions` overrides counts by logical name, changelogs excepted."""
    for name, count in partitions.items():
        known = TOPICS.get(name)
        if known is None:
            raise ChaparError(ErrorKind.INVALID, "UNKNOWN_TOPIC", f"partitions are set for {name}, which is no topic")
        if known.follows:
            raise ChaparError(
                ErrorKind.INVALID,
                "PARTITIONS_FOLLOW",
                f"{name} always has the partitions of {known.follows}: set that one",
            )
        if not 1 <= count <= 1000:
            raise ChaparError(ErrorKind.INVALID, "PARTITIONS_RANGE", f"{name} can't have {count} partitions: 1 to 1000")

    def count_of(topic: Topic) -> int:
        source = TOPICS[topic.follows] if topic.follows else topic
        return partitions.get(source.name, source.partitions)

    return tuple(
        WantedTopic(
            prefix + topic.name,
            topic,
            count_of(topic),
            replication,
            MappingProxyType(topic.configs(min_isr)),
        )
        for topic in _TABLE
    )


class ChangeKind(StrEnum):
    """What is different."""

    CREATE = "CREATE"
    CONFIGURE = "CONFIGURE"
    CONFLICT = "CONFLICT"
    """Not mended by `apply`: a partition count would move keys, a replication factor needs a reassignment."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the cluster and the table, for people and for `--json`."""

    kind: ChangeKind
    topic: str
    detail: str


async def diff(
    kafka: KafkaSettings, *, replication: int | None = None, partitions: Mapping[str, int] = MappingProxyType({})
) -> list[Change]:
    """What `apply` would do. Without `replication` it follows from the number of brokers. Raises UNAVAILABLE KAFKA."""
    async with _admin(kafka) as admin:
        return [change for change, _ in await _compare(admin, kafka, replication, partitions)]


async def apply(
    kafka: KafkaSettings,
    *,
    replication: int | None = None,
    partitions: Mapping[str, int] = MappingProxyType({}),
    timeout_s: float = 30.0,
) -> list[Change]:
    """Creates what is missing, sets what differs, returns what was done once it is visible.

    Raises FAILED_PRECONDITION TOPIC_CONFLICT, with nothing changed, when a topic has another partition count or
    replication factor; UNAVAILABLE KAFKA when the cluster can't be reached.
    """
    async with _admin(kafka) as admin:
        found = await _compare(admin, kafka, replication, partitions)
        conflicts = [change for change, _ in found if change.kind is ChangeKind.CONFLICT]
        if conflicts:
            raise ChaparError(
                ErrorKind.FAILED_PRECONDITION,
                "TOPIC_CONFLICT",
                "; ".join(f"{c.topic}: {c.detail}" for c in conflicts)
                + ": use another topic prefix, or the partition counts that are there",
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
            "TOO_FEW_BROKERS",
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
            detail = f"has {len(has)} partitions, the table says {topic.partitions}"
            found.append((Change(ChangeKind.CONFLICT, name, detail), topic))
        factors = {len(partition["replicas"]) for partition in has}
        if replication is not None and factors != {topic.replication}:
            detail = f"has replication {sorted(factors)}, the settings say {topic.replication}"
            found.append((Change(ChangeKind.CONFLICT, name, detail), topic))
        other = [f"{k}={v} (was {configs[name].get(k)})" for k, v in topic.configs.items() if configs[name].get(k) != v]
        if other:
            found.append((Change(ChangeKind.CONFIGURE, name, ", ".join(sorted(other))), topic))
    return found


async def _create(admin: Any, topics: Sequence[WantedTopic]) -> None:
    requests = [NewTopic(t.full_name, t.partitions, t.replication, topic_configs=dict(t.configs)) for t in topics]
    response = await admin.create_topics(requests)
    for name, code, *rest in response.topic_errors:
        # Another process applies the same table at the same time: both are right.
        if code and for_code(code).__name__ != "TopicAlreadyExistsError":
            raise _failed(f"topic {name} can't be created: {for_code(code).__name__} {rest[0] if rest else ''}".strip())


async def _configure(admin: Any, topics: Sequence[WantedTopic]) -> None:
    # The protocol's AlterConfigs replaces all settings of a topic: those that are not ours go along unchanged.
    own = await _configs(admin, [topic.full_name for topic in topics], dynamic_only=True)
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, t.full_name, configs={**own[t.full_name], **t.configs}) for t in topics
    ]
    for response in await admin.alter_configs(resources):
        for code, message, _kind, name in response.resources:
            if code:
                raise _failed(f"topic {name} can't be configured: {for_code(code).__name__} {message or ''}".strip())


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
                    f"settings of topic {name} can't be read: {for_code(code).__name__} {message or ''}".strip()
                )
            found[name] = {
                key: value
                for key, value, _read_only, source, *_ in entries
                if value is not None and (not dynamic_only or source == _DYNAMIC_TOPIC_CONFIG)
            }
    return found


async def _wait_until(done: Callable[[], Awaitable[bool]], timeout_s: float) -> None:
    """A cluster answers before all of its brokers know: what we asked for becomes visible a little later."""
    try:
        async with asyncio.timeout(timeout_s):
            while not await done():  # noqa: ASYNC110 - the cluster tells nobody
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise _failed(f"the changes were accepted and are not visible after {timeout_s:g} s") from error


@asynccontextmanager
async def _admin(kafka: KafkaSettings) -> AsyncIterator[Any]:
    try:
        admin = AIOKafkaAdminClient(client_id="chapar-topics", request_timeout_ms=20_000, **kafka.client_options())
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()
    except KafkaError as error:
        raise _failed(
            f"Kafka at {kafka.bootstrap_servers} cannot be used ({type(error).__name__}): "
            "see that it runs, and that KAFKA_BOOTSTRAP_SERVERS and its rights are as they should be"
        ) from error


def _failed(message: str) -> ChaparError:
    return ChaparError(ErrorKind.UNAVAILABLE, "KAFKA", message)


def render_markdown() -> str:
    """The content of docs/topics.md."""
    lines = [
        "# Topics",
        "",
        "Drawn from `services/chassis/topics.py` by `python -m services.chassis.topics`; a test compares them.",
        "Names carry the installation's prefix, by default `chapar.`. Partition counts are defaults and are fixed when",
        "a topic is created.",
        "",
        "| topic | key | holds | written by | partitions | kept |",
        "|---|---|---|---|---|---|",
    ]
    for topic in _TABLE:
        source = TOPICS[topic.follows] if topic.follows else topic
        count = f"as {topic.follows} ({source.partitions})" if topic.follows else str(topic.partitions)
        lines.append(
            f"| `{topic.name}` | {topic.key} | {topic.holds} | {topic.written_by} | {count} | {_kept(topic)} |"
        )
    return "\n".join(lines) + "\n"


def _kept(topic: Topic) -> str:
    if topic.retention_ms is None:
        return "newest of each key"
    days, rest = divmod(topic.retention_ms, _DAY_MS)
    return f"{days} d" if not rest else f"{topic.retention_ms // _HOUR_MS} h"


if __name__ == "__main__":
    print(render_markdown(), end="")
