"""The licences of the image are known, listed and permissive."""

import re
from typing import Final

import pytest

from docs.generate.licences import ROOT, licence, packages

ALLOWED: Final = {
    *(
        "Apache-2.0",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSD-3-Clause-Modification",
        "ISC",
        "PSF-2.0",
        "Zlib",
    ),
    "MPL-2.0",  # has no obligations for shipping an unchanged package
}
ROW = re.compile(r"\| ([a-z0-9-]+) \| (\d\S*) \| ([^|]+) \|")
LISTED = {
    name: (version, stated)
    for name, version, stated in ROW.findall((ROOT / "docs/licences.md").read_text(encoding="utf-8"))
}


def test_the_list_has_the_packages_and_versions_of_the_lock() -> None:
    """`make docs` was run after the last change of the lock."""
    assert {name: version for name, (version, _) in LISTED.items()} == packages()


@pytest.mark.parametrize("name", sorted(packages()))
def test_the_list_states_what_the_package_states(name: str) -> None:
    """A new version of a package may have a new licence."""
    stated = licence(name)
    if stated is None:
        pytest.skip(f"{name} is not installed with this version of Python")
    assert LISTED[name][1] == stated


def test_every_licence_is_permissive() -> None:
    """A licence that requires users to publish their source needs a decision first."""
    found = {name: set(re.split(r" AND | OR |[()]", stated)) - {""} for name, (_, stated) in LISTED.items()}
    assert {name: stated for name, stated in found.items() if not stated <= ALLOWED} == {}
    assert len(found) > 50


def test_development_packages_are_not_in_the_image() -> None:
    """The Dockerfile installs no dependency group."""
    assert "--no-default-groups" in (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
    assert not packages().keys() & {"pytest", "numpy", "pyarrow", "chapar"}
