"""The `chapar` command: each file named in `lazy_commands` defines one command or group of commands."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from services.chassis.build import version
from services.cli.lazy_commands import LazyCommands

app = typer.Typer(
    cls=LazyCommands,
    no_args_is_help=True,
    help="Chapar routes each customer interaction to an agent who can help. Every command prints JSON for programs with --json.",
    pretty_exceptions_show_locals=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(version())
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Handle the options that come before a command."""


def main() -> None:
    """Run the `chapar` command."""
    # The Kafka client logs each of its own retries; a failure that matters is raised as an error.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    app()


if __name__ == "__main__":
    main()
