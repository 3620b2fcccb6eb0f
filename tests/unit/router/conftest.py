"""Fixtures of the tests of routing rules."""

import pytest

from tests.unit.router.world import World, a_pool, a_queue, an_agent

FOREVER = 10**9


@pytest.fixture
def world() -> World:
    """Return a world with agents `a` and `b`, who take one interaction at a time; `a` is signed in."""
    made = World(a_pool(an_agent("a"), an_agent("b"), queues=[a_queue(), a_queue("other")], lease_ms=FOREVER))
    made.sign_in("a")
    return made
