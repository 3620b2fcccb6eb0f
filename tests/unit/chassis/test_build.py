"""Each process reports what it was built from."""

import platform
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.chassis.build import engine, show_build, version
from services.chassis.metrics import Metrics
from services.cli.__main__ import app

ROOT = Path(__file__).parents[3]
STATED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_the_version_is_the_one_that_pyproject_states() -> None:
    """No second place can disagree."""
    assert version() == STATED


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("uv.lock", r'name = "chapar"\nversion = "(.+)"'),
        ("deploy/docker/Dockerfile", r'org\.opencontainers\.image\.version="(.+?)"'),
        ("deploy/helm/chapar/Chart.yaml", r"(?m)^version: (.+)$"),
        ("deploy/helm/chapar/Chart.yaml", r"(?m)^appVersion: (.+)$"),
        ("deploy/helm/chapar/rendered/minimal.yaml", r'app\.kubernetes\.io/version: "(.+)"'),
        ("CHANGELOG.md", r"(?m)^## \[(\d.+?)\]"),
    ],
)
def test_every_file_that_names_the_version_names_this_one(file: str, pattern: str) -> None:
    """Lock, image, chart, pods, and the newest entry of the changelog: they show which release runs."""
    found = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"))
    assert found is not None
    assert found[1] == STATED


@pytest.mark.parametrize("service", ["ingest", "router", "sla", "feedback"])
def test_each_service_prints_its_version_without_settings(service: str) -> None:
    """An operator can ask a binary before it is configured."""
    done = subprocess.run(
        [sys.executable, "-m", f"services.{service}", "--version"],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{STATED}\n", "")


def test_the_command_line_prints_its_version() -> None:
    """`chapar --version` prints the version alone, for scripts."""
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"{STATED}\n")


def test_the_metric_carries_version_python_and_engine() -> None:
    """There is one series per process, with the value 1, to join with other series."""
    metrics = Metrics()
    show_build(metrics)
    assert metrics.value("chapar_build_info", STATED, platform.python_version(), "pure") == 1


def test_an_engine_with_an_extension_module_is_compiled(tmp_path: Path) -> None:
    """A development checkout contains none, which another test asserts."""
    domain = tmp_path / "router/domain"
    domain.mkdir(parents=True)
    assert engine(tmp_path) == "pure"
    (domain / "engine.cpython-311-x86_64-linux-gnu.so").touch()
    assert engine(tmp_path) == "compiled"
