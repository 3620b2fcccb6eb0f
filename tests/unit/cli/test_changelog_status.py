"""What stops an operator from finalising an upgrade, and what finalising would allow."""

from services.chassis.kafka.changelog import Restored
from services.chassis.kafka.claims import Claim
from services.chassis.kafka.contract import LaneSpec
from services.chassis.kafka.intervention import Situation
from services.chassis.kafka.witness import InputState
from services.cli.changelog_status import ChangelogStatus, status_of

SPEC = LaneSpec("router", "routing.commands.v1", "router.state.v1", "router")


def a_partition(
    partition: int,
    newest: int = 4,
    version: str = "0.3.0",
    *,
    owner: str = "router@a:1",
    writer: str = "w",
    entries: str = "",
) -> Situation:
    """A partition that a replica owns. `entries`: the format of each entry as a digit."""
    found = Restored(
        {b"key-%d" % number: bytes([int(digit)]) for number, digit in enumerate(entries)},
        claim=Claim(writer, 3, 7, version=version, newest=newest),
    )
    return Situation(partition, InputState("id", 0, 0), found, owner)


def status(*situations: Situation, idle: tuple[str, ...] = (), finalised: int = 3) -> ChangelogStatus:
    return status_of(SPEC, situations, idle, finalised)


def test_a_format_that_every_owner_reads_can_be_finalised() -> None:
    """Once: then there is nothing to finalise."""
    found = status(a_partition(0), a_partition(1))
    assert (found.changelog, found.possible, found.to_finalise, found.stops) == ("router.state.v1", 4, 4, ())
    assert found.versions == ("0.3.0",)
    assert status(a_partition(0), a_partition(1), finalised=4).to_finalise == 0
    assert status(a_partition(0), finalised=0).to_finalise == 4


def test_an_older_replica_stops_it() -> None:
    """It is named with its version and what it reads."""
    found = status(a_partition(0), a_partition(1, 3, "0.2.0", owner="router@b:1"))
    assert (found.possible, found.to_finalise) == (3, 0)
    assert found.versions == ("0.2.0", "0.3.0")
    assert found.stops == ("router/1 is owned by router@b:1 of version 0.2.0, which reads formats up to 3.",)


def test_a_replica_that_does_not_say_its_version_stops_it() -> None:
    """Claims of before have neither a version nor a format."""
    (sentence,) = status(a_partition(0, 0, ""), a_partition(1)).stops
    assert sentence == "router/0 is owned by router@a:1, whose version is too old to say which formats it reads."


def test_a_partition_without_an_owner_stops_it() -> None:
    """Its next owner may be of any version: no member has it, its owner has released it, or no lane has ever claimed it."""
    never = Situation(0, InputState("id", 0, 0), Restored(), "router@a:1")
    for situation in (a_partition(0, owner=""), a_partition(0, writer=""), never):
        found = status(situation, a_partition(1))
        assert found.to_finalise == 0
        assert found.stops == ("router/0 has no owner now, so the version of its next owner is not known.",)


def test_a_member_without_a_partition_stops_it() -> None:
    """It takes partitions over when another member leaves, and no claim says its version."""
    found = status(a_partition(0), idle=("router@c:1",))
    assert found.to_finalise == 0
    assert found.stops == ("router@c:1 is in the group router without a partition, so its version is not known.",)


def test_entries_are_counted_by_format() -> None:
    """Of all partitions together. The format of a sealed entry is inside."""
    found = status(a_partition(0, entries="3334"), a_partition(1, entries="40"))
    assert found.entries == {"sealed": 1, "3": 3, "4": 2}
