"""Commands about sessions: opening, resuming, losing, ending. One rule for each test."""

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import AgentState
from tests.unit.router.world import GATEWAY, World, a_pool, all_of, an_agent, notices, only


def test_a_second_session_replaces_the_first_and_takes_over_its_interactions(world: World) -> None:
    """The old desk is notified; its offers are revoked and made again at the new one."""
    world.enqueue("i")
    effects = world.sign_in("a", session="second")
    assert fx.SessionEndedNotice("SESSION_REPLACED") in notices(effects, "a")
    assert only(effects, fx.OfferEnded).reason == "SESSION_REPLACED"
    assert only(effects, fx.Offered).agent_id == "a"
    snapshot = next(n for n in notices(effects, "a") if isinstance(n, fx.SnapshotNotice))
    assert snapshot.session_id == "second"


def test_a_resumed_session_keeps_state_and_assignments(world: World) -> None:
    """The snapshot lists held interactions; declines still count."""
    world.holds("a", "held")
    world.tell(cmd.SetAgentState("a", AgentState.AWAY))
    world.tell(cmd.CloseSession("a", "s-a"))
    effects = world.sign_in("a", session="new", resumes="s-a")
    snapshot = next(n for n in notices(effects, "a") if isinstance(n, fx.SnapshotNotice))
    assert snapshot.state is AgentState.AWAY
    assert [view.attributes.interaction_id for view in snapshot.assignments] == ["held"]


def test_a_lost_connection_revokes_offers_at_once() -> None:
    """The offers are made again to available agents; the agent gets none until their desk is connected again."""
    world = World(a_pool(an_agent("a"), an_agent("b"), lease_ms=20_000))
    world.sign_in("a")
    world.enqueue("i")
    effects = world.tell(cmd.CloseSession("a", "s-a"))
    assert only(effects, fx.OfferEnded).reason == "CONNECTION_LOST"
    assert not world.offered("i")
    world.sign_in("a", session="new", resumes="s-a")
    assert world.offered("i") == "a"


def test_a_lease_that_is_not_renewed_ends_the_session() -> None:
    """The agent is OFFLINE; their assignments wait for the grace and are then routed again with their age. A renewed lease goes on."""
    world = World(a_pool(an_agent("a"), an_agent("b"), lease_ms=20_000, grace_ms=60_000))
    world.sign_in("a")
    arrived = world.now
    world.holds("a", "i")
    for _ in range(10):
        world.wait(15_000)
        world.tell(cmd.RenewLeases(("s-a",)))
    assert world.state("a") is AgentState.AVAILABLE
    changed = only(world.wait(20_000), fx.AgentStateChanged)
    assert (changed.after, changed.reason) == (AgentState.OFFLINE, "LEASE_EXPIRED")
    assert all_of(world.wait(59_999), fx.Queued) == []
    queued = only(world.wait(1), fx.Queued)
    assert (queued.reason, queued.again, queued.attributes.arrived_at_ms) == ("AGENT_LOST", True, arrived)
    world.sign_in("b")
    assert world.offered("i") == "b"


def test_an_agent_who_comes_back_within_the_grace_keeps_their_interactions() -> None:
    """This holds even with a new session."""
    world = World(a_pool(an_agent("a"), lease_ms=20_000, grace_ms=60_000))
    world.sign_in("a")
    world.holds("a", "i")
    world.wait(50_000)
    world.sign_in("a", session="later")
    world.tell(cmd.RenewLeases(("later",)))
    world.wait(19_000)
    assert world.engine.core.interactions["i"].agent_id == "a"


def test_a_session_resumed_after_its_lease_keeps_the_agents_state() -> None:
    """An agent who was away gets no offers; a new session without the token is available."""
    world = World(a_pool(an_agent("a"), lease_ms=20_000))
    world.sign_in("a")
    world.tell(cmd.SetAgentState("a", AgentState.AWAY))
    world.wait(20_000)
    world.enqueue("i")
    world.sign_in("a", session="late", resumes="s-a")
    assert (world.state("a"), world.offered("i")) == (AgentState.AWAY, "")
    world.sign_in("a", session="new")
    assert world.offered("i") == "a"


def test_signing_out_reroutes_interactions_at_once(world: World) -> None:
    """No interaction waits for an agent who has signed out."""
    world.holds("a", "i")
    world.sign_in("b")
    world.tell(cmd.CloseSession("a", "s-a", signed_out=True))
    assert world.state("a") is AgentState.OFFLINE
    assert world.offered("i") == "b"


def test_a_gateway_that_renews_an_unknown_session_is_notified(world: World) -> None:
    """So the session's desk reconnects instead of waiting without end."""
    effects = world.tell(cmd.RenewLeases(("s-a", "ghost"), reply_to=GATEWAY))
    ended = only(effects, fx.ToDesk)
    assert (ended.session_id, ended.notice) == ("ghost", fx.SessionEndedNotice("UNKNOWN_SESSION"))


def test_a_supervisor_cannot_make_an_absent_agent_available(world: World) -> None:
    """A supervisor may set the state of an agent who is signed in."""
    assert world.ask(cmd.SetAgentState("b", AgentState.AVAILABLE)) == "AGENT_NOT_SIGNED_IN"
    assert world.ask(cmd.SetAgentState("x", AgentState.AWAY)) == "UNKNOWN_AGENT"
    assert world.ask(cmd.SetAgentState("a", AgentState.AWAY, supervisor=True)) == ""


def test_signing_in_away_gets_no_offer(world: World) -> None:
    """The state in the sign-in counts from the first moment."""
    world.holds("a", "busy")
    world.enqueue("i")
    effects = world.sign_in("b", state=AgentState.AWAY)
    assert all_of(effects, fx.Offered) == []
    world.tell(cmd.SetAgentState("b", AgentState.AVAILABLE))
    assert world.offered("i") == "b"
