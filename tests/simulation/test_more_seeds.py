"""The second half of the seeds of a CI run; `test_seeds.py` has the first."""

import pytest

from tests.simulation.campaign import explain, run_seeds
from tests.simulation.machinery import Machinery
from tests.simulation.rare_paths import missing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # 40 seconds on a machine that does nothing else


def test_no_mix_of_faults_breaks_an_invariant(machinery: Machinery) -> None:
    """500 more seeds; and together they reach every rare path."""
    totals = run_seeds(range(500, 1_000), machinery)
    assert not totals.failed, f"seeds {totals.failed}\n{explain(totals.failed[0], machinery)}"
    assert missing(totals.reached) == []
