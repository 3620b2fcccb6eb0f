"""The actor of a command, for the audit log: the given name, or else the user of the operating system."""

from __future__ import annotations

import getpass
import os
from typing import Annotated, Final

import typer

from services.chassis.errors import ChaparError, ErrorKind
from services.cli.reasons import Reason

MOST: Final = 200
"""The most characters in an actor's name; the audit log is searched by this name."""
Actor = Annotated[str, typer.Option("--actor", envvar="CHAPAR_ACTOR", help="Who runs the command, for the audit log.")]


def actor_or_user(given: str) -> str:
    """Return the actor's name. Raises INVALID for a name that the audit log can't hold."""
    name = given.strip() or _user()
    if len(name) > MOST or not name.isprintable():
        raise ChaparError(
            ErrorKind.INVALID, Reason.BAD_ACTOR, f"--actor must be a name of at most {MOST} characters, on one line"
        )
    return name


def _user() -> str:
    """Return the user's name, or the user id: in a container the id may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
