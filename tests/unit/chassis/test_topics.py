"""The one table of topics."""

import re
from pathlib import Path

import pytest

from services.chassis.errors import ChaparError
from services.chassis.topics import TOPICS, full_name, render_markdown, replication_for, wanted

ROOT = Path(__file__).parents[3]
LANES = {
    "ingest-intake": "inbound.v1",
    "ingest-sender": "outbound.v1",
    "router": "routing.commands.v1",
    "sla": "routing.events.v1",
    "feedback": "feedback.commands.v1",
}


def test_the_documentation_is_drawn_from_the_table() -> None:
    """`python -m services.chassis.topics > docs/topics.md` writes the page."""
    assert (ROOT / "docs/topics.md").read_text() == render_markdown()


def test_every_topic_of_the_architecture_is_in_the_table() -> None:
    """The page and the table name the same topics."""
    page = (ROOT / "docs/architecture.md").read_text()
    section = page.split("## Topics and keys")[1].split("\n## ")[0]
    named = set(re.findall(r"^\| ([a-z.-]+\.v1) \|", section, re.MULTILINE))
    assert named == {name for name in TOPICS if not name.endswith(".state.v1")}


@pytest.mark.parametrize(("lane", "input_"), LANES.items())
def test_a_lane_has_a_compacted_changelog_as_wide_as_its_input(lane: str, input_: str) -> None:
    """Partition N of the changelog belongs to partition N of the input, also when the count is overridden."""
    changelog = TOPICS[f"{lane}.state.v1"]
    assert changelog.compact
    assert changelog.follows == input_
    counts = {topic.topic.name: topic.partitions for topic in wanted(partitions={input_: 12})}
    assert counts[changelog.name] == counts[input_] == 12


def test_there_is_no_other_changelog() -> None:
    """Each changelog belongs to a lane that exists."""
    assert {n for n in TOPICS if n.endswith(".state.v1")} == {f"{lane}.state.v1" for lane in LANES}


def test_a_topic_is_either_kept_for_a_time_or_compacted() -> None:
    """The topic's settings on the cluster say the same."""
    for topic in wanted(min_isr=2, replication=3):
        assert (topic.topic.retention_ms is None) == topic.topic.compact
        assert topic.configs["cleanup.policy"] == ("compact" if topic.topic.compact else "delete")
        assert ("retention.ms" in topic.configs) != topic.topic.compact
        assert topic.configs["min.insync.replicas"] == "2"
        assert topic.replication == 3


def test_defaults_are_small() -> None:
    """The CPU of one machine's broker is the limit: four partitions for lanes, eight for gateways."""
    counts = {topic.topic.name: topic.partitions for topic in wanted()}
    assert counts["inbound.v1"] == 4
    assert counts["gateway.feed.v1"] == 8
    assert counts["deadletters.v1"] == counts["config.v1"] == 1
    assert counts["routing.journal.v1"] == counts["routing.commands.v1"]


def test_a_full_name_has_the_prefix_and_is_in_the_table() -> None:
    """A misspelt topic is an error in the writer, not a topic without readers."""
    assert full_name("blue.", "inbound.v1") == "blue.inbound.v1"
    with pytest.raises(KeyError):
        full_name("blue.", "inbuond.v1")


def test_replicas_follow_from_the_cluster() -> None:
    """One broker: one replica; three brokers: three replicas, two of which must be in sync."""
    assert replication_for(1) == replication_for(2) == (1, 1)
    assert replication_for(3) == replication_for(9) == (3, 2)


@pytest.mark.parametrize(
    ("partitions", "reason"),
    [
        ({"nope.v1": 3}, "UNKNOWN_TOPIC"),
        ({"router.state.v1": 3}, "PARTITIONS_FOLLOW"),
        ({"inbound.v1": 0}, "PARTITIONS_RANGE"),
    ],
)
def test_overrides_that_make_no_sense_are_refused(partitions: dict[str, int], reason: str) -> None:
    """The error has the name of the topic."""
    with pytest.raises(ChaparError) as caught:
        wanted(partitions=partitions)
    assert caught.value.reason == reason
    assert next(iter(partitions)) in caught.value.message


@pytest.mark.parametrize("name", [name for name, topic in TOPICS.items() if not topic.compact])
def test_a_retention_of_days_is_not_doubled_by_segments(name: str) -> None:
    """A record is deleted with its whole segment: with Kafka's default of a week, it would stay for two. Also not too many segments."""
    (topic,) = (each for each in wanted() if each.topic.name == name)
    retention, segment = int(topic.configs["retention.ms"]), int(topic.configs["segment.ms"])
    assert 10 * 60_000 <= segment <= max(10 * 60_000, retention / 7)
    assert topic.topic.kept_at_most_ms == retention + segment < 1.2 * retention
    assert retention / segment <= 60
