"""Judges what was seen of the image and of its containers. Each function returns complaints, as sentences; none when all is right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

USER: Final = 10001
LOOK: Final = """
import errno, json, sys

lines = open("/proc/1/status").read().splitlines()
status = dict(line.split(":", 1) for line in lines)

def refusal(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "written"

print(json.dumps({
    "users": sorted({*map(int, status["Uid"].split()), *map(int, status["Gid"].split())}),
    "capabilities": [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "may_gain_rights": status["NoNewPrivs"].strip() != "1",
    "writes": {path: refusal(path) for path in sys.argv[1:]},
}))
"""
"""Python that prints `Facts` inside a container, for the paths that are its arguments."""
MAY_WRITE: Final = ("/tmp/probe", "/var/lib/chapar/probe")
MAY_NOT_WRITE: Final = ("/probe", "/opt/chapar/probe", "/opt/chapar/.venv/probe")
INSTALLED: Final = """
import json
from importlib import metadata
from pathlib import Path

print(json.dumps({
    "installed": {each.metadata["Name"]: each.version for each in metadata.distributions()},
    "bill": json.loads(Path("/opt/chapar/sbom.cdx.json").read_text()),
}))
"""
"""Python that prints the packages of the image and its bill of materials."""


class Facts(BaseModel):
    """What a container's first process has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: list[int]
    """All its user and group ids."""
    capabilities: list[int]
    may_gain_rights: bool
    writes: dict[str, str]
    """For each path: `written`, or the name of the error."""


def about_rights(facts: Facts) -> list[str]:
    """Return which rights a container has that it should not have."""
    wrong = []
    if facts.users != [USER]:
        wrong.append(f"its users and groups are {facts.users}, not {USER} alone")
    if any(facts.capabilities):
        wrong.append(f"it has capabilities: {[f'{each:x}' for each in facts.capabilities]}")
    if facts.may_gain_rights:
        wrong.append("it may gain rights by set-user-id programs")
    for path, outcome in facts.writes.items():
        wanted = "written" if path in MAY_WRITE else "EROFS"
        if outcome != wanted:
            wrong.append(f"{path}: {outcome}, not {wanted}")
    return wrong


def about_start(seconds: float, most: float, load: float, cpus: int) -> list[str]:
    """Return whether a service was ready too late. A start beside much other work (load average above two a CPU) proves nothing."""
    if seconds <= most:
        return []
    if load > 2 * cpus:
        print(f"not judged: ready after {seconds:.1f} s at a load of {load:.1f}", flush=True)
        return []
    return [f"it was ready after {seconds:.1f} s, not within {most:g} s"]


def about_engine(metrics: str) -> list[str]:
    """Return whether a router runs uncompiled, by the text of its metrics."""
    found = re.findall(r"^chapar_router_engine_compiled(?:\{.*\})? (\S+)$", metrics, re.MULTILINE)
    return [] if found == ["1.0"] else [f"chapar_router_engine_compiled is {found or 'absent'}, not 1.0"]


def about_bill(bill: Mapping[str, Any], installed: Mapping[str, str], version: str) -> list[str]:
    """Return where the bill of materials (CycloneDX) differs from the packages of the image.

    `installed`: versions by name; names are compared as the package index compares them.
    """
    wrong = []
    if bill.get("bomFormat") != "CycloneDX":
        return ["the bill of materials is not CycloneDX"]
    root = bill["metadata"]["component"]
    if (root["name"], root.get("version")) != ("chapar", version):
        wrong.append(f"the bill is of {root['name']} {root.get('version')}, not of chapar {version}")
    listed = {_index_name(each["name"]): each.get("version") for each in bill["components"]}
    present = {_index_name(name): each for name, each in installed.items() if _index_name(name) != "chapar"}
    wrong += [
        f"{name}: {listed.get(name, 'not')} in the bill, {present.get(name, 'not')} in the image"
        for name in sorted(listed.keys() | present.keys())
        if name != "chapar" and listed.get(name) != present.get(name)
    ]
    if without := sorted(each["name"] for each in bill["components"] if not each.get("purl")):
        wrong.append(f"without a package URL: {', '.join(without)}")
    return wrong


def about_logs(log: str) -> list[str]:
    """Return the lines of a service's log (JSON) that report an error."""
    return [line for line in log.splitlines() if re.search(r'"level": ?"(error|critical)"', line)]


def about_labels(labels: Mapping[str, str], version: str) -> list[str]:
    """Return what is wrong with the labels of the image."""
    wanted = {"org.opencontainers.image.title": "chapar", "org.opencontainers.image.version": version}
    return [
        f"label {name} is {labels.get(name)}, not {value}"
        for name, value in wanted.items()
        if labels.get(name) != value
    ]


def listed(place: str, complaints: Iterable[str]) -> list[str]:
    """Return complaints with the place that they are about."""
    return [f"{place}: {complaint}" for complaint in complaints]


def _index_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
