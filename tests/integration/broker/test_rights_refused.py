"""The forbidden actions on Kafka for the users of `deploy/strimzi/users.yaml`, tried as each user: a stolen password opens one service only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from services.chassis.cluster_topics import apply
from services.chassis.kafka.transactions.cluster import Cluster
from services.chassis.kafka.transactions.hanging_requests import WriteTxnMarkers
from services.chassis.kafka.transactions.requests import Identity
from services.chassis.topics import TOPICS
from services.cli.local.workspace import SERVICES
from tests.fixtures.guarded_broker import CLUSTER, GuardedKafka, Rule, manifests, rules_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]

Allowed = Mapping[str, frozenset[str]]
CHANGELOGS = {
    name: owner for name in TOPICS if name.endswith(".state.v1") for owner in SERVICES if name.startswith(owner)
}
READERS: Allowed = {
    # The customers' messages and identities.
    "inbound.v1": frozenset({"ingest"}),
    "conversations.v1": frozenset({"ingest"}),
    "outbound.v1": frozenset({"ingest"}),
    "deliveries.v1": frozenset({"ingest"}),
    "feedback.responses.v1": frozenset({"ingest", "feedback"}),
    "feedback.commands.v1": frozenset({"feedback"}),
    "sla.webhooks.v1": frozenset({"sla"}),
    "feedback.webhooks.v1": frozenset({"feedback"}),
    # Keys of persons, wrapped, and the outcomes of erasures.
    "personal.keys.v1": frozenset({"ingest", "router", "feedback"}),
    "personal.erasures.v1": frozenset({"ingest"}),
    # Who read data about whom.
    "audit.v1": frozenset({"ingest"}),
    # Records that were refused, with their content.
    "deadletters.v1": frozenset({"operator"}),
    # Ids and attributes.
    "routing.commands.v1": frozenset({"router", "operator"}),
    "routing.events.v1": frozenset({"ingest", "sla", "feedback", "operator"}),
    "routing.journal.v1": frozenset({"operator"}),
    "gateway.feed.v1": frozenset({"router", "operator"}),
    "sla.events.v1": frozenset({"ingest", "sla"}),
    "feedback.scores.v1": frozenset({"feedback"}),
    "ingest.verdicts.v1": frozenset({"ingest"}),
    "ingest.fetches.v1": frozenset({"ingest"}),
    "ingest.waiting-fetches.v1": frozenset({"ingest"}),
    "feedback.verdicts.v1": frozenset({"feedback"}),
    "config.v1": frozenset({*SERVICES, "apply", "operator"}),
    "config.history.v1": frozenset({"apply", "operator"}),
    "formats.v1": frozenset({*SERVICES, "lanes"}),
    "revocations.v1": frozenset({*SERVICES, "apply", "operator"}),
    **{
        name: frozenset({owner, "lanes", *({"operator"} if owner == "router" else ())})
        for name, owner in CHANGELOGS.items()
    },
}
"""Every topic: a new topic needs its row. The user of `chapar transactions` reads those that are written in transactions too: `READING`."""
ALONE = frozenset({"audit.v1", "personal.keys.v1", "revocations.v1"})
READING: Allowed = {
    name: readers | (frozenset() if name in ALONE else {"transactions"}) for name, readers in READERS.items()
}
WRITERS: Allowed = {
    # Decisions: the tenants' configuration, routing commands and events. Operators replay refused records.
    "config.v1": frozenset({"apply", "operator"}),
    "config.history.v1": frozenset({"apply", "operator"}),
    # The format of changelogs: a wrong one would keep replicas out.
    "formats.v1": frozenset({"lanes"}),
    "revocations.v1": frozenset({"apply", "operator"}),
    "routing.commands.v1": frozenset({"ingest", "router", "sla", "apply", "operator"}),
    "routing.events.v1": frozenset({"router", "operator"}),
    "routing.journal.v1": frozenset({"router"}),
    "gateway.feed.v1": frozenset({"router"}),
    "sla.events.v1": frozenset({"sla", "operator"}),
    "deliveries.v1": frozenset({"ingest", "operator"}),
    "conversations.v1": frozenset({"ingest", "operator"}),
    "inbound.v1": frozenset({"ingest", "operator"}),
    "outbound.v1": frozenset({"ingest", "router", "operator"}),
    "feedback.commands.v1": frozenset({"ingest", "feedback", "operator"}),
    "feedback.responses.v1": frozenset({"feedback", "operator"}),
    "feedback.scores.v1": frozenset({"feedback"}),
    "sla.webhooks.v1": frozenset({"sla", "operator"}),
    "feedback.webhooks.v1": frozenset({"feedback", "operator"}),
    "ingest.verdicts.v1": frozenset({"ingest"}),
    "ingest.fetches.v1": frozenset({"ingest"}),
    "ingest.waiting-fetches.v1": frozenset({"ingest"}),
    "feedback.verdicts.v1": frozenset({"feedback"}),
    "personal.keys.v1": frozenset({"ingest", "router", "feedback"}),
    "personal.erasures.v1": frozenset({"ingest", "feedback"}),
    "audit.v1": frozenset({*SERVICES, "apply", "operator", "lanes", "transactions"}),
    "deadletters.v1": frozenset(SERVICES),
    **{name: frozenset({owner, "lanes"}) for name, owner in CHANGELOGS.items()},
}
USERS = (*SERVICES, "apply", "operator", "lanes", "transactions")


@pytest.fixture
async def cluster(guarded: GuardedKafka) -> GuardedKafka:
    """The cluster with all topics, made by the user whose task that is."""
    await apply(guarded.settings("chapar-apply"))
    return guarded


_DENIED = TopicAuthorizationFailedError.errno


@asynccontextmanager
async def _admin(cluster: GuardedKafka, user: str) -> AsyncIterator[Any]:
    admin: Any = AIOKafkaAdminClient(**cluster.settings(f"chapar-{user}").client_options())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def _let_through(cluster: GuardedKafka, topics: Iterable[str], ask: Callable[[list[str]], Any]) -> Allowed:
    """Return who was allowed, by topic, when each user asks for all topics in one request, as a modified client would."""
    found: dict[str, set[str]] = {topic: set() for topic in topics}
    for user in USERS:
        async with _admin(cluster, user) as admin:
            answer = await admin._send_to_controller(ask([f"chapar.{topic}" for topic in found]))
        for name, ((_, code, *_), *_) in answer.topics:
            if code != _DENIED:
                found[name.removeprefix("chapar.")].add(user)
    return {topic: frozenset(users) for topic, users in found.items()}


def _fetch(topics: list[str]) -> FetchRequest:
    return FetchRequest(0, 0, 1 << 20, 1, [(topic, [(0, 0, 1 << 20)]) for topic in topics])


def _produce(topics: list[str]) -> ProduceRequest:
    batch = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 16)
    batch.append(0, 1, b"key", b"planted", [])
    return ProduceRequest(None, -1, 5000, [(topic, [(0, bytes(batch.build()))]) for topic in topics])


async def test_only_users_that_must_read_a_topic_can_read_it(cluster: GuardedKafka) -> None:
    """Each user tries each topic with personal data or private state: sla reads no customer's message, and neither do operators."""
    assert await _let_through(cluster, READING, _fetch) == READING


