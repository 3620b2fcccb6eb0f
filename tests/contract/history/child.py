"""Runs a projection in a separate process that a test kills: `python -m tests.contract.history.child BOOTSTRAP PREFIX
URL`.

Prints a line for each transaction; folds in small batches so that a kill falls between and inside of them.
"""

import asyncio
import sys

from services.chassis.metrics import Metrics
from services.ingest.adapters.history.database import Database, database_url
from services.ingest.adapters.history.projection import Pace, Projection
from services.ingest.metrics import METRICS
from tests.fakes.privacy import MemoryKeys
from tests.fixtures.broker import plain_settings


async def main(bootstrap: str, prefix: str, url: str) -> None:
    """Run until killed."""
    async with Database(database_url(url, {}, "", "")) as database:
        projection = Projection(
            plain_settings(bootstrap, prefix),
            database,
            Metrics(METRICS),
            client_id="history-child",
            keys=MemoryKeys(),
            caught_up=lambda: print("caught up", flush=True),
            written=lambda: print("written", flush=True),
            pace=Pace(commit_records=3),
        )
        await projection.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
