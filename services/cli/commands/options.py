"""Options that many commands share."""

from typing import Annotated

import typer

from services.chassis.destinations import Destinations, destinations

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Pool = Annotated[str, typer.Option("--pool", help="The pool.")]
Epoch = Annotated[
    int,
    typer.Option(
        "--expect-epoch", min=0, help="Refuse if this is not the interaction's newest epoch; `chapar explain` shows it."
    ),
]
Allow = Annotated[
    str,
    typer.Option(
        "--allow",
        envvar="CHAPAR_OUTGOING_ALLOW",
        help="Hosts, addresses and networks that URLs may name although they are not public; same format as the services' OUTGOING_ALLOW.",
    ),
]
AnyId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The id of an interaction, or of a message, reply, offer or survey invitation of it, or of its conversation.",
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=500, help="The most rows to print.")]


def rules_of(allow: str) -> Destinations:
    """Return the destinations that a configuration may name, by the option `--allow`. Raises typer.BadParameter."""
    try:
        return destinations(allow.replace(",", " ").split(), development=False)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--allow") from None
