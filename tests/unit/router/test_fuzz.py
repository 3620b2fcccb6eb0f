"""The engine answers any command: it never raises an exception, and a refusal changes nothing."""

import os
from dataclasses import fields
from typing import Any, get_type_hints

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.policy.model.routing import AgentProfile, Operator, PoolConfig, Selector
from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.changelog.snapshot import collect
from services.router.domain.commands import ReplyTo
from services.router.domain.engine import _HANDLERS, Engine
from services.router.domain.model import AgentState, InteractionAttributes
from tests.unit.router.world import GATEWAY, START, World, a_pool, a_queue, an_agent, only

NAMES = st.sampled_from(
    ["", "a", "b", "i0", "i1", "i0.1", "i0.2", "i1.3", "s-a", "q", "w", "gone", "x" * 500, "é|/\x00"]
)
NUMBERS = st.sampled_from([0, 1, -1, 5_000, START, 2**31, -(2**40), 2**62, 2**80])
FLOATS = st.sampled_from([0.0, 1.0, -1.0, 5.0, float("nan"), float("inf"), float("-inf"), 1e308, 5e-324])
SELECTORS = st.recursive(
    st.builds(Selector, NAMES, st.sampled_from(Operator), FLOATS, NAMES, st.just(("a",)), NUMBERS, FLOATS),
    lambda inner: (
        st.builds(Selector, st.just(""), any_of=st.tuples(inner, inner))
        | st.builds(Selector, st.just(""), all_of=st.tuples(inner))
    ),
    max_leaves=3,
)
PAIRS = st.lists(st.tuples(NAMES, NAMES), max_size=2).map(tuple)
FACTS = st.builds(
    InteractionAttributes,
    NAMES,
    NAMES,
    person_id=NAMES,
    channel=NAMES,
    queue=NAMES,
    priority=NUMBERS,
    requirements=st.lists(SELECTORS, max_size=2).map(tuple),
    labels=PAIRS,
    arrived_at_ms=NUMBERS,
    due_at_ms=NUMBERS,
    start_at_ms=NUMBERS,
    preferred_agent=NAMES,
    preferred_team=NAMES,
)
PROFILES = st.builds(
    AgentProfile,
    NAMES,
    skills=st.lists(st.tuples(NAMES, FLOATS), max_size=2).map(tuple),
    queues=st.just(("q",)),
    team=NAMES,
)
POOLS = st.builds(PoolConfig, NUMBERS, NUMBERS, NUMBERS, agents=st.lists(PROFILES, max_size=2).map(tuple))
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: NAMES,
    int: NUMBERS,
    bool: st.booleans(),
    InteractionAttributes: FACTS,
    AgentState: st.sampled_from(AgentState),
    AgentProfile: PROFILES,
    PoolConfig: POOLS,
    ReplyTo | None: st.sampled_from([None, GATEWAY]),
    tuple[str, ...]: st.lists(NAMES, max_size=3).map(tuple),
    tuple[tuple[str, str], ...]: PAIRS,
    tuple[Selector, ...]: st.lists(SELECTORS, max_size=2).map(tuple),
    tuple[Selector, ...] | None: st.none() | st.lists(SELECTORS, max_size=2).map(tuple),
}
COMMANDS = sorted(
    (c for c in vars(cmd).values() if isinstance(c, type) and issubclass(c, cmd.Command)), key=lambda c: c.__name__
)


def any_of(kind: type[cmd.Command]) -> st.SearchStrategy[cmd.Command]:
    """Draw a command of a kind, with any content."""
    hints = get_type_hints(kind)
    return st.builds(kind, **{field.name: BY_TYPE[hints[field.name]] for field in fields(kind)})


ANYTHING = st.one_of([any_of(kind) for kind in COMMANDS if kind is not cmd.Command])


def image(engine: Engine) -> dict[Any, Any]:
    """Return the whole state, except the commands that were seen."""
    core = engine.core
    kinds: dict[str, Any] = {
        "a": core.agents,
        "i": core.interactions,
        "l": core.leases,
        "p": core.last_agent,
        "q": core.histories,
        "s": core.sessions,
        "c": {"": None},
    }
    core.dirty = {(kind, str(name)): None for kind, names in kinds.items() for name in names}
    return {entity: repr(value) for entity, value in collect(engine, core.now) if entity[0] != "d"}


@settings(
    max_examples=2_000 if os.environ.get("CHAPAR_HYPOTHESIS") == "deep" else 120,
    derandomize=not os.environ.get("CHAPAR_HYPOTHESIS"),
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(st.tuples(ANYTHING, st.sampled_from([0, 1, 5_000, 100_000])), max_size=12), st.booleans())
def test_a_refusal_changes_nothing_and_nothing_is_raised(
    given_: list[tuple[cmd.Command, int]], configured: bool
) -> None:
    """The pool has two agents, one interaction held and one waiting; or it was never configured."""
    world = World(
        a_pool(an_agent("a"), an_agent("b"), queues=[a_queue(), a_queue("w", wrap_up_ms=1_000)]) if configured else None
    )
    if configured:
        world.sign_in("a", "b")
        world.holds("a", "i0")
        world.enqueue("i1")
    for command, ms in given_:
        world.wait(ms)
        before = image(world.engine)
        effects = world.tell(command)
        result = only(effects, fx.Result)
        if not result.ok and not result.repeated:
            assert result.reason
            assert image(world.engine) == before


def test_every_command_is_tried() -> None:
    """A new kind of command is included automatically, if its fields have strategies."""
    assert {kind for kind in COMMANDS if kind is not cmd.Command} == set(_HANDLERS)
