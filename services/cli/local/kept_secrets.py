"""Secrets of the example tenant, generated on this machine: each is generated once and is then the same for every call and every process.

A file from an earlier version lacks the names that were added since. They are added to the file: a secret that is generated but not stored
would differ in each process, and one process would refuse what another signs.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

WEBHOOK_SECRET: Final = "CHAPAR_SECRET_DEMO__WEBHOOK_SECRET"  # noqa: S105 the name of a variable
_TOKENS: Final = (
    "CHAPAR_SECRET_DEMO__WEBCHAT_SECRET",
    "CHAPAR_SECRET_DEMO__TELEGRAM_SECRET",
    "CHAPAR_SECRET_DEMO__TELEGRAM_TOKEN",
    "CHAPAR_SECRET_DEMO__WHATSAPP_SECRET",
    "CHAPAR_SECRET_DEMO__WHATSAPP_VERIFY",
    "CHAPAR_SECRET_DEMO__WHATSAPP_TOKEN",
    "CHAPAR_SECRET_DEMO__EMAIL_SECRET",
)
DEMO_ADDRESSES: Final = frozenset(
    {"CHAPAR_SECRET_DEMO__TELEGRAM_URL", "CHAPAR_SECRET_DEMO__WHATSAPP_URL", "CHAPAR_SECRET_DEMO__SMTP_URL"}
)
"""Addresses of the providers that `chapar demo` simulates; it sets them when it starts."""
GENERATED: Final = frozenset({*_TOKENS, WEBHOOK_SECRET})
"""Variables that `chapar run` and `chapar demo` set for the example tenant."""
Secrets = dict[str, str]


def complete_json(path: Path) -> Secrets:
    """Return the secrets of a JSON file; generate those that it lacks and store them in it."""
    return _complete(path, _of_json, lambda _, known: json.dumps(known))


def complete_env(path: Path) -> Secrets:
    """Do the same for a file of NAME=value lines; all other lines are kept."""
    return _complete(path, _of_env, _appended)


def _made() -> Secrets:
    found = {name: secrets.token_urlsafe(24) for name in _TOKENS}
    found[WEBHOOK_SECRET] = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    return found


def _complete(path: Path, read: Callable[[str], Secrets], text_of: Callable[[str, Secrets], str]) -> Secrets:
    known = read(path.read_text(encoding="utf-8")) if path.exists() else {}
    if known.keys() >= GENERATED:
        return known  # without a lock: a complete file may be in a directory that is not writable
    with _alone(path):
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        known = {**_made(), **read(before)}
        _replace(path, text_of(before, known))
    return known


def _of_json(text: str) -> Secrets:
    known: Secrets = json.loads(text) if text.strip() else {}
    return known


def _of_env(text: str) -> Secrets:
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, equals, value in pairs if equals}


def _appended(before: str, known: Secrets) -> str:
    lines = before.splitlines() + [f"{name}={value}" for name, value in known.items() if name not in _of_env(before)]
    return "\n".join(lines) + "\n"


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time change the file: two that both add names would store different secrets. Locks the directory."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
