"""The machinery, made once for all tests of a file."""

import pytest

from tests.simulation.machinery import Machinery


@pytest.fixture(scope="module")
def machinery() -> Machinery:
    """Return the parts that all runs share."""
    return Machinery()
