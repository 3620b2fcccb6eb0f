"""Generates Strimzi's manifests of topics and users from the table of topics.

    python deploy/strimzi/generate.py                                  writes topics.yaml and users.yaml
    python deploy/strimzi/generate.py --check                          exit 1 when they differ from the table
    python deploy/strimzi/generate.py --partitions inbound.v1=24 --output DIR
    python deploy/strimzi/generate.py --prefix shop. --cluster kafka --output DIR

There is one user for each service, with rights on the topics that it reads and writes, its consumer groups and its transactional ids only; one for
the chart's hook, which creates topics and activates configurations; and three for operators.
`chapar topics apply` uses the table's numbers of partitions only. With other numbers, let Strimzi create the topics and set the chart's
`apply.topics` to false.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from services.chassis.errors import ChaparError
from services.chassis.topics import DEFAULT_PREFIX, TOPICS, wanted

HERE = Path(__file__).parent
HEAD = "# Generated from services/chassis/topics.py by `python deploy/strimzi/generate.py`; `deploy/check` compares.\n"
API = "kafka.strimzi.io/v1"


@dataclass(frozen=True, slots=True)
class Rights:
    """Logical topics that a service reads and writes. The names of its groups and transactional ids begin with its name."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]


RIGHTS: Mapping[str, Rights] = MappingProxyType(
    {
        "ingest": Rights(
            reads=(
                "audit.v1", "config.v1", "conversations.v1", "deliveries.v1", "feedback.responses.v1", "inbound.v1",
                "ingest.fetches.v1", "ingest.verdicts.v1", "ingest.waiting-fetches.v1",
                "outbound.v1", "personal.erasures.v1", "personal.keys.v1",
                "routing.events.v1", "sla.events.v1",
                "ingest-intake.state.v1", "ingest-sender.state.v1",
            ),
            writes=(
                "audit.v1", "conversations.v1", "deadletters.v1", "deliveries.v1", "feedback.commands.v1", "inbound.v1",
                "ingest.fetches.v1", "ingest.verdicts.v1", "ingest.waiting-fetches.v1",
                "outbound.v1", "personal.erasures.v1", "personal.keys.v1", "routing.commands.v1",
                "ingest-intake.state.v1", "ingest-sender.state.v1",
            ),
        ),
        "router": Rights(
            reads=("config.v1", "gateway.feed.v1", "personal.keys.v1", "router.state.v1", "routing.commands.v1"),
            writes=(
                "audit.v1", "deadletters.v1", "gateway.feed.v1", "outbound.v1", "personal.keys.v1", "router.state.v1", "routing.commands.v1",
                "routing.events.v1", "routing.journal.v1",
            ),
        ),
        "sla": Rights(
            reads=("config.v1", "routing.events.v1", "sla.events.v1", "sla.state.v1", "sla.webhooks.v1"),
            writes=("audit.v1", "deadletters.v1", "routing.commands.v1", "sla.events.v1", "sla.state.v1", "sla.webhooks.v1"),
        ),
        "feedback": Rights(
            reads=(
                "config.v1", "feedback.responses.v1", "feedback.commands.v1", "feedback.scores.v1", "routing.events.v1",
                "feedback.verdicts.v1", "feedback.webhooks.v1", "personal.keys.v1", "feedback.state.v1",
            ),
            writes=(
                "audit.v1", "deadletters.v1", "feedback.responses.v1", "feedback.commands.v1", "feedback.scores.v1",
                "feedback.verdicts.v1", "feedback.webhooks.v1", "personal.erasures.v1", "personal.keys.v1",
                "feedback.state.v1",
            ),
        ),
    }
)  # fmt: skip

EVERY_SERVICE = ("formats.v1", "revocations.v1")
"""Every service refuses revoked tokens, and writes its changelogs in formats that are finalised."""

