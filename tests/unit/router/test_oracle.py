"""The engine always decides as the naive implementation of `docs/routing-policies.md` does."""

import os
from dataclasses import replace

from hypothesis import HealthCheck, Phase, given, settings

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.engine import Engine
from services.router.domain.model import Stage
from services.router.domain.pool.limits import DEFAULT, Limits
from tests.unit.router.oracle_pair import Pair
from tests.unit.router.steps import Steps
from tests.unit.router.strategies import ALL, LONG, Feature, Game, games
from tests.unit.router.world import GATEWAY

SUPPORTED: frozenset[Feature] = ALL
"""Features of the engine."""


def play(game: Game) -> Pair:
    """Play a game: all agents sign in, one second apart, every third with one credit; then the steps."""
    pair = Pair(game.config)
    maker = Steps(pair.oracle, game.features)
    for n, agent in enumerate(game.config.agents):
        pair.tell(cmd.SignIn(agent.agent_id, f"s-{agent.agent_id}", credits=n % 3 // 2, reply_to=GATEWAY))
        pair.wait(1_000)
    for step in game.steps:
        command = maker.command(step, pair.now)
        if isinstance(command, int):
            pair.wait(command)
        else:
            pair.wait(0)
            pair.tell(command)
    return pair


SETTINGS = settings(
    max_examples=2_000 if os.environ.get("CHAPAR_HYPOTHESIS") == "deep" else 150,
    derandomize=not os.environ.get("CHAPAR_HYPOTHESIS"),  # the same games each time; `deep` hunts for others
    suppress_health_check=list(HealthCheck),
    phases=[phase for phase in settings().phases if phase not in (Phase.target, Phase.explain)],
)
FEW = settings(SETTINGS, max_examples=SETTINGS.max_examples // 5)


def heard(log: list[tuple[int, cmd.Command]], turned: bool = False, limits: Limits = DEFAULT) -> list[fx.Effect]:
    """Return the effects of a new engine for the same commands at the same times; `turned`: with the configuration's lists in reverse order."""
    engine, effects = Engine(limits), list[fx.Effect]()
    for now, told in log:
        while (due := engine.next_wakeup()) is not None and due <= now:
            effects += engine.advance(due)
        command = told
        if turned and isinstance(told, cmd.ActivateConfiguration):
            c = told.config
            command = replace(
                told, config=replace(c, queues=c.queues[::-1], agents=c.agents[::-1], profiles=c.profiles[::-1])
            )
        effects += engine.handle(command, now)
    return effects


@SETTINGS
@given(games(SUPPORTED))
def test_the_engine_decides_as_the_oracle(game: Game) -> None:
    """After each step, offers, refusals, and the state of every agent are the same."""
    play(game)


@FEW
@given(games(SUPPORTED - {Feature.RECONFIGURED}))
def test_a_replay_is_identical_and_the_order_of_a_configuration_decides_nothing(game: Game) -> None:
    """The same commands and clocks give exactly the same effects; agents, queues and profiles may be listed in any order.

    The first queue is the exception: it gets the work of queues that are removed.
    """
    log = play(game).log
    assert heard(log) == heard(log) == heard(log, turned=True)


@FEW
@given(games(SUPPORTED))
def test_without_further_commands_nothing_is_stuck(game: Game) -> None:
    """Without further commands, leases end: nothing stays offered, held or in wrap-up, and no agent has a session."""
    pair = play(game)
    pair.wait(3 * LONG)
    assert not pair.engine.core.sessions
    assert {interaction.stage for interaction in pair.engine.core.interactions.values()} <= {Stage.WAITING}
    assert all(
        interaction.agent_id == "" and not interaction.offers for interaction in pair.engine.core.interactions.values()
    )
