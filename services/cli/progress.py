"""Progress bars for operations that take longer than two seconds: on standard error, and only on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from services.cli.output import errors


@contextlib.contextmanager
def download_progress(files: int, size: int) -> Iterator[Callable[[int], None]]:
    """Show a bar for a download; `files` and `size` (bytes) are the totals. Yields a function that adds bytes to the bar."""
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