OPERATOR = Rights(
    # For `chapar replay`, `simulate record`, `config show` and `deadletters`: ids, attributes and dead letters, but no texts of customers.
    reads=(
        "config.history.v1", "config.v1", "deadletters.v1", "gateway.feed.v1", "revocations.v1", "router.state.v1",
        "routing.commands.v1", "routing.events.v1", "routing.journal.v1",
    ),
    # For `config apply` and `rollback`, `token revoke`, and `deadletters replay` into the topics of refused records. Verdicts are not replayed,
    # because their callers no longer wait; operators have no rights on keys of persons and results of erasures.
    writes=(
        "audit.v1", "config.history.v1", "config.v1", "conversations.v1", "deliveries.v1", "feedback.responses.v1", "feedback.commands.v1",
        "feedback.webhooks.v1", "inbound.v1", "outbound.v1", "revocations.v1", "routing.commands.v1", "routing.events.v1",
        "sla.events.v1", "sla.webhooks.v1",
    ),
)  # fmt: skip
"""Rights for every command of the runbooks and of docs/operating.md, except those of LANES; `tests/integration/broker/test_rights.py` runs
them."""

CHANGELOGS = tuple(topic for topic in TOPICS if topic.endswith(".state.v1"))
LANES = Rights(reads=(*CHANGELOGS, "formats.v1"), writes=(*CHANGELOGS, "audit.v1", "formats.v1"))
"""Rights for `chapar lanes`, `chapar upgrade` and `chapar deadletters skip`. They can fence every owner and change every state, so they have a
user of their own, which no pod uses all the time."""

ALONE = frozenset({"audit.v1", "personal.keys.v1", "revocations.v1"})
"""Topics whose records are written one by one, never in a transaction."""
TRANSACTIONS = Rights(reads=tuple(topic for topic in TOPICS if topic not in ALONE), writes=("audit.v1",))
"""Rights for `chapar transactions`, beside those that `_transactions_acls` adds: to ask for a partition's producers needs the right to read
its topic. It is the only user with a right on the cluster itself, and no pod uses it all the time."""


def topics_yaml(cluster: str, prefix: str, partitions: Mapping[str, int]) -> str:
    """Return all KafkaTopics, with three replicas, two of which must have a record. Raises ChaparError for a wrong number of partitions."""
    documents = []
    for topic in wanted(prefix, replication=3, min_isr=2, partitions=partitions):
        lines = [
            f"apiVersion: {API}",
            "kind: KafkaTopic",
            "metadata:",
            f"  name: {_object_name(topic.full_name)}",
            f"  labels: {{strimzi.io/cluster: {cluster}}}",
            "spec:",
            f"  topicName: {topic.full_name}",
            f"  partitions: {topic.partitions}",
            f"  replicas: {topic.replication}",
            "  config:",
            *(f"    {name}: {_scalar(value)}" for name, value in sorted(topic.configs.items())),
        ]
        documents.append("\n".join(lines) + "\n")
    return HEAD + "---\n".join(["", *documents])


def users_yaml(cluster: str, prefix: str) -> str:
    """Return one KafkaUser for each service, one for the chart's hook (`apply`), and three for operators: `operator`, `lanes` for decisions about
    partitions of lanes, and `transactions` for those about transactions that hang."""
    documents = [_user(cluster, service, _acls(prefix, service, rights)) for service, rights in RIGHTS.items()]
    documents.append(_user(cluster, "apply", _apply_acls(prefix)))
    documents.append(_user(cluster, "operator", _operator_acls(prefix)))
    documents.append(_user(cluster, "lanes", _lanes_acls(prefix)))
    documents.append(_user(cluster, "transactions", _transactions_acls(prefix)))
    return HEAD + "---\n".join(["", *documents])


def _acls(prefix: str, service: str, rights: Rights) -> Iterator[str]:
    yield from _topics(prefix, Rights((*rights.reads, *EVERY_SERVICE), rights.writes))
    # Groups of lanes, dispatchers and analytics. The router also reads them to find the owner of a shard.
    yield _acl("group", prefix + service, "prefix", ["Read", "Describe"])
    yield _acl("transactionalId", prefix + service, "prefix", ["Write", "Describe"])


def _topics(prefix: str, rights: Rights) -> Iterator[str]:
    for name in sorted({*rights.reads, *rights.writes}):
        may = [*(["Read"] if name in rights.reads else []), *(["Write"] if name in rights.writes else []), "Describe"]
        yield _acl("topic", prefix + TOPICS[name].name, "literal", may)


