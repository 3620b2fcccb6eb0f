"""The first half of the seeds of a CI run; `test_more_seeds.py` has the other half, so that two workers share them."""

import pytest

from tests.simulation.campaign import explain, run_seeds
from tests.simulation.machinery import Machinery
from tests.simulation.rare_paths import missing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # 40 seconds on a machine that does nothing else


def test_no_mix_of_faults_breaks_an_invariant(machinery: Machinery) -> None:
    """500 seeds; and together they reach every rare path."""
    totals = run_seeds(range(500), machinery)
    assert not totals.failed, f"seeds {totals.failed}\n{explain(totals.failed[0], machinery)}"
    assert missing(totals.reached) == []
