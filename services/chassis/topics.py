"""The one table of topics. Names, keys, partitions and retention are defined only here.

A topic's full name is `{prefix}{name}`; the prefix keeps installations on one cluster apart. Partition counts are fixed
when a topic is created, because keys would move. A changelog always has the partitions of its lane's input, also when they
are overridden. `services.chassis.cluster_topics` applies the table to a cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.reasons import Reason

DEFAULT_PREFIX = "chapar."
LANE_PARTITIONS = 4
"""A small number, because the broker's CPU limits one machine, not the lanes; a real installation overrides it once, before its start."""

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_SEGMENTS = 7
_SEGMENT_LEAST_MS, _SEGMENT_MOST_MS = 10 * 60_000, 7 * _DAY_MS


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `retention_ms` is None for compacted topics, which keep the newest record of each key."""

    name: str
    key: str
    schema: str
    """Full name of the protobuf message in a record's value; empty for a changelog (`services.chassis.kafka.changelog`)."""
    holds: str
    written_by: str
    partitions: int = LANE_PARTITIONS
    retention_ms: int | None = None
    compact: bool = False
    follows: str = ""
    """The topic whose partition count this one shares."""
    tombstones_ms: int | None = None
    """How long a compacted topic keeps tombstones, if Kafka's default of a day is too short."""
    lag_ms: int = 6 * _HOUR_MS
    """After this time a compacted topic has dropped records that are no longer the newest of their key."""
    append_time: bool = False
    """Records get the broker's time of append: from it a lane learns what time the brokers have."""

    @property
    def segment_ms(self) -> int:
        """The age at which a segment is closed. Only closed segments are deleted, so a record can stay for this time after its retention.

        Kafka's default is a week, which turns seven days of retention into fourteen. With a seventh of the retention, a small cluster has eight
        segments per partition; topics that are kept for months use a week, which is less than a seventh.
        """
        if self.retention_ms is None:
            return _HOUR_MS
        return min(_SEGMENT_MOST_MS, max(_SEGMENT_LEAST_MS, self.retention_ms // _SEGMENTS))

    @property
    def kept_at_most_ms(self) -> int | None:
        """The longest time that a record stays in the log after it was written; None for compacted topics."""
        return None if self.retention_ms is None else self.retention_ms + self.segment_ms

    @property
    def erased_within_ms(self) -> int:
        """The longest time that a deleted or replaced record stays in a compacted topic."""
        kept = self.kept_at_most_ms
        return kept if kept is not None else self.segment_ms + self.lag_ms

    def configs(self, min_isr: int) -> dict[str, str]:
        """Return the topic settings that this table decides."""
        configs = {"min.insync.replicas": str(min_isr)}
        if self.compact:
            configs["cleanup.policy"] = "compact"
            # A restore reads the records that the cleaner has left: keep the dirty part small.
            configs["min.cleanable.dirty.ratio"] = "0.2"
            configs["segment.bytes"] = str(32 << 20)
            configs["segment.ms"] = str(self.segment_ms)
            configs["max.compaction.lag.ms"] = str(self.lag_ms)
            if self.append_time:
                configs["message.timestamp.type"] = "LogAppendTime"
            if self.tombstones_ms is not None:
                configs["delete.retention.ms"] = str(self.tombstones_ms)
        else:
            configs["cleanup.policy"] = "delete"
            configs["retention.ms"] = str(self.retention_ms)
            configs["segment.ms"] = str(self.segment_ms)
        return configs


def _log(
    name: str,
    key: str,
    schema: str,
    holds: str,
    written_by: str,
    days: float,
    partitions: int = LANE_PARTITIONS,
    follows: str = "",
) -> Topic:
    return Topic(name, key, schema, holds, written_by, partitions, retention_ms=int(days * _DAY_MS), follows=follows)


def _changelog(lane: str, input_: str) -> Topic:
    return Topic(
        f"{lane}.state.v1",
        "entity",
        "",
        f"changelog of the {lane} lane: open entries and the position in {input_}",
        f"{lane} lane",
        compact=True,
        follows=input_,
        append_time=True,
    )


_FETCH = "chapar.ingest.v1.FileFetch"
_TABLE = (
    _log(
        "inbound.v1",
        "tenant/identity_id",
        "chapar.ingest.v1.InboundRecord",
        "normalised messages, with body",
        "edges",
        7,
    ),
    _log(
        "ingest.verdicts.v1",
        "tenant/question_id",
        "chapar.common.v1.Verdict",
        "the intake lane's decision about a request whose caller waits",
        "intake lane",
        1 / 24,
    ),
    _log("ingest.fetches.v1", "tenant/conversation_id", _FETCH, "files to fetch from a provider", "intake lane", 7),
    _log("ingest.waiting-fetches.v1", "tenant/conversation_id", _FETCH, "files that wait to be fetched", "fetcher", 2),
    _log(
        "conversations.v1",
        "tenant/conversation_id",
        "chapar.ingest.v1.ConversationRecord",
        "",
        "intake and sender lanes, fetcher",
        30,
    ),
    _log(
        "outbound.v1",
        "tenant/conversation_id",
        "chapar.ingest.v1.OutboundRecord",
        "messages to send",
        "gateways, intake lane",
        7,
    ),
    _log(
        "deliveries.v1",
        "tenant/conversation_id",
        "chapar.ingest.v1.DeliveryRecord",
        "the outcome of each message to send",
        "sender lane",
        30,
    ),
    _log(
        "routing.commands.v1", "tenant/pool", "chapar.router.v1.RoutingCommand", "", "intake, gateways, sla, router", 7
    ),
    _log(
        "routing.events.v1",
        "tenant/conversation_id",
        "chapar.router.v1.RoutingEvent",
        "with reasons",
        "router shard",
        30,
    ),
    _log(
        "routing.journal.v1",
        "shard (explicit partition)",
        "chapar.router.v1.JournalRecord",
        "the data that a replay needs",
        "router shard",
        30,
        follows="routing.commands.v1",
    ),
    _log(
        "gateway.feed.v1",
        "gateway (explicit partition)",
        "chapar.router.v1.FeedRecord",
        "results and events for sessions",
        "router shard",
        1 / 24,
        partitions=8,
    ),
    _log("sla.events.v1", "tenant/conversation_id", "chapar.sla.v1.SlaEvent", "", "sla lane", 30),
    _log(
        "sla.webhooks.v1",
        "tenant/webhook",
        "chapar.common.v1.WebhookNotice",
        "notices that another system has not accepted yet",
        "sla",
        2,
    ),
    _log(
        "feedback.verdicts.v1",
        "tenant/question_id",
        "chapar.common.v1.Verdict",
        "the survey lane's decision about a request whose caller waits",
        "survey lane",
        1 / 24,
    ),
    _log(
        "feedback.commands.v1",
        "tenant/person_id",
        "chapar.feedback.v1.FeedbackCommand",
        "",
        "feedback relay, intake lane",
        7,
    ),
    _log("feedback.responses.v1", "tenant/person_id", "chapar.feedback.v1.FeedbackRecord", "", "survey lane", 400),
    _log(
        "feedback.webhooks.v1",
        "tenant/webhook",
        "chapar.common.v1.WebhookNotice",
        "notices that another system has not accepted yet",
        "feedback",
        2,
    ),
    Topic(
        "feedback.scores.v1",
        "dimension and partition of the responses",
        "chapar.feedback.v1.ScoreRecord",
        "",
        "feedback analytics",
        compact=True,
        follows="feedback.responses.v1",
    ),
    Topic("config.v1", "tenant", "chapar.config.v1.TenantConfiguration", "", "`chapar config apply`", 1, compact=True),
    Topic(
        "config.history.v1",
        "tenant/version",
        "chapar.config.v1.ConfigurationVersion",
        "the newest versions of each configuration",
        "`chapar config apply`",
        1,
        compact=True,
    ),
    Topic(
        "formats.v1",
        "changelog",
        "chapar.common.v1.ChangelogFormat",
        "the newest format in which each changelog may be written",
        "`chapar upgrade finalise`",
        1,
        compact=True,
    ),
    _log(
        "audit.v1",
        "tenant",
        "chapar.audit.v1.AuditRecord",
        "reads and changes, with their author",
        "all services, CLI",
        400,
    ),
    _log(
        "revocations.v1",
        "name of the revoked token, subject or agent",
        "chapar.common.v1.Revocation",
        "revoked tokens; kept longer than a token can be valid",
        "`chapar token revoke`",
        31,
        1,
    ),
    _log("deadletters.v1", "origin", "chapar.common.v1.DeadLetter", "raw bytes and reason", "any lane", 30, 1),
    Topic(
        "personal.keys.v1",
        "id of the key",
        "chapar.common.v1.PersonalKey",
        "keys of persons, wrapped by a master key; a tombstone destroys a key",
        "ingest, gateways, feedback",
        1,
        compact=True,
        tombstones_ms=7 * _DAY_MS,
        lag_ms=_HOUR_MS,
    ),
    _log(
        "personal.erasures.v1",
        "id of the erasure",
        "chapar.common.v1.ErasureOutcome",
        "the actions of each store in an erasure",
        "ingest, feedback",
        30,
        1,
    ),
    _changelog("ingest-intake", "inbound.v1"),
    _changelog("ingest-sender", "outbound.v1"),
    _changelog("router", "routing.commands.v1"),
    _changelog("sla", "routing.events.v1"),
    _changelog("feedback", "feedback.commands.v1"),
)

TOPICS: Mapping[str, Topic] = MappingProxyType({topic.name: topic for topic in _TABLE})


def full_name(prefix: str, name: str) -> str:
    """Return the name on the cluster. Raises KeyError for a topic that is not in the table."""
    return prefix + TOPICS[name].name


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """The wanted state of a topic on the cluster."""

    full_name: str
    topic: Topic
    partitions: int
    replication: int
    configs: Mapping[str, str]


def replication_for(brokers: int) -> tuple[int, int]:
    """Return replication factor and min.insync.replicas for a cluster of `brokers` brokers."""
    return (3, 2) if brokers >= 3 else (1, 1)


def wanted(
    prefix: str = DEFAULT_PREFIX,
    *,
    replication: int = 1,
    min_isr: int = 1,
    partitions: Mapping[str, int] = MappingProxyType({}),
) -> tuple[WantedTopic, ...]:
    """Return the table for one installation. `partitions` overrides counts by logical name, except for changelogs."""
    for name, count in partitions.items():
        known = TOPICS.get(name)
        if known is None:
            raise ChaparError(
                ErrorKind.INVALID, Reason.UNKNOWN_TOPIC, f"partitions are set for {name}, which is not a topic"
            )
        if known.follows:
            raise ChaparError(
                ErrorKind.INVALID,
                Reason.PARTITIONS_FOLLOW,
                f"{name} always has the partitions of {known.follows}: set that one",
            )
        if not 1 <= count <= 1000:
            raise ChaparError(
                ErrorKind.INVALID, Reason.PARTITIONS_RANGE, f"{name} cannot have {count} partitions: 1 to 1000"
            )

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


def render_markdown() -> str:
    """Return the content of docs/topics.md."""
    lines = [
        "# Topics",
        "",
        "Generated from `services/chassis/topics.py` by `python -m services.chassis.topics`; a test compares them.",
        "Full names begin with the installation's prefix, by default `chapar.`. Partition counts are defaults and are fixed when",
        "a topic is created. Kept: records stay for at least this time, and at most one segment's time longer (a seventh of it, or a week).",
        "",
        "Each record has the headers `content-type` (`application/protobuf`), `schema` (the message below), `event-id` (the same after",
        "any repetition), `tenant` (if it belongs to one) and `traceparent` (if the call or record that caused it has one). The values",
        "of changelogs are one byte of version and MessagePack; their records have the header `lane-epoch` only.",
        "",
        "| topic | key | contents | written by | partitions | kept |",
        "|---|---|---|---|---|---|",
    ]
    for topic in _TABLE:
        source = TOPICS[topic.follows] if topic.follows else topic
        count = f"as {topic.follows} ({source.partitions})" if topic.follows else str(topic.partitions)
        lines.append(
            f"| `{topic.name}` | {topic.key} | {_contents(topic)} | {topic.written_by} | {count} | {_kept(topic)} |"
        )
    return "\n".join(lines) + "\n"


def _contents(topic: Topic) -> str:
    return ": ".join(part for part in (f"`{topic.schema}`" if topic.schema else "", topic.holds) if part)


def _kept(topic: Topic) -> str:
    if topic.retention_ms is None:
        return "newest record of each key"
    days, rest = divmod(topic.retention_ms, _DAY_MS)
    return f"{days} d" if not rest else f"{topic.retention_ms // _HOUR_MS} h"


if __name__ == "__main__":
    print(render_markdown(), end="")
