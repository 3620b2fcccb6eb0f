"""The commands of `chapar`, each imported when it is asked for: no command waits for the libraries of the others."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final, cast

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS: Final = (
    "run",
    "demo",
    "send",
    "loadgen",
    "explain",
    "audit",
    "queues",
    "scores",
    "replay",
    "size",
    "token",
    "agents",
    "interactions",
    "deliveries",
    "templates",
    "files",
    "feedback",
    "simulate",
    "sla",
    "config",
    "topics",
    "deadletters",
    "persons",
    "block",
    "lanes",
    "transactions",
    "upgrade",
)
"""Each name is a module in `commands` with an `app` (a group) or a function of its own name (a command); in the order of the help."""


class _Modules(Mapping[str, TyperCommand | TyperGroup]):
    """The commands by name; each is imported when it is looked up for the first time."""

    def __init__(self) -> None:
        self._loaded: dict[str, TyperCommand | TyperGroup] = {}

    def __getitem__(self, name: str) -> TyperCommand | TyperGroup:
        if name not in COMMANDS:
            raise KeyError(name)
        if name not in self._loaded:
            self._loaded[name] = _load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class LazyCommands(TyperGroup):
    """A group that imports a command's module when the command runs, or when the help shows it."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = cast("Any", _Modules())  # declared mutable, but nothing adds to it


def _load(name: str) -> TyperCommand | TyperGroup:
    module = import_module(f"services.cli.commands.{name}")
    group: typer.Typer | None = getattr(module, "app", None)
    if group is None:
        only = typer.Typer(add_completion=False)
        only.command(name)(getattr(module, name))
        return cast("TyperCommand", typer.main.get_command(only))
    command = typer.main.get_group(group)
    command.name = name
    return command
