"""The lock of the broker's jars."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.cli.local.broker.errors import BrokerError
from services.cli.local.broker.lock import load_lock


def write(tmp_path: Path, **changes: object) -> Path:
    jar = {"path": "a/b/1/b-1.jar", "size": 3, "sha256": "0" * 64} | changes
    file = tmp_path / "lock.json"
    file.write_text(json.dumps({"kafka": "4.3.1", "scala": "2.13", "jars": [jar]}))
    return file


def test_the_projects_lock_is_complete() -> None:
    """Kafka 4.3.1 with its server, a logger, and each file once, with paths of group, artifact and version."""
    lock = load_lock()

    names = [jar.name for jar in lock.jars]
    assert lock.kafka == "4.3.1"
    assert {"kafka_2.13-4.3.1.jar", "kafka-tools-api-4.3.1.jar", "slf4j-simple-1.7.36.jar"} <= set(names)
    assert len(set(names)) == len(names)
    assert all(jar.path.count("/") >= 3 and jar.path.endswith(".jar") for jar in lock.jars)
    assert 40_000_000 < lock.size < 60_000_000


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "a/../../b.jar", "a\\b.jar"])
def test_a_path_that_leaves_the_cache_is_refused(tmp_path: Path, path: str) -> None:
    """The lock decides where files are written; it must not name a place outside the cache."""
    with pytest.raises(BrokerError, match=r"broken at jars\.0\.path"):
        load_lock(write(tmp_path, path=path))


@pytest.mark.parametrize("change", [{"sha256": "short"}, {"size": 0}, {"size": "many"}, {"surprise": 1}])
def test_a_broken_lock_is_named_with_the_place(tmp_path: Path, change: dict[str, object]) -> None:
    """Wrong types, short checksums and unknown fields are found before any download."""
    with pytest.raises(BrokerError, match=rf"broken at jars\.0\.{next(iter(change))}.*relock\.py"):
        load_lock(write(tmp_path, **change))


def test_a_missing_lock_is_named(tmp_path: Path) -> None:
    """The error says where the file should be."""
    with pytest.raises(BrokerError, match=r"nowhere\.json cannot be read"):
        load_lock(tmp_path / "nowhere.json")
