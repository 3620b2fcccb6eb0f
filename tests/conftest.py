"""Settings of every test run, and the shared fixtures. Each fixture is documented in its own module."""

import signal
from collections import defaultdict

import pytest
from hypothesis import settings

# The assertions of suites and helpers show their values too.
pytest.register_assert_rewrite("tests.chaos", "tests.contract", "tests.flow", "tests.integration", "tests.unit")

# A shell starts its background jobs with SIGINT ignored, and every child would inherit that. Tests press Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = [
    "tests.fixtures.broker",
    "tests.fixtures.browser",
    "tests.fixtures.guarded_broker",
    "tests.fixtures.guarded_installation",
    "tests.fixtures.helm",
    "tests.fixtures.postgres",
]

# Ratios and orders of growth are tested elsewhere; a deadline for one example would fail on a busy machine only.
settings.register_profile("chapar", deadline=None)
if settings.get_current_profile_name() != "mutants":  # mutation testing has loaded its own
    settings.load_profile("chapar")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the unit tests of each part cost: they are the inner loop, and must stay a matter of seconds."""
    seconds: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.nodeid.startswith("tests/unit/"):
                seconds[report.nodeid.split("/")[2]] += report.duration
    if seconds:
        terminalreporter.section("seconds of unit tests")
        for part in sorted(seconds, key=seconds.__getitem__, reverse=True):
            terminalreporter.write_line(f"{seconds[part]:8.1f}  {part}")
