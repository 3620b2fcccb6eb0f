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


ZOMBIES = (Fault("before_commit", 6, "stop"), Fault("after_send", 3, "stop"))


def campaign_of_kills() -> tuple[Fault, ...]:
    """Return kills at each point, at different ages of a process, and two zombies in between."""
    takeover = {"after_fencing", "after_restore"}
    deaths = [Fault(point, 1 + depth if point in takeover else 2 + 3 * depth) for depth in range(3) for point in POINTS]
    deaths = [death for death in deaths if death.point not in takeover or death.times < 3]
    return (*deaths[:8], ZOMBIES[0], *deaths[8:16], ZOMBIES[1], *deaths[16:])


async def test_nothing_is_lost_or_done_twice(broker: EmbeddedTestBroker, prefix: str, tmp_path: Path) -> None:
    """20,000 records, 8 partitions, 3 processes, 22 kills -9 and 2 zombies: 0 lost, 0 doubled, the state equals the fold."""
    faults = campaign_of_kills()
    verdict = await Campaign(broker.settings(prefix), tmp_path, faults).run()
    assert verdict.clean, verdict
    assert verdict.faults == len(faults) >= 20, verdict


@pytest.mark.parametrize(
    ("mutation", "fault"),
    [
        ("no_fencing", Fault("before_commit", 3, "stop")),
        ("position_outside", Fault("after_commit", 3)),
        ("reply_before_commit", Fault("before_commit", 3)),
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
