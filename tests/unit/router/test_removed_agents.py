"""An agent whom the configuration no longer names is gone: their work, their session, and every trace in the pool."""

from dataclasses import replace

from services.policy.model.routing import AgentProfile
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState
from tests.unit.router.test_written import Written, memory, without_leases
from tests.unit.router.world import World, a_pool, a_queue, all_of, an_agent, only

LONG = 3_600_000


def a_world(*names: str) -> tuple[World, Written]:
    lane = Written()
    pool = a_pool(
        *map(an_agent, names), queues=[a_queue(), a_queue("w", wrap_up_ms=60_000)], lease_ms=LONG, grace_ms=60_000
    )
    return World(pool, engine=lane.engine), lane


def applied(world: World, *team: AgentProfile) -> list[fx.Effect]:
    """Apply the next version, with this team."""
    config = world.engine.core.config
    assert config is not None
    return world.tell(cmd.ActivateConfiguration(replace(config, version=config.version + 1, agents=team)))


def test_work_is_returned_the_session_ends_and_the_next_sign_in_is_refused() -> None:
    """What Ali held and was offered goes to Sara with its old age; then no agent of this name can sign in."""
    world, _ = a_world("ali")
    world.sign_in("ali")
    world.enqueue("held")
    world.accept("held")
    done = applied(world, an_agent("sara"))
    assert only(done, fx.AgentStateChanged).reason == "AGENT_REMOVED"
    assert [
        notice.notice.reason for notice in all_of(done, fx.ToDesk) if isinstance(notice.notice, fx.SessionEndedNotice)
    ] == ["AGENT_REMOVED"]
    assert only(done, fx.Queued).reason == "AGENT_REMOVED"
    assert world.engine.core.sessions == {}
    assert world.ask(cmd.SignIn("ali", "s")) == "UNKNOWN_AGENT"
    world.sign_in("sara")
    assert world.offered("held") == "sara"


def test_an_offer_is_revoked_and_made_to_another_agent_in_the_same_command() -> None:
    world, _ = a_world("ali", "sara")
    world.sign_in("ali", "sara")
    world.enqueue("work")
    assert world.offered("work") == "ali"
    applied(world, an_agent("sara"))
    assert world.offered("work") == "sara"


def test_two_agents_who_go_together_are_not_offered_each_others_work() -> None:
    """All are removed before anything is offered again."""
    world, _ = a_world("ali", "omid", "sara")
    world.sign_in("ali", "omid")
    for name in ("one", "two"):
        world.enqueue(name)
        world.accept(name)
    done = applied(world, an_agent("sara"))
    assert all_of(done, fx.Offered) == []
    assert sorted(world.engine.core.agents) == ["sara"]


def test_a_lost_agents_work_does_not_wait_for_their_return() -> None:
    """Their connection was lost, and the grace period runs: the agent will not come back."""
    world, _ = a_world("ali", "sara")
    world.sign_in("ali")
    world.enqueue("held")
    world.accept("held")
    world.wait(LONG + 1)
    assert world.engine.core.agents["ali"].grace_until
    assert only(applied(world, an_agent("sara")), fx.Queued).attributes.interaction_id == "held"
    world.wait(120_000)  # the timer of the grace period finds no agent


def test_wrap_up_ends_and_nothing_is_queued_again() -> None:
    """The customer has been served."""
    world, _ = a_world("ali")
    world.sign_in("ali")
    world.enqueue("served", queue="w")
    world.accept("served")
    world.complete("served")
    done = applied(world)
    assert only(done, fx.WrapUpEnded).reason == "AGENT_REMOVED"
    assert all_of(done, fx.Queued) == []


def test_an_agent_who_was_added_by_the_api_stays() -> None:
    """Until a configuration has named them: from then on, they are configured."""
    world, _ = a_world("sara")
    world.tell(cmd.UpsertAgent(an_agent("guest")))
    applied(world, an_agent("sara"))
    assert sorted(world.engine.core.agents) == ["guest", "sara"]
    applied(world, an_agent("sara"), an_agent("guest"))
    applied(world, an_agent("sara"))
    assert sorted(world.engine.core.agents) == ["sara"]


def test_the_next_owner_knows_who_is_gone_and_who_is_configured() -> None:
    """The changelog has a tombstone for the agent, and the mark of those who stay."""
    world, lane = a_world("ali", "sara")
    world.tell(cmd.UpsertAgent(an_agent("guest")))
    world.sign_in("ali")
    world.enqueue("work")
    applied(world, an_agent("sara"))
    lane.write(world.now)
    assert without_leases(lane.read()) == without_leases(memory(lane.engine))
    restored = World(engine=lane.restored(), now=world.now)
    applied(restored)
    assert sorted(restored.engine.core.agents) == ["guest"]


def test_an_agent_who_never_signed_in_is_gone_from_the_changelog_too() -> None:
    world, lane = a_world("ali", "sara")
    lane.write(world.now)
    applied(world, an_agent("sara"))
    lane.write(world.now)
    assert sorted(lane.restored().core.agents) == ["sara"]


def test_who_returns_is_a_new_agent() -> None:
    """Declined work and other memories of the former agent do not count."""
    world, _ = a_world("ali")
    world.sign_in("ali")
    world.enqueue("work")
    world.decline("work")
    applied(world)
    applied(world, an_agent("ali"))
    assert world.engine.core.agents["ali"].state is AgentState.OFFLINE
    world.sign_in("ali")
    assert world.offered("work") == "ali"
