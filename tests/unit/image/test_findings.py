"""The judgement of `make image-check`: each wrong thing is a complaint, and a right image has none."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.image.findings import (
    LOOK,
    Facts,
    about_bill,
    about_engine,
    about_labels,
    about_logs,
    about_rights,
    about_start,
    listed,
)

RIGHT: dict[str, Any] = {
    "users": [10001],
    "capabilities": [0, 0, 0, 0, 0],
    "may_gain_rights": False,
    "writes": {"/probe": "EROFS", "/tmp/probe": "written", "/var/lib/chapar/probe": "written"},
}


def test_an_unprivileged_container_has_no_complaint() -> None:
    """Only the directories of state and of temporary files can be written."""
    assert about_rights(Facts.model_validate(RIGHT)) == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("users", [0, 10001], "users and groups are [0, 10001]"),
        ("capabilities", [0, 0, 0, 0x400, 0], "capabilities"),
        ("may_gain_rights", True, "set-user-id"),
        ("writes", {"/probe": "written"}, "/probe: written, not EROFS"),
        ("writes", {"/probe": "EACCES"}, "/probe: EACCES, not EROFS"),
        ("writes", {"/tmp/probe": "EROFS"}, "/tmp/probe: EROFS, not written"),
    ],
)
def test_a_right_too_many_or_too_few_is_a_complaint(name: str, value: object, says: str) -> None:
    """A root user, a capability, a writable root file system, and a directory that should be writable and is not."""
    (complaint,) = about_rights(Facts.model_validate(RIGHT | {name: value}))
    assert says in complaint


def test_a_process_is_seen_as_it_is(tmp_path: Path) -> None:
    """The script that runs in the container prints these facts and no others."""
    paths = [str(tmp_path / "here"), str(tmp_path / "nowhere/probe")]
    done = subprocess.run([sys.executable, "-c", LOOK, *paths], capture_output=True, text=True, check=True)
    facts = Facts.model_validate_json(done.stdout)
    assert list(facts.writes.values()) == ["written", "ENOENT"]
    assert facts.users == sorted({os.getuid(), os.getgid()})
    assert len(facts.capabilities) == 5


@pytest.mark.parametrize(
    ("seconds", "load", "complaints"), [(10.0, 0.5, 0), (10.1, 0.5, 1), (10.1, 4.0, 1), (30.0, 4.1, 0)]
)
def test_a_slow_start_is_a_complaint_on_a_machine_that_was_free(seconds: float, load: float, complaints: int) -> None:
    """Beside the work of others, the time says more about the others."""
    assert len(about_start(seconds, 10, load, cpus=2)) == complaints


def test_a_router_that_runs_as_python_is_a_complaint() -> None:
    """A router that does not report it is one too."""
    assert about_engine("chapar_router_engine_compiled 1.0\n") == []
    assert about_engine("chapar_router_engine_compiled 0.0\n") != []
    assert about_engine("") != []


BILL = {
    "bomFormat": "CycloneDX",
    "metadata": {"component": {"name": "chapar", "version": "1.2"}},
    "components": [{"name": "Some_Package", "version": "3", "purl": "pkg:pypi/some-package@3"}],
}


def test_a_bill_of_the_installed_packages_has_no_complaint() -> None:
    """Names are compared as the package index compares them, and the project is the bill's subject, not a part."""
    assert about_bill(BILL, {"some.package": "3", "chapar": "1.2"}, "1.2") == []


@pytest.mark.parametrize(
    ("installed", "version", "says"),
    [
        ({"some-package": "4"}, "1.2", "some-package: 3 in the bill, 4 in the image"),
        ({}, "1.2", "some-package: 3 in the bill, not in the image"),
        ({"some-package": "3", "more": "1"}, "1.2", "more: not in the bill, 1 in the image"),
        ({"some-package": "3"}, "1.3", "the bill is of chapar 1.2, not of chapar 1.3"),
    ],
)
def test_a_bill_that_differs_is_a_complaint(installed: dict[str, str], version: str, says: str) -> None:
    """A missing package, one too many, another version, another project's version."""
    assert about_bill(BILL, installed, version) == [says]


def test_another_format_and_a_package_without_an_address_are_complaints() -> None:
    """Scanners need CycloneDX with package URLs."""
    assert about_bill({"bomFormat": "SPDX"}, {}, "1.2") == ["the bill of materials is not CycloneDX"]
    unnamed = BILL | {"components": [{"name": "a", "version": "1"}]}
    assert about_bill(unnamed, {"a": "1"}, "1.2") == ["without a package URL: a"]


def test_errors_in_logs_and_labels_of_another_version_are_complaints() -> None:
    """A service that stops cleanly logs no error; the label names the version that is inside."""
    lines = [json.dumps({"level": level, "event": "x"}) for level in ("info", "error", "warning", "critical")]
    assert about_logs("\n".join(lines)) == [lines[1], lines[3]]
    labels = {"org.opencontainers.image.title": "chapar", "org.opencontainers.image.version": "1.2"}
    assert about_labels(labels, "1.2") == []
    assert listed("image", about_labels(labels, "1.3")) == [
        "image: label org.opencontainers.image.version is 1.2, not 1.3"
    ]
