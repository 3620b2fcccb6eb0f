"""Registers the shared fixtures. Each fixture is documented in its own module."""

pytest_plugins = [
    "tests.fixtures.broker",
    "tests.fixtures.browser",
    "tests.fixtures.guarded_broker",
    "tests.fixtures.helm",
    "tests.fixtures.postgres",
]