def _config_acls(prefix: str) -> Iterator[str]:
    """Return the rights of `chapar config apply`: one transaction over the configuration and the commands of each pool."""
    yield _acl("transactionalId", f"{prefix}config-apply-", "prefix", ["Write", "Describe"])


def _apply_acls(prefix: str) -> Iterator[str]:
    yield _acl("topic", prefix, "prefix", ["Create", "Describe", "DescribeConfigs", "AlterConfigs"])
    writes = ("audit.v1", "config.history.v1", "config.v1", "revocations.v1", "routing.commands.v1")
    yield from _topics(prefix, Rights(reads=("config.history.v1", "config.v1", "revocations.v1"), writes=writes))
    yield from _config_acls(prefix)


def _operator_acls(prefix: str) -> Iterator[str]:
    # `chapar topics diff` reads all topics and changes none.
    yield _acl("topic", prefix, "prefix", ["Describe", "DescribeConfigs"])
    yield from _topics(prefix, OPERATOR)
    yield from _config_acls(prefix)


def _lanes_acls(prefix: str) -> Iterator[str]:
    yield _acl("topic", prefix, "prefix", ["Describe"])
    yield from _topics(prefix, LANES)
    for service in RIGHTS:
        # A decision about a partition asks who owns it, and is written with its claim's transactional id after the owner is fenced.
        yield _acl("group", prefix + service, "prefix", ["Describe"])
        yield _acl("transactionalId", prefix + service, "prefix", ["Write", "Describe"])


def _transactions_acls(prefix: str) -> Iterator[str]:
    yield from _topics(prefix, TRANSACTIONS)
    # What the coordinators recorded, and what they know now.
    yield _acl("topic", "__transaction_state", "literal", ["Read", "Describe"])
    yield _acl("transactionalId", prefix, "prefix", ["Describe"])
    # To write the markers of a transaction, as a coordinator does.
    yield "      - resource: {type: cluster}\n        operations: [ClusterAction]\n"


def _acl(kind: str, name: str, pattern: str, operations: Sequence[str]) -> str:
    return (
        f"      - resource: {{type: {kind}, name: {name}, patternType: {pattern}}}\n"
        f"        operations: [{', '.join(operations)}]\n"
    )


def _user(cluster: str, service: str, acls: Iterator[str]) -> str:
    return (
        f"apiVersion: {API}\nkind: KafkaUser\nmetadata:\n  name: chapar-{service}\n"
        f"  labels: {{strimzi.io/cluster: {cluster}}}\n"
        "spec:\n  authentication:\n    type: scram-sha-512\n"
        "  authorization:\n    type: simple\n    acls:\n" + "".join(acls)
    )


def _object_name(topic: str) -> str:
    return topic.lower().replace("_", "-").strip(".-")


def _scalar(value: str) -> str:
    return value if value.replace(".", "", 1).isdigit() else f"'{value}'" if not value.isalpha() else value


def _counts(given: Sequence[str]) -> dict[str, int]:
    counts = {}
    for each in given:
        name, _, count = each.partition("=")
        if not count.isdigit():
            raise SystemExit(f"--partitions {each}: write it as TOPIC=COUNT")
        counts[name] = int(count)
    return counts


def main(argv: Sequence[str] | None = None) -> int:
    """Write or compare the manifests. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Strimzi manifests from the table of topics.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--cluster", default="chapar", help="name of the Kafka resource")
    parser.add_argument("--prefix", default=DEFAULT_PREFIX, help="topic prefix")
    parser.add_argument("--partitions", action="append", default=[], metavar="TOPIC=COUNT")
    parser.add_argument("--output", type=Path, default=HERE, help="directory to write to")
    chosen = parser.parse_args(argv)
    try:
        drawn = {
            "topics.yaml": topics_yaml(chosen.cluster, chosen.prefix, _counts(chosen.partitions)),
            "users.yaml": users_yaml(chosen.cluster, chosen.prefix),
        }
    except ChaparError as error:
        print(error.message, file=sys.stderr)
        return 1
    differ = []
    for name, text in drawn.items():
        path = chosen.output / name
        if not chosen.check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            differ.append(str(path))
    if differ:
        print(f"not as the table says: {', '.join(differ)}; run python deploy/strimzi/generate.py", file=sys.stderr)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
