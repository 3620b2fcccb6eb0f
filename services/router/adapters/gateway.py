"""The sessions of this replica: delivers the feed to them, renews their leases, and sends them to other replicas on shutdown."""

import asyncio
from typing import Final

from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2 as api
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.router.adapters.desk_session import DeskSession
from services.router.domain.reasons import Reason
from services.router.ports import Commands
from services.router.translate.desk import to_response

_BATCH: Final = 1000


class Gateway:
    """The sessions of this replica; see the module."""

    def __init__(self, commands: Commands, metrics: Metrics) -> None:
        self._commands = commands
        self._sessions: dict[str, DeskSession] = {}
        self._gauge = metrics.gauge("chapar_gateway_sessions").labels()
        self._log = get_logger(__name__)
        self.draining = False

    def add(self, session: DeskSession) -> None:
        """Add a session that begins."""
        self._sessions[session.session_id] = session
        self._gauge.set(len(self._sessions))

    def remove(self, session: DeskSession) -> None:
        """Remove a session that has ended."""
        self._sessions.pop(session.session_id, None)
        self._gauge.set(len(self._sessions))

    def deliver(self, record: pb.FeedRecord) -> None:
        """Deliver a record of the feed that is not the result of a command."""
        session = self._sessions.get(record.session_id)
        if session is None:
            return
        match record.WhichOneof("record"):
            case "snapshot":
                session.snapshot = record.snapshot
                for view in record.snapshot.assignments:
                    session.learn(view.interaction)
                session.on_snapshot()
                return
            case "result":
                self._ended(session, record.result.reason)
                return
            case "assigned":
                session.learn(record.assigned.interaction)
        response = to_response(record)
        if response is not None and session.welcomed:  # records before the snapshot are contained in it
            session.send(response)

    def _ended(self, session: DeskSession, reason: str) -> None:
        """End the stream of a session that the shard has closed."""
        session.ended_by_shard = True
        if reason == Reason.SESSION_REPLACED:
            session.finish(
                ChaparError(ErrorKind.ABORTED, Reason.SESSION_REPLACED, "the agent has signed in at another desk")
            )
        elif reason in (Reason.LEASE_EXPIRED, Reason.UNKNOWN_SESSION):
            session.send(api.SessionResponse(reconnect=api.Reconnect(reason=reason)))
            session.finish()
        elif reason == Reason.AGENT_REMOVED:  # not final for a desk: the agent may have been moved to another pool
            message = "the configuration no longer names the agent in this pool"
            session.finish(ChaparError(ErrorKind.ABORTED, Reason.AGENT_REMOVED, message))
        else:  # the agent or a supervisor signed the agent out: a desk that reconnected by itself would undo that
            session.finish_when_answered(ChaparError(ErrorKind.ABORTED, Reason.SIGNED_OUT, "the agent was signed out"))

    async def renew_leases(self, every_s: float) -> None:
        """Renew the leases of live sessions every `every_s` seconds, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            pools: dict[tuple[str, str], list[str]] = {}
            for session in self._sessions.values():
                if session.welcomed:
                    pools.setdefault((session.tenant, session.pool), []).append(session.session_id)
            for (tenant, pool), ids in pools.items():
                for first in range(0, len(ids), _BATCH):
                    command = self._commands.new(tenant, pool, "")
                    command.renew_leases.session_ids.extend(ids[first : first + _BATCH])
                    try:
                        await self._commands.tell(command)
                    except ChaparError as error:
                        self._log.warning("leases could not be renewed", reason=error.reason, sessions=len(ids))

    async def drain(self) -> None:
        """Ask every desk to connect to another replica, and refuse new sessions."""
        self.draining = True
        for session in list(self._sessions.values()):
            session.send(api.SessionResponse(reconnect=api.Reconnect(reason=Reason.DRAINING)))
