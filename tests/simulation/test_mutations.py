"""The simulation finds bugs: with one important line of the product or of the lane changed, some seed turns red."""

import pytest

from tests.simulation.machinery import Machinery
from tests.simulation.mutations import Mutation
from tests.simulation.simulation import run

MOST_SEEDS = 60
"""Within this number of seeds each mutation is found; most are found by the first."""


def first_found(mutation: Mutation, machinery: Machinery) -> str:
    """Return the first violation that a mutation causes; empty if it is not found. An exception is a finding, too."""
    for seed in range(MOST_SEEDS):
        try:
            found = run(seed, machinery, mutation).violations
        except Exception as error:  # noqa: BLE001 - a processor that raises has noticed the bug itself
            return f"{type(error).__name__}: {error}"
        if found:
            return found[0]
    return ""


@pytest.mark.parametrize("mutation", Mutation, ids=lambda mutation: mutation.name.lower())
def test_every_mutation_is_found(mutation: Mutation, machinery: Machinery) -> None:
    assert first_found(mutation, machinery), mutation.value
