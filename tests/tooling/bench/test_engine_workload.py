"""The workload of the engine's bench is what its description says: whole life cycles, a full pool that stays full, and nothing that is refused."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import pytest

from services.policy.model.routing import CapacityProfile, Choice
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.model import OfferEnd
from services.router.domain.pool.capacity import Capacity
from tests.bench.engine_life import Where
from tests.bench.engine_pool import PROFILES, Plan, Size, room
from tests.bench.engine_run import Measured, run
from tests.bench.engine_speed import IDLE_SHARE, busy_pool, fill_queues, idle_pool, kinds_table

SMALL = Size(agents=240, waiting=160, teams=24, queues=16, skills=20)
FOREVER = float("inf")
COMMANDS = 7_000


class Seen:
    """A day of a small pool."""

    def __init__(self) -> None:
        self.plan = Plan(SMALL)
        self.events: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.waiting: list[int] = []
        engine, self.life = busy_pool(self.plan)
        fill_queues(engine, self.life)
        self.measured = run(engine, self.life, COMMANDS, FOREVER, self.watch)
        self.engine = engine

    def watch(self, command: cmd.Command | None, now: int, effects: Iterable[fx.Effect]) -> None:
        """Count what happens."""
        self.waiting.append(self.life.count[Where.WAITING])
        for effect in effects:
            if isinstance(effect, fx.OfferEnded):
                self.events[effect.end.name] += 1
            else:
                self.events[type(effect).__name__] += 1
            if not isinstance(effect, fx.ToDesk | fx.HandedOver):
                self.reasons[effect.reason] += 1

    def share(self, kind: type[cmd.Command]) -> float:
        """How many of a kind for each interaction that was accepted."""
        return len(self.measured.kinds.get(kind.__name__, ())) / len(self.measured.kinds["AcceptOffer"])


@pytest.fixture(scope="module")
def day() -> Seen:
    """Long enough for the rare to happen."""
    return Seen()


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        (cmd.Enqueue, 0.8, 1.2),
        (cmd.CustomerMessaged, 1.6, 2.4),
        (cmd.RecordReply, 1.6, 2.4),
        (cmd.CompleteInteraction, 0.8, 1.1),
        (cmd.CustomerLeft, 0.05, 0.15),
        (cmd.DeclineOffer, 0.015, 0.05),
        (cmd.TransferInteraction, 0.01, 0.05),
        (cmd.EndWrapUp, 0.05, 0.5),
        (cmd.UpdateInteraction, 0.02, 0.06),
        (cmd.Reprioritise, 0.005, 0.05),
        (cmd.SetAgentState, 0.05, 0.4),
        (cmd.GrantCredits, 0.01, 0.2),
        (cmd.SignIn, 0.01, 0.2),
        (cmd.CloseSession, 0.01, 0.2),
        (cmd.RenewLeases, 0.001, 0.5),
        (cmd.UpsertAgent, 0.0001, 0.02),
        (cmd.Reroute, 0.0001, 0.02),
        (cmd.CancelInteraction, 0.0001, 0.02),
    ],
)
def test_each_kind_of_command_has_its_share(day: Seen, kind: type[cmd.Command], least: float, most: float) -> None:
    """For each accepted interaction so many of each other command, as the habits say."""
    assert least <= day.share(kind) <= most


def test_timers_do_their_part(day: Seen) -> None:
    """Offers expire, wrap-ups end by time, lost agents' work is routed again: not everything happens by command."""
    accepted = day.events["Assigned"]
    assert 0.003 <= day.events[OfferEnd.EXPIRED.name] / accepted <= 0.03
    assert day.events[OfferEnd.REVOKED.name]
    assert day.reasons["WRAP_UP_TIME_OVER"]
    assert day.reasons["AGENT"] > day.reasons["WRAP_UP_TIME_OVER"] / 4
    assert day.reasons["LEASE_EXPIRED"]
    assert day.reasons["AGENT_LOST"]
    assert len(day.measured.timers_ns) > 100


