"""The `chapar` command: each file in `commands` defines one group of commands, and this module assembles them."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from services.chassis.build import version
from services.cli.commands import (
    agents,
    audit,
    config,
    deadletters,
    deliveries,
    demo,
    explain,
    feedback,
    files,
    interactions,
    lanes,
    loadgen,
    persons,
    queues,
    replay,
    run,
    scores,
    send,
    simulate,
    size,
    sla,
    token,
    topics,
    transactions,
    upgrade,
)

app = typer.Typer(
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


app.command()(run.run)
app.command()(demo.demo)
app.command()(send.send)
app.command()(loadgen.loadgen)
app.command()(explain.explain)
app.command()(audit.audit)
app.command()(queues.queues)
app.command()(scores.scores)
app.command()(replay.replay)
app.command()(size.size)
app.add_typer(token.app, name="token")
app.add_typer(agents.app, name="agents")
app.add_typer(interactions.app, name="interactions")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(files.app, name="files")
app.add_typer(feedback.app, name="feedback")
app.add_typer(simulate.app, name="simulate")
app.add_typer(sla.app, name="sla")
app.add_typer(config.app, name="config")
app.add_typer(topics.app, name="topics")
app.add_typer(deadletters.app, name="deadletters")
app.add_typer(persons.app, name="persons")
app.add_typer(lanes.app, name="lanes")
app.add_typer(transactions.app, name="transactions")
app.add_typer(upgrade.app, name="upgrade")


def main() -> None:
    """Run the `chapar` command."""
    # The Kafka client logs each of its own retries; a failure that matters is raised as an error.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    app()


if __name__ == "__main__":
    main()