async def test_only_the_deciding_services_can_write_decisions(cluster: GuardedKafka) -> None:
    """Each user tries each topic of decisions: feedback routes nothing, ingest applies no configuration."""
    assert await _let_through(cluster, WRITERS, _produce) == WRITERS


@pytest.mark.parametrize("user", USERS)
async def test_no_user_can_use_the_group_or_transaction_of_another(cluster: GuardedKafka, user: str) -> None:
    """Joining another service's group would take its partitions away; using its transactional id would fence it, which is what
    decisions about lanes must do."""
    kafka = cluster.settings(f"chapar-{user}")
    for other in (each for each in SERVICES if each != user):
        group: Any = AIOKafkaConsumer("chapar.config.v1", **kafka.client_options(), group_id=f"chapar.{other}")
        with pytest.raises(GroupAuthorizationFailedError):
            await group.start()
        await group.stop()
        if user == "lanes":
            continue
        fencing: Any = AIOKafkaProducer(**kafka.client_options(), transactional_id=f"chapar.{other}-0-0")
        with pytest.raises(TransactionalIdAuthorizationFailed):
            await fencing.start()
        await fencing.stop()


@pytest.mark.parametrize("user", [each for each in USERS if each != "apply"])
async def test_only_the_hook_changes_topics(cluster: GuardedKafka, user: str) -> None:
    """No new topic, no other retention, no deletion; and the hook's user itself cannot delete a topic."""
    async with _admin(cluster, user) as admin:
        made = await admin.create_topics([NewTopic("chapar.mine", 1, 1)])
        assert [code for _, code, *_ in made.topic_errors] == [_DENIED]
        shorter = ConfigResource(ConfigResourceType.TOPIC, "chapar.inbound.v1", configs={"retention.ms": "1"})
        (altered,) = await admin.alter_configs([shorter])
        assert [code for code, *_ in altered.resources] == [_DENIED]


@pytest.mark.parametrize("user", USERS)
async def test_no_user_can_delete_a_topic(cluster: GuardedKafka, user: str) -> None:
    """Not even the hook's user can: open work would be lost with the topic."""
    async with _admin(cluster, user) as admin:
        deleted = await admin.delete_topics(["chapar.deliveries.v1"])
        assert [code for _, code, *_ in deleted.topic_error_codes] == [_DENIED]


@pytest.mark.parametrize("user", [user for user in USERS if user != "transactions"])
async def test_one_user_alone_can_write_markers(cluster: GuardedKafka, user: str) -> None:
    """A user that writes markers decides about the transactions of others."""
    settings = cluster.settings(f"chapar-{user}")
    async with Cluster(settings, client_id="thief", request_timeout_ms=5_000, close_timeout=3.0) as connected:
        markers = WriteTxnMarkers(Identity(1, 1), 0, {"chapar.audit.v1": [0]}, commit=False)
        (broker,) = connected.brokers()
        assert await connected.ask(broker, markers) == {("chapar.audit.v1", 0): ClusterAuthorizationFailedError.errno}


def test_no_right_is_wider_than_its_installation() -> None:
    """Prefixes begin with the installation's; no rights on the cluster itself; topics by full name, except for users that read all topics."""
    for name, user in manifests().items():
        for rule in rules_of(user):
            if name == "chapar-transactions" and rule in (
                Rule("cluster", CLUSTER, "literal", "ClusterAction"),
                Rule("topic", "__transaction_state", "literal", "Read"),
                Rule("topic", "__transaction_state", "literal", "Describe"),
            ):
                continue
            assert rule.resource in ("topic", "group", "transactionalId"), (name, rule)
            assert rule.name.startswith("chapar."), (name, rule)
            if rule.resource == "topic" and rule.pattern != "literal":
                assert rule.operation in ("Create", "Describe", "DescribeConfigs", "AlterConfigs"), (name, rule)
                assert name in ("chapar-apply", "chapar-operator", "chapar-lanes"), (name, rule)


def test_every_topic_is_in_the_tables() -> None:
    """A new topic needs a decision, and cannot be forgotten."""
    assert READERS.keys() == WRITERS.keys() == TOPICS.keys()