def test_every_way_of_choosing_is_taken(day: Seen) -> None:
    """Queues differ in choice; last agents and named agents are preferred."""
    assert {queue.choice for queue in day.plan.config.queues} >= {
        Choice.LONGEST_IDLE,
        Choice.LOAD_RATIO,
        Choice.SKILL_SCORE,
    }
    for reason in ("LONGEST_IDLE", "LEAST_LOAD", "BEST_SKILL_SCORE", "TRANSFERRED_TO_AGENT"):
        assert day.reasons[reason], reason


def test_as_many_wait_as_should(day: Seen) -> None:
    """Arrivals take the place of what was taken, all the time."""
    assert min(day.waiting) >= 0.9 * SMALL.waiting
    assert max(day.waiting) <= 1.25 * SMALL.waiting


def test_everybody_is_busy(day: Seen) -> None:
    """All signed in, and none idle but for the few to whom nothing fits."""
    assert day.life.idle_share() <= 0.05
    assert len(day.engine.core.sessions) >= 0.95 * SMALL.agents


def test_hardly_anything_is_refused(day: Seen) -> None:
    """What is refused costs nothing: a workload of refusals would be a cheat."""
    assert day.life.refused.total() <= 0.002 * COMMANDS


def test_the_outsiders_know_what_the_engine_knows(day: Seen) -> None:
    """The commands follow from effects alone, so these must tell everything."""
    assert day.life.open.keys() == day.engine.core.interactions.keys()


def test_light_load_leaves_most_agents_idle() -> None:
    """Seven of ten."""
    engine, life = idle_pool(Plan(SMALL))
    run(engine, life, 2_000, FOREVER)
    assert life.idle_share() == pytest.approx(IDLE_SHARE, abs=0.1)
    assert life.count[Where.WAITING] <= 0.05 * SMALL.agents


def test_teams_share_profiles_and_distinct_agents_do_not() -> None:
    """Three to twelve queues a team, several agents a profile; with `distinct`, no two agents alike."""
    size = Size(agents=900, waiting=10, teams=24, queues=40, skills=30)
    kinds = {(a.skills, a.queues, a.capacity_profile) for a in Plan(size).agents.values()}
    assert size.agents / 6 <= len(kinds) <= size.agents / 2
    alone = Plan(replace(size, distinct=True))
    assert len({(a.skills, a.queues, a.capacity_profile) for a in alone.agents.values()}) == size.agents
    assert all(1 <= len(agent.queues) <= 12 for agent in alone.agents.values())


def test_everything_that_arrives_can_be_taken_by_somebody() -> None:
    """No intent asks for what no agent has: it would wait for ever and cost nothing."""
    plan = Plan(SMALL)
    served = {intent for agent in plan.agents.values() for intent in plan.intents_for(agent)}
    assert served == {intent for intents in plan.intents.values() for intent in intents}


def test_requirements_are_one_to_three_and_some_expire() -> None:
    """As described."""
    wanted = [intent.requirements for intents in Plan(SMALL).intents.values() for intent in intents]
    assert {len(selectors) for selectors in wanted} == {1, 2, 3}
    assert any(selector.expires_after_ms for selectors in wanted for selector in selectors)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_room_is_what_the_ledger_says(profile: CapacityProfile) -> None:
    """The bench's own reckoning of capacity, which its naive router uses, against the engine's."""
    served = sorted(rule.channel for rule in profile.channels)
    ledger = Capacity(profile)
    for counts in product(range(6), repeat=len(served)):
        held = dict(zip(served, counts, strict=True))
        load = tuple((channel, n, 0) for channel, n in held.items() if n)
        for channel in ("chat", "email", "telegram", "voice"):
            assert room(profile, held, channel) == ledger.fits(load, channel), (held, channel)


def test_the_table_names_what_cost_most_first() -> None:
    """Whoever reads it looks at the first lines."""
    measured = Measured(kinds={"AcceptOffer": [1_000], "Enqueue": [5_000_000]}, timers_ns=[2_000])
    lines = kinds_table(measured).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["Enqueue", "(timers", "AcceptOffer"]
    assert "5.00" in lines[1]
