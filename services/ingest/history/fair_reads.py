"""Every query of the history's readers: a bounded number at a time, and tenants that wait for one take turns.

This is the one place: what a call, a watch, a visitor who comes back or an erasure reads waits behind its own tenant's reads, and the
connections of the pool are never used up by one tenant.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, Select
from sqlalchemy.exc import SQLAlchemyError

from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.adapters.edges.turns import TooManyWaiting, Turns
from services.ingest.history.database import Database

AT_A_TIME: Final = 8
MOST_WAITING: Final = 256
_RETRY_AFTER_S: Final = 1.0


class FairReads:
    """One for all readers of a database."""

    def __init__(self, database: Database, at_a_time: int = AT_A_TIME, most_waiting: int = MOST_WAITING) -> None:
        """`most_waiting`: of one tenant."""
        self._database = database
        self._turns = Turns(at_a_time, most_waiting)

    async def rows(self, tenant: str, query: Select[Any]) -> Sequence[Row[Any]]:
        """What the query finds. Raises EXHAUSTED TENANT_READS, UNAVAILABLE HISTORY_AWAY."""
        try:
            async with self._turns.turn(tenant), self._database.engine.connect() as connection:
                found: Sequence[Row[Any]] = (await connection.execute(query)).all()
                return found
        except TooManyWaiting as error:
            raise ChaparError(
                ErrorKind.EXHAUSTED,
                "TENANT_READS",
                "this tenant has too many reads waiting: read less at once, or later",
                retry_after_s=_RETRY_AFTER_S,
            ) from error
        except (SQLAlchemyError, OSError) as error:
            raise ChaparError(
                ErrorKind.UNAVAILABLE, "HISTORY_AWAY", "history can't be read now: try again", retry_after_s=2
            ) from error
