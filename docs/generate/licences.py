"""Writes docs/licences.md: the Python packages of the image, with version and licence.

    python -m docs.generate.licences > docs/licences.md

The lock gives names and versions for Linux and Python 3.11, without dependency groups, as the Dockerfile installs them. The
installed packages give the licences. Raises LookupError for a package without a licence in its metadata; add such a
package to READ_BY_HAND after reading its licence.
"""

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any, Final

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.markers import Marker

ROOT = Path(__file__).parents[2]
IMAGE: Final = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.14",
    "python_version": "3.11",
    "sys_platform": "linux",
}
"""The environment that the Dockerfile builds for, for the markers in the lock."""
READ_BY_HAND: Final = {
    "dkimpy": "Zlib",
    "faust-streaming": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "mode-streaming": "BSD-3-Clause",
    "prompt-toolkit": "BSD-3-Clause",
    "python-dateutil": "BSD-3-Clause",
    "venusian": "BSD-3-Clause-Modification",
}
"""SPDX expressions of packages whose metadata is not exact, from the licence file in the package."""
SPDX: Final = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache2": "Apache-2.0",
    "ISC License": "ISC",
    "MIT License": "MIT",
}
"""SPDX expressions for what packages with older metadata write."""


def packages() -> dict[str, str]:
    """The versions of the image's packages by name, from the lock. Chapar itself is left out."""
    locked: dict[str, dict[str, Any]] = {}
    for package in tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]:
        markers = package.get("resolution-markers", [])
        if not markers or any(Marker(marker).evaluate(dict(IMAGE)) for marker in markers):
            locked[package["name"]] = package
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [("chapar", "")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        package = locked[name]
        found[name] = package["version"]
        needed = package.get("optional-dependencies", {}).get(extra, []) if extra else package.get("dependencies", [])
        for dependency in needed:
            if "marker" not in dependency or Marker(dependency["marker"]).evaluate(dict(IMAGE)):
                waiting += [(dependency["name"], each) for each in ["", *dependency.get("extra", [])]]
    del found["chapar"]
    return found


def licence(name: str) -> str | None:
    """The SPDX expression of an installed package. None when this environment lacks the package."""
    try:
        fields = metadata(name)
    except PackageNotFoundError:
        return None
    if name in READ_BY_HAND:
        return READ_BY_HAND[name]
    whole = [*(fields.get_all("License-Expression") or ()), *(fields.get_all("License") or ())]
    classifiers = [text for text in fields.get_all("Classifier") or () if text.startswith("License :: ")]
    stated = next((text for text in whole if text), " and ".join(text.rsplit(" :: ", 1)[-1] for text in classifiers))
    try:
        return canonicalize_license_expression(SPDX.get(stated, stated))
    except InvalidLicenseExpression as error:
        raise LookupError(f"{name} states no licence that is known here: {stated[:60]!r}") from error


def render() -> str:
    """The content of docs/licences.md. Raises LookupError when the licence of a package is not known."""
    lines = [
        "# Licences",
        "",
        "The Python packages of the image, written by `docs/generate/licences.py` (`make docs`); a test compares.",
        "Chapar itself is under the [Apache License 2.0](../LICENSE). The base image brings Debian and Python, each with",
        "the licences in `/usr/share/doc`. Java and Kafka are not in the image.",
        "",
        "| package | version | licence |",
        "|---|---|---|",
    ]
    for name, version in sorted(packages().items()):
        expression = licence(name)
        if expression is None:
            raise LookupError(f"{name} is not installed: run `make .venv/.ready` with Python 3.11 on Linux")
        lines.append(f"| {name} | {version} | {expression} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
