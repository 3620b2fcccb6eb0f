"""Secrets generated on this machine are the same at every call, also in a home from a version with fewer or other names."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.cli.local.kept_secrets import WEBHOOK_SECRET, complete_env, complete_json
from services.policy.model.webhook_keys import problem_of_secret

Complete = Callable[[Path], dict[str, str]]
OLD = {"CHAPAR_DEMO_WEBCHAT_SECRET": "from before a rename", "CHAPAR_SECRET_DEMO__EMAIL_SECRET": "kept=as it is"}
FORMS: tuple[tuple[Complete, str], ...] = (
    (complete_json, json.dumps(OLD)),
    (complete_env, "# made for compose\n" + "\n".join(f"{name}={value}" for name, value in OLD.items())),
)
forms = pytest.mark.parametrize(("complete", "old"), FORMS, ids=["json", "env"])


@forms
@pytest.mark.parametrize("before", ["nothing", "an empty file", "an old file"])
def test_a_generated_secret_stays_the_same(tmp_path: Path, complete: Complete, old: str, before: str) -> None:
    """For every earlier content, the names of this version are stored, and the earlier names keep their values."""
    path = tmp_path / "channels"
    if before != "nothing":
        path.write_text(old if before == "an old file" else "")
        path.chmod(0o600)
    first = complete(path)
    written = path.read_bytes()
    assert complete(path) == first
    assert path.read_bytes() == written
    assert path.stat().st_mode & 0o777 == 0o600
    assert problem_of_secret(first[WEBHOOK_SECRET]) == ""
    assert len(set(first.values())) == len(first) >= 8
    if before == "an old file":
        assert OLD.items() <= first.items()
        assert old.startswith("{") or written.startswith(old.encode())


@forms
def test_concurrent_calls_return_the_same_secrets(tmp_path: Path, complete: Complete, old: str) -> None:
    """`chapar run` and `chapar send` use an old home at the same moment. The lock belongs to an open file, so threads can test it."""
    at_once = threading.Barrier(4)

    def one(path: Path) -> dict[str, str]:
        at_once.wait(10)
        return complete(path)

    with ThreadPoolExecutor(at_once.parties) as threads:
        for attempt in range(25):
            path = tmp_path / str(attempt)
            path.write_text(old)
            told = list(threads.map(one, [path] * at_once.parties))
            assert all(each == told[0] for each in told)
            assert complete(path) == told[0]


@forms
def test_a_complete_file_is_only_read(tmp_path: Path, complete: Complete, old: str) -> None:
    """The file may be in a volume that is mounted read-only: no lock is taken and no draft is written next to it."""
    path = tmp_path / "channels"
    path.write_text(old)
    made = complete(path)
    identity = path.stat().st_ino
    assert complete(path) == made
    assert path.stat().st_ino == identity
    assert list(tmp_path.iterdir()) == [path]
