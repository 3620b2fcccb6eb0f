"""Options that many commands share."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Answer with JSON, for programs.")]
Pool = Annotated[str, typer.Option("--pool", help="Pool to ask about.")]
Epoch = Annotated[
    int,
    typer.Option("--expect-epoch", min=0, help="Refuse when this is not its newest event, as `chapar explain` shows."),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=500, help="At most so many rows.")]
