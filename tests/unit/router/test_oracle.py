"""The engine decides as the naive implementation of `docs/routing-policies.md` does, whatever happens."""

import os

from hypothesis import HealthCheck, Phase, given, settings

from services.router.domain import commands as cmd
from tests.unit.router.oracle_pair import Pair
from tests.unit.router.steps import Steps
from tests.unit.router.strategies import ALL, Feature, Game, games
from tests.unit.router.world import GATEWAY

SUPPORTED: frozenset[Feature] = ALL
"""What the engine has."""


def play(game: Game) -> Pair:
    """Everybody signs in, one second apart, every third with one credit; then the steps."""
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


@settings(
    max_examples=2_000 if os.environ.get("CHAPAR_HYPOTHESIS") == "deep" else 120,
    deadline=None,
    derandomize=not os.environ.get("CHAPAR_HYPOTHESIS"),  # the same games each time; `deep` hunts for others
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
@given(games(SUPPORTED))
def test_the_engine_decides_as_the_oracle(game: Game) -> None:
    """Step by step: who was offered what, what was refused, and what everybody has."""
    play(game)
