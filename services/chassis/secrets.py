"""Secrets by reference: configuration says where a secret is, never its value. A tenant can read its own secrets and no others.

A tenant's configuration is written by the tenant, so a reference is only a request. The operator decides which secrets exist:

    env:CHAPAR_SECRET_<TENANT>__<NAME>   a variable of the process; TENANT in capitals, `-` as `_`; NAME of capitals, digits, single `_`
    file:<path>                          below <secrets_dir>/<tenant>/, after every link is followed; without secrets_dir none

Everything else does not exist for a tenant, above all the platform's own secrets.
"""

import os
import re
import stat
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

PREFIX: Final = "CHAPAR_SECRET_"
FORMS: Final = "env:CHAPAR_SECRET_<TENANT>__<NAME> or file:<secret>/<key>"
"""The forms of references that people may write."""
_KEPT_MS: Final = 5_000
_KNOWN_REFERENCES: Final = 4096
_MAX_SECRET_BYTES: Final = 64 << 10
_TENANT: Final = re.compile(r"[a-z0-9-]{1,40}")
# No double underscore in a name: it ends the tenant's part; otherwise tenant `a` could name a secret of `a-b`.
_NAME: Final = re.compile(r"[A-Z0-9]+(_[A-Z0-9]+)*")
_PATH: Final = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


def env_prefix(tenant: str) -> str:
    """Return the prefix of the names of a tenant's variables."""
    return f"{PREFIX}{tenant.upper().replace('-', '_')}__"


@lru_cache(_KNOWN_REFERENCES)
def reference_problem(tenant: str, reference: str) -> str:
    """Return why a tenant may not use this reference; empty when it may. Does not check whether the secret exists."""
    scheme, colon, where = reference.partition(":")
    if not colon or scheme not in ("env", "file") or not where:
        return f"must be a reference, {FORMS}, never the secret itself"
    if not _TENANT.fullmatch(tenant):
        return "a tenant of this name has no secrets"
    if scheme == "env":
        prefix = env_prefix(tenant)
        if where.startswith(prefix) and _NAME.fullmatch(where.removeprefix(prefix)):
            return ""
        return f"names a variable of another tenant: this tenant's are {prefix}NAME"
    if _PATH.fullmatch(where) and not {".", ".."} & set(where.split("/")):
        return ""
    return (
        "must be a path below the tenant's directory of secrets: letters, digits, `.`, `_`, `-` and `/`, not absolute"
    )


class SecretReferences:
    """Reads secrets when they are used. A file is read again after five seconds, so that a rotated secret needs no restart."""

    def __init__(
        self, clock: Callable[[], int], directory: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._env = os.environ if env is None else env
        self._kept: dict[tuple[str, str], tuple[int, str]] = {}

    def read(self, tenant: str, reference: str) -> str:
        """Return the tenant's secret; empty when it cannot be read or the tenant may not name it."""
        if reference_problem(tenant, reference):
            return ""
        scheme, _, where = reference.partition(":")
        return self._env.get(where, "") if scheme == "env" else self._file(tenant, where)

    def _file(self, tenant: str, path: str) -> str:
        now = self._clock()
        kept = self._kept.get((tenant, path))
        if kept is not None and now - kept[0] < _KEPT_MS:
            return kept[1]
        if self._directory is None:
            return ""
        try:
            own = (self._directory / tenant).resolve(strict=True)
            # Kubernetes mounts secrets behind links; their target is checked.
            found = (own / path).resolve(strict=True)
            if own.parent != self._directory.resolve() or not found.is_relative_to(own):
                return ""
            secret = _content(found)
        except (OSError, ValueError):
            return ""
        self._kept[tenant, path] = (now, secret)
        return secret


def _content(path: Path) -> str:
    """Return the text of a regular file; empty if it is not one or is too large. Raises OSError."""
    # Do not follow a link that appeared meanwhile, and do not wait for the other end of a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return ""
        raw = file.read(_MAX_SECRET_BYTES + 1)
    return raw.decode("utf-8", "replace").strip() if len(raw) <= _MAX_SECRET_BYTES else ""


def scheme_of(reference: str) -> str:
    """Return the kind of the reference, for people: only the operator needs to know its target."""
    scheme = reference.partition(":")[0]
    return scheme if scheme in ("env", "file") else "unknown"
