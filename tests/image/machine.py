"""How this machine reaches packages: apt's mirror, pip's index, and the authorities that it trusts. Base images get the same."""

from __future__ import annotations

import os
import shlex
import ssl
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.image.programs import NoEngineError

BUNDLE: Final = "/etc/ssl/certs/ca-certificates.crt"
"""Debian's place of the trusted authorities, in the base images."""
_DEBIAN: Final = "/debian"
_PIP_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "index-url": ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        "extra-index-url": ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
        "trusted-host": ("PIP_TRUSTED_HOST", "UV_INSECURE_HOST"),
    }
)
"""For each option of pip, the variables of pip and uv that mean the same."""
_PASSED_ON: Final = frozenset(
    {name for names in _PIP_OPTIONS.values() for name in names} | {"UV_INDEX_URL", "UV_EXTRA_INDEX_URL"}
)
PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""Build arguments that every Dockerfile has."""


def mirror_of(sites: Iterable[str]) -> str:
    """Return the mirror of Debian among the sites of apt's sources. Raises NoEngineError when there is none."""
    for site in sites:
        if site.strip().rstrip("/").endswith(_DEBIAN):
            return site.strip().rstrip("/")
    raise NoEngineError("apt's sources name no mirror of Debian, from which the base images could be made.")


def index_variables(pip_config: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which pip and uv in a build use this machine's package index.

    `pip_config`: the output of `pip config list`. Variables of this process come last, because pip prefers them too.
    """
    found: dict[str, str] = {}
    for line in pip_config.splitlines():
        name, equals, value = line.partition("=")
        section, _, option = name.partition(".")
        if equals and section in ("global", "install", ":env:"):
            for variable in _PIP_OPTIONS.get(option, ()):
                found[variable] = " ".join(shlex.split(value))
    return found | {name: given[name] for name in sorted(_PASSED_ON & given.keys())}


def authorities(given: Mapping[str, str]) -> Path:
    """Return the file with the authorities that this machine trusts, as Python and OpenSSL find it. Raises NoEngineError."""
    for name in (given.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile, BUNDLE):
        if name and Path(name).is_file():
            return Path(name)
    raise NoEngineError("No file of trusted authorities was found: set SSL_CERT_FILE, or install ca-certificates.")


def apt_mirror() -> str:
    """Return the mirror of Debian that apt uses here."""
    return mirror_of(_said("apt-get", "indextargets", "--format", "$(SITE)").splitlines())


def build_variables() -> dict[str, str]:
    """Return the variables of the base images."""
    pip = _said(sys.executable, "-m", "pip", "config", "list") if _has_pip() else ""
    trust = dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"), BUNDLE)
    return {**trust, **index_variables(pip, os.environ)}


def _has_pip() -> bool:
    return subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def _said(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoEngineError(f"{' '.join(words)} failed: {error}") from error
