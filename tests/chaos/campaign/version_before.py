"""The version of Chapar that an upgrade begins with: its source from the history of this repository, its packages by its own lock."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from services.cli.local.broker.settings import CHECKOUT
from services.cli.local.supervisor import Program

BEFORE: Final = os.environ.get("UPGRADE_FROM") or "9ca58fcf"
"""A tag or a commit. After a release, this is its tag."""
VERSIONS: Final = CHECKOUT / "build/versions"
_UV: Final = CHECKOUT / ".uv/bin/uv"


def missing(checkout: Path = CHECKOUT) -> str:
    """Return why there is no version before; empty when there is one."""
    if not shutil.which("git") or not _git(checkout, "rev-parse", "--git-dir"):
        return "this copy has no history (git)"
    if not _commit(checkout):
        shallow = _git(checkout, "rev-parse", "--is-shallow-repository") == "true"
        how = "get it with `git fetch --unshallow`" if shallow else "name another one in UPGRADE_FROM"
        return f"the history of this copy does not have {BEFORE}: {how}"
    return ""


def version_before() -> Program:
    """Return the version before, built in build/versions if it is not there. Raises CalledProcessError."""
    commit = _commit(CHECKOUT)
    folder = VERSIONS / commit
    python = folder / ".venv/bin/python"
    if not python.exists():
        shutil.rmtree(folder, ignore_errors=True)
        draft = VERSIONS / f"{commit}.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        archive = subprocess.run(["git", "archive", commit], cwd=CHECKOUT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x"], cwd=draft, input=archive, check=True)
        draft.rename(folder)
        _install(folder)
    return Program(python, folder)


def _install(folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    environment |= {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "true", "UV_NO_PROGRESS": "1"}
    command = [str(_UV), "sync", "--frozen", "--quiet", "--no-default-groups", "--python", sys.executable]
    try:
        subprocess.run(command, cwd=folder, env=environment, check=True)
    except subprocess.CalledProcessError:
        shutil.rmtree(folder)
        raise


def _commit(checkout: Path) -> str:
    return _git(checkout, "rev-parse", "--verify", "--quiet", f"{BEFORE}^{{commit}}")


def _git(checkout: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=checkout, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
