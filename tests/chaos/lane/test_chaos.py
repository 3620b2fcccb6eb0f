"""Processing is exactly once, whichever process dies at whichever point. Points are named, because random kills prove little."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.chassis.kafka.faults import POINTS
from tests.chaos.lane.campaign import Campaign, Fault
from tests.fixtures.broker import EmbeddedTestBroker

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTestBroker]:
    """A separate broker: it allows short sessions, and only the campaign loads it."""
    broker = EmbeddedTestBroker(tmp_path_factory.mktemp("chaos"))
    try:
        yield broker
    finally:
        broker.close()


TAKEOVER = ("after_claim_init", "after_fence", "after_restore", "before_claim", "after_claim", "before_release")
"""Points that a process passes once per takeover."""


OWNERS_DIE = (Fault("after_send", 3), Fault("after_commit", 3))
"""The first two processes: the third gets partitions of theirs, and fences them."""


def campaign_of_kills() -> tuple[Fault, ...]:
    """Return kills at each point, at different ages of a process."""
    points = [point for point in POINTS if point != "after_fence"]
    deaths = [Fault(point, 1 if point in TAKEOVER else age) for age in (2, 5) for point in points]
    return *OWNERS_DIE, Fault("after_fence", 1), *deaths


def campaign_of_stops() -> tuple[Fault, ...]:
    """Return a stop beyond the session time-out at each point, so that the process comes back as a zombie, and kills in between."""
    stops = [Fault(point, 1 if point in TAKEOVER else 3, "stop") for point in POINTS if point != "after_fence"]
    between = Fault("after_send", 4)
    return *OWNERS_DIE, Fault("after_fence", 1, "stop"), *(fault for stop in stops for fault in (stop, between))


@pytest.mark.parametrize("faults", [campaign_of_kills(), campaign_of_stops()], ids=["kills", "stops"])
@pytest.mark.parametrize("old_protocol", [False, True], ids=["v2", "v1"])
async def test_nothing_is_lost_or_done_twice(
    broker: EmbeddedTestBroker, prefix: str, tmp_path: Path, faults: tuple[Fault, ...], old_protocol: bool
) -> None:
    """20,000 records, 8 partitions, 3 processes, each killed or stopped at each point: 0 lost, 0 doubled, the state equals the fold,
    and no process is fenced that was not stopped."""
    verdict = await Campaign(broker.settings(prefix), tmp_path, faults, old_protocol=old_protocol).run()
    assert verdict.clean, verdict
    assert verdict.faults == len(faults) >= 20, verdict


@pytest.mark.parametrize(
    ("mutation", "fault"),
    [
        ("no_fence", Fault("before_send", 3, "stop")),
        ("no_claim", Fault("before_send", 3, "stop")),
        ("position_outside", Fault("after_commit", 3)),
        ("reply_before_commit", Fault("after_send", 3)),
    ],
)
@pytest.mark.parametrize("mutated", [False, True])
async def test_the_checker_sees_each_mistake(
    broker: EmbeddedTestBroker, prefix: str, tmp_path: Path, mutation: str, fault: Fault, mutated: bool
) -> None:
    """The same fault is clean with the real lane, and fails with one guarantee removed."""
    campaign = Campaign(
        broker.settings(prefix),
        tmp_path,
        (fault,),
        partitions=1,
        processes=1,
        records=400,
        mutation=mutation if mutated else "",
        patience=12.0,
    )
    verdict = await campaign.run()
    assert verdict.faults == 1, verdict
    assert verdict.clean is not mutated, verdict
