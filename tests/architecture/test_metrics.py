"""Each package declares the metrics that its code uses, and uses the metrics that it declares."""

import re
from pathlib import Path

import pytest

from docs.generate.metrics import DECLARED

ROOT = Path(__file__).parents[2]
NAME = re.compile(r'"(chapar_[a-z0-9_]+)"')
PACKAGES = tuple(DECLARED)
USES = {"sla": ("chassis", "webhooks"), "feedback": ("chassis", "webhooks")}
"""Packages whose metrics a service declares besides its own; the others have those of the chassis."""


def used(package: str) -> set[str]:
    """Return the names of metrics in a package's code, without the module that declares them."""
    known = {spec.name for specs in DECLARED.values() for spec in specs}
    files = [
        path
        for path in (ROOT / "services" / package).rglob("*.py")
        if path.name != "metrics_catalogue.py" and path != ROOT / "services" / package / "metrics.py"
    ]
    if package == "chassis":
        files.append(ROOT / "services/chassis/metrics.py")
    return {name for path in files for name in NAME.findall(path.read_text(encoding="utf-8"))} & known


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_uses_metrics_that_it_declares(package: str) -> None:
    """An undeclared metric raises where it is used, which may be long after the start."""
    own = {spec.name for spec in DECLARED[package]}
    others = {spec.name for other in USES.get(package, ("chassis",)) for spec in DECLARED[other]}
    assert used(package) - own - others == set()


@pytest.mark.parametrize("package", sorted(set(PACKAGES) - {"chassis", "webhooks"}))
def test_a_service_declares_its_metrics_when_it_is_built(package: str) -> None:
    """Its wiring does so, before anything that counts is made."""
    wiring = ROOT / "services" / package / "wiring"
    source = (wiring / "__init__.py" if wiring.is_dir() else wiring.with_suffix(".py")).read_text(encoding="utf-8")
    body = source.partition("async def build(")[2]
    declared = re.search(r"^ {4}(service\.)?metrics\.declare\(", body, re.MULTILINE)
    assert declared is not None
    assert declared.start() < body.index("await")
    assert ("webhooks.METRICS" in source) == ("webhooks" in USES.get(package, ()))


def test_no_metric_is_declared_by_two_packages() -> None:
    """Each has one home."""
    names = [spec.name for specs in DECLARED.values() for spec in specs]
    assert len(set(names)) == len(names)
