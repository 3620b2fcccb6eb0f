"""The `chapar` command: one group of commands a file, put together here."""

from __future__ import annotations

import typer

from services.cli.commands import config, deadletters, explain, interactions, queues, run, scores, send, sla, topics

app = typer.Typer(
    no_args_is_help=True,
    help="Chapar routes every customer contact to the person who can help. Every command answers with --json for programs.",
    pretty_exceptions_show_locals=False,
)
app.command()(run.run)
app.command()(send.send)
app.command()(explain.explain)
app.command()(queues.queues)
app.command()(scores.scores)
app.add_typer(interactions.app, name="interactions")
app.add_typer(sla.app, name="sla")
app.add_typer(config.app, name="config")
app.add_typer(topics.app, name="topics")
app.add_typer(deadletters.app, name="deadletters")


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
