"""Makes the shared fixtures known. What a fixture does is written where it stands."""

pytest_plugins = [
    "tests.fixtures.broker",
    "tests.fixtures.browser",
    "tests.fixtures.guarded_broker",
    "tests.fixtures.helm",
    "tests.fixtures.postgres",
]
