"""The back test of estimates counts what it says."""

from services.policy.model.routing import CapacityProfile
from services.router.domain import commands as cmd
from services.router.domain.model import InteractionAttributes
from tests.bench.estimates import Watched, models
from tests.unit.router.world import GATEWAY, START, a_pool, a_queue, an_agent


def a_watch() -> Watched:
    """Return a queue with one agent, and a pace of one departure in 10 s."""
    watch = Watched()
    pool = a_pool(an_agent("a"), queues=[a_queue()], capacity=CapacityProfile("", 1, default_weight=1), lease_ms=10**9)
    watch.handle(cmd.ActivateConfiguration(pool), START)
    watch.handle(cmd.SignIn("a", "s", reply_to=GATEWAY), START)
    for n in range(5):
        enqueue(watch, f"{n}", START)
    for n in range(4):
        serve(watch, f"{n}", START + n * 10_000)
    return watch


def enqueue(watch: Watched, name: str, now: int) -> None:
    """Queue an interaction."""
    watch.handle(cmd.Enqueue(InteractionAttributes(name, name, queue="q", channel="chat", arrived_at_ms=now)), now)


def serve(watch: Watched, name: str, now: int) -> None:
    """Accept an interaction, and complete it at once."""
    watch.handle(cmd.AcceptOffer("a", watch.core.interactions[name].offer.offer_id), now)
    watch.handle(cmd.CompleteInteraction("a", name), now)


def test_a_wait_within_the_announcement_is_held_and_a_longer_one_broken() -> None:
    watch = a_watch()
    now = START + 31_000
    watch.handle(cmd.AcceptOffer("a", watch.core.interactions["4"].offer.offer_id), now)
    assert (watch.held, watch.broken) == (0, 0), "nothing was announced to those who came before there was a pace"
    for name in ("1 soon", "2 late", "3 leaves soon", "4 leaves late"):
        enqueue(watch, name, now)
    assert set(watch.announced) == {"1 soon", "2 late", "3 leaves soon", "4 leaves late"}
    watch.handle(cmd.CustomerLeft("3 leaves soon"), now + 1_000)
    assert (watch.held, watch.broken) == (0, 0)
    watch.handle(cmd.CompleteInteraction("a", "4"), now + 2_000)
    serve(watch, "1 soon", now + 3_000)
    assert (watch.held, watch.broken) == (1, 0)
    watch.handle(cmd.CustomerLeft("4 leaves late"), now + 3_600_000)
    assert (watch.held, watch.broken) == (1, 1)


def test_the_models_have_different_names_and_change_their_staffing() -> None:
    found = dict(models())
    assert len(found) == 19
    assert any("staffing by hour" in name for name in found)
