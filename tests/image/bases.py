"""The Dockerfile's base images where no registry can be reached: Debian by debootstrap, under the tags of the official images.

They have Debian's own Python of the same feature release, in the places of the official images: `python` and `pip` on the PATH, and packages
may be installed. They prove that the Dockerfile builds and that the result runs, not that the official images are unchanged.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.image.engine import Engine
from tests.image.machine import BUNDLE, apt_mirror, authorities, build_variables
from tests.image.programs import NoEngineError

DOCKERFILE: Final = Path(__file__).parents[2] / "deploy/docker/Dockerfile"
_RUNS: Final = ("ca-certificates", "python3")
_BUILDS: Final = (*_RUNS, "gcc", "libc6-dev", "python3-dev", "python3-pip", "python3-venv")


@dataclass(frozen=True, slots=True)
class Base:
    """One base image: its tag, Debian's release, and whether it is the slim one, which cannot build."""

    tag: str
    release: str
    slim: bool

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages beyond Debian's minimum."""
        return _RUNS if self.slim else _BUILDS


def bases(dockerfile: str) -> tuple[Base, ...]:
    """Return the base images that a Dockerfile's arguments name. Raises ValueError for another kind of tag."""
    tags = re.findall(r"^ARG \w+_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    found = []
    for tag in tags:
        named = re.fullmatch(r"python:3\.\d+\.\d+(-slim)?-([a-z]+)", tag)
        if named is None:
            raise ValueError(f"{tag} is not python:VERSION[-slim]-RELEASE")
        found.append(Base(tag, named[2], slim=named[1] is not None))
    return tuple(found)


def import_bases(engine: Engine, directory: Path) -> None:
    """Give the engine the Dockerfile's base images that it lacks. Raises NoEngineError when Debian's packages cannot be had."""
    for base in bases(DOCKERFILE.read_text(encoding="utf-8")):
        if engine.has_image(base.tag):
            continue
        print(f"making {base.tag}: Debian {base.release} with {', '.join(base.packages)}", flush=True)
        root = _bootstrapped(base, directory)
        try:
            _fit(root)
            _import(engine, root, base.tag, build_variables())
        finally:
            shutil.rmtree(root)


def _bootstrapped(base: Base, directory: Path) -> Path:
    """Install the packages into a directory and return it. Downloaded packages are kept beside it, for the next base."""
    root, packages = directory / "root", directory / "packages"
    if root.exists():
        shutil.rmtree(root)
    packages.mkdir(parents=True, exist_ok=True)
    log = directory / "debootstrap.log"
    command = [
        "debootstrap",
        "--variant=minbase",
        f"--include={','.join(base.packages)}",
        f"--cache-dir={packages}",
        base.release,
        str(root),
        apt_mirror(),
    ]
    with log.open("wb") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        raise NoEngineError(f"debootstrap could not make a base image ({log}):\n{end}")
    return root


def _fit(root: Path) -> None:
    """Change what differs between Debian and the official images."""
    for mark in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        mark.unlink()
    (root / "usr/bin/python").symlink_to("python3")
    bundle = root / BUNDLE.lstrip("/")
    bundle.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(authorities(os.environ), bundle)
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)


def _import(engine: Engine, root: Path, tag: str, environment: Mapping[str, str]) -> None:
    changes = [f"--change=ENV {name}={value}" for name, value in environment.items()]
    changes.append("--change=ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as packed:
        done = subprocess.run(
            engine.command("import", *changes, "-", tag),
            env=dict(engine.environment),
            stdin=packed.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0 or packed.returncode != 0:
        raise NoEngineError(f"{tag} could not be imported: {done.stderr.strip()}")
