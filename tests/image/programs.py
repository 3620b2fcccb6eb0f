"""The programs of a Docker engine and of Debian's base images: found here, or installed by apt-get as root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

PACKAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "dockerd": "docker.io",
        "containerd": "containerd",
        "runc": "runc",
        "docker": "docker.io",
        "debootstrap": "debootstrap",
        "apt-get": "apt",
    }
)
"""For each program, Debian's package that has it."""
_SYSTEMD: Final = Path("/run/systemd/system")


class NoEngineError(Exception):
    """No Docker engine can be had on this machine. The text says what is missing and what to do."""


def missing(which: Callable[[str], str | None] = shutil.which) -> tuple[str, ...]:
    """Return the programs that are not on the PATH."""
    return tuple(name for name in PACKAGES if which(name) is None)


def obstacle(absent: Collection[str], *, root: bool, systemd: bool) -> str:
    """Return why no engine can be had, as whole sentences; empty when the absent programs may be installed here.

    A machine with systemd is not a build machine: the installation would start the system's own engine there.
    """
    if not root:
        return "A Docker engine needs root: run `make image-check` as root, on a machine that you may change."
    if not absent:
        return ""
    names = f"Missing: {', '.join(absent)}."
    packages = " ".join(dict.fromkeys(PACKAGES[name] for name in absent))
    if "apt-get" in absent:
        return f"{names} They are Debian's packages {packages}, and this machine has no apt-get."
    if systemd:
        return f"{names} Install them first: apt-get install --no-install-recommends {packages}."
    return ""


def provide() -> None:
    """Install the programs that are absent. Raises NoEngineError when that is not possible."""
    absent = missing()
    if why := obstacle(absent, root=os.geteuid() == 0, systemd=_SYSTEMD.exists()):
        raise NoEngineError(why)
    if not absent:
        return
    packages = list(dict.fromkeys(PACKAGES[name] for name in absent))
    print(f"installing {' '.join(packages)}", flush=True)
    _apt("update")
    _apt("install", "--yes", "--no-install-recommends", *packages)
    if still := missing():
        raise NoEngineError(f"Missing after the installation of {' '.join(packages)}: {', '.join(still)}.")


def _apt(*words: str) -> None:
    done = subprocess.run(
        ["apt-get", "--quiet=2", *words],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NoEngineError(f"apt-get {' '.join(words)} failed: {done.stderr.strip()[-600:]}")
