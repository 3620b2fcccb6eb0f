"""Who does something at the command line, for the audit log: by name where one is given, otherwise the user of the operating system."""

from __future__ import annotations

import getpass
import os
from typing import Annotated, Final

import typer

from services.chassis.errors import ChaparError, ErrorKind

MOST: Final = 200
"""Characters of a name; the audit log is searched by it."""
Actor = Annotated[str, typer.Option("--actor", envvar="CHAPAR_ACTOR", help="Who does it, for the audit log.")]


def actor_or_user(given: str) -> str:
    """The name. Raises INVALID for one that the audit log can't hold."""
    name = given.strip() or _user()
    if len(name) > MOST or not name.isprintable():
        raise ChaparError(
            ErrorKind.INVALID, "BAD_ACTOR", f"--actor is a name of at most {MOST} characters, on one line"
        )
    return name


def _user() -> str:
    """In a container the number may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
