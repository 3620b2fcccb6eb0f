"""No record on any topic makes an exception escape from any reader, at once or later, and the list of readers is complete."""

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.chassis.topics import TOPICS
from tests.unit.poison.generator import Generator
from tests.unit.poison.reader import Reader
from tests.unit.poison.registry import NOT_READ, READERS

ROOT = Path(__file__).parents[3]
RECORDS = 1_000
SEEDS = 2
READING = {"tail", "GroupConsumer", "LaneSpec", "RelaySpec", "plain_reader", "ConfigReader", "read_feed"}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Disable logging, because thousands of refusals are logged."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name.replace(" ", "-"))
def test_no_record_ends_a_reader(reader: Reader, seed: int) -> None:
    """Plausible, impossible and broken records end no reader, in one order, and neither does the state that they leave for timers
    and for the next owner of the partition.
    """
    take, generator = reader.make(), Generator(seed, odd=(0.01, 0.08)[seed % 2])
    for offset in range(RECORDS):
        record = generator.record(reader.topic, offset, reader.schema)
        try:
            take(record)
        except BaseException as error:
            raise AssertionError(f"{reader.name} at {offset}: {error!r} for {record.value!r:.2000}") from error


def test_every_topic_that_is_read_is_here() -> None:
    assert {reader.topic for reader in READERS} | set(NOT_READ) == set(TOPICS)
    assert not {reader.topic for reader in READERS} & set(NOT_READ)


def test_every_module_that_reads_a_topic_is_here() -> None:
    """Modules are found by the functions that they call, so that a new reader can't be forgotten."""
    known = {reader.module for reader in READERS}
    for path in sorted((ROOT / "services").rglob("*.py")):
        name = str(path.relative_to(ROOT / "services"))
        if name.startswith(("chassis/", "cli/", "router/replay/")):
            continue
        calls = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        if calls & READING:
            assert name in known | {"router/wiring.py"}, (
                f"{name} reads a topic; tests/unit/poison/readers_of_*.py have no reader of it"
            )


def test_every_member_of_a_group_steps_over_poison() -> None:
    """A member of a group without `poison` would fail at the same record again after each restart."""
    found = 0
    for path in sorted((ROOT / "services").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "GroupConsumer":
                found += 1
                assert "poison" in {keyword.arg for keyword in node.keywords}, path
    assert found
