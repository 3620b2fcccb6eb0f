"""Progress of whatever takes longer than two seconds, on standard error, only where somebody looks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from services.cli.output import errors


@contextlib.contextmanager
def download_progress(files: int, size: int) -> Iterator[Callable[[int], None]]:
    """A bar for a download of so many files and bytes in all."""
    columns = (
        TextColumn("fetching Kafka ({task.fields[files]} files)"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors) as progress:
        task = progress.add_task("fetch", total=size, files=files)
        yield lambda count: progress.update(task, advance=count)
