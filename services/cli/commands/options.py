"""Options that many commands share."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Pool = Annotated[str, typer.Option("--pool", help="The pool.")]
Epoch = Annotated[
    int,
    typer.Option(
        "--expect-epoch", min=0, help="Refuse if this is not the interaction's newest epoch; `chapar explain` shows it."
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=500, help="The most rows to print.")]
