"""What this process was built from: Chapar's version, Python's, and whether modules run compiled."""

import platform
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Final, Literal

from services.chassis.metrics import Metrics

_SERVICES: Final = Path(__file__).parents[1]


def version() -> str:
    """Return Chapar's version, such as `0.2.0`. pyproject.toml is the one place that defines it."""
    return installed_version("chapar")


def engine(services: Path = _SERVICES) -> Literal["compiled", "pure"]:
    """Return `compiled` when the services' directory contains extension modules, as in the image; else `pure`."""
    return "compiled" if any(services.rglob("*.so")) else "pure"


def show_build(metrics: Metrics) -> None:
    """Set `chapar_build_info` to 1. Its labels carry the information."""
    metrics.gauge("chapar_build_info").labels(version(), platform.python_version(), engine()).set(1)
