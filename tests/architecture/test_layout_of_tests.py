"""The tests' own rules: one Hypothesis profile, which conftest sets."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
OUTSIDE = {"conftest.py", "fuzz/one.py", "mutation/trial.py", "architecture/test_layout_of_tests.py"}
"""Where a profile is made: for pytest, for a fuzz run and for mutation testing."""


def test_no_test_sets_a_deadline_by_hand() -> None:
    """`tests/conftest.py` turns Hypothesis' deadlines off for all; a test that does so itself hides one that was forgotten."""
    by_hand = re.compile(r"\bdeadline=(None|\d|timedelta)")
    found = {str(path.relative_to(TESTS)) for path in TESTS.rglob("*.py") if by_hand.search(path.read_text())}
    assert {name for name in found - OUTSIDE if "settings(" in (TESTS / name).read_text()} == set()
