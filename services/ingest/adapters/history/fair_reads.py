"""Runs every query of the history's readers: a bounded number at a time, and waiting tenants take turns.

All reads go through this module. A read for a call, a watch, a returning visitor or an erasure waits behind its own
tenant's reads only, and one tenant can never use up the pool's connections.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, Select
from sqlalchemy.exc import SQLAlchemyError

from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.adapters.edges.turns import TooManyWaiting, Turns
from services.ingest.adapters.history.database import Database
from services.ingest.domain.reasons import Reason

AT_A_TIME: Final = 8
MOST_WAITING: Final = 256
_RETRY_AFTER_S: Final = 1.0


class FairReads:
    """Limits the reads of one database; shared by all its readers."""

    def __init__(self, database: Database, at_a_time: int = AT_A_TIME, most_waiting: int = MOST_WAITING) -> None:
        """`most_waiting`: the maximum number of waiting reads of one tenant."""
        self._database = database
        self._turns = Turns(at_a_time, most_waiting)

    async def rows(self, tenant: str, query: Select[Any]) -> Sequence[Row[Any]]:
        """Return the rows that the query finds. Raises EXHAUSTED TENANT_READS, UNAVAILABLE HISTORY_AWAY."""
        try:
            async with self._turns.turn(tenant), self._database.engine.connect() as connection:
                found: Sequence[Row[Any]] = (await connection.execute(query)).all()
                return found
        except TooManyWaiting as error:
            raise ChaparError(
                ErrorKind.EXHAUSTED,
                Reason.TENANT_READS,
                "this tenant has too many reads waiting: read less at once, or later",
                retry_after_s=_RETRY_AFTER_S,
            ) from error
        except (SQLAlchemyError, OSError) as error:
            raise ChaparError(
                ErrorKind.UNAVAILABLE, Reason.HISTORY_AWAY, "history can't be read now; try again", retry_after_s=2
            ) from error
