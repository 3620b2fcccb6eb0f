"""Secrets by reference: configuration says where a secret is, `env:NAME` or `file:/path`, never what it is."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

_KEPT_MS: Final = 5_000
_MAX_SECRET_BYTES: Final = 64 << 10


class SecretReferences:
    """Looked up at use. A file is read again after five seconds, so that a rotated secret needs no restart."""

    def __init__(self, clock: Callable[[], int], env: Mapping[str, str] | None = None) -> None:
        self._clock = clock
        self._env = os.environ if env is None else env
        self._kept: dict[str, tuple[int, str]] = {}

    def read(self, reference: str) -> str:
        """The secret; empty when it can't be read or the reference is of no known kind."""
        scheme, _, where = reference.partition(":")
        if scheme == "env":
            return self._env.get(where, "")
        return self._file(where) if scheme == "file" else ""

    def _file(self, path: str) -> str:
        now = self._clock()
        kept = self._kept.get(path)
        if kept is not None and now - kept[0] < _KEPT_MS:
            return kept[1]
        try:
            with Path(path).open("rb") as file:
                secret = file.read(_MAX_SECRET_BYTES).decode("utf-8", "replace").strip()
        except OSError:
            return ""
        self._kept[path] = (now, secret)
        return secret


def scheme_of(reference: str) -> str:
    """Which kind of reference it is, for people: its target is the operator's business."""
    scheme = reference.partition(":")[0]
    return scheme if scheme in ("env", "file") else "unknown"
