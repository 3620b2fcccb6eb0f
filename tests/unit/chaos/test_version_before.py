"""Where the version before comes from, and what is said when it cannot be had."""

import subprocess
from pathlib import Path

import pytest

from tests.chaos.campaign.version_before import BEFORE, missing


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project without a history."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def test_a_copy_without_history_says_so(copy: Path) -> None:
    """An archive of the source has none."""
    assert missing(copy) == "this copy has no history (git)"


def test_a_shallow_copy_says_how_to_get_the_history(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As in CI, which fetches one commit unless it is told otherwise."""
    origin = tmp_path_factory.mktemp("origin")
    git(origin, "init", "-q")
    for message in ("one", "two"):
        git(origin, "commit", "-q", "--allow-empty", "-m", message)
    git(copy, "clone", "-q", "--depth", "1", f"file://{origin}", ".")
    assert "get it with `git fetch --unshallow`" in missing(copy)


def test_an_unknown_version_is_named(copy: Path) -> None:
    """The whole history is there, and the version is not in it."""
    git(copy, "init", "-q")
    git(copy, "commit", "-q", "--allow-empty", "-m", "one")
    found = missing(copy)
    assert BEFORE in found
    assert "name another one in UPGRADE_FROM" in found
