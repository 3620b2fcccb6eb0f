"""A router's gateway: passes the feed to the desks that are connected to it, and renews their leases."""

from typing import Final, Protocol

from chapar.router.v1 import records_pb2 as pb
from services.chassis.ids import derive
from tests.simulation.configuration import LEASE_MS, POOL, TENANTS
from tests.simulation.edges import Edges
from tests.simulation.mutations import Mutation
from tests.simulation.process import Process
from tests.simulation.world import World

FEED: Final = "gateway.feed.v1"
_RENEW_MS: Final = LEASE_MS // 3


class Session(Protocol):
    """A desk, as its gateway knows it."""

    tenant: str

    def receive(self, record: pb.FeedRecord) -> None:
        """Take a record of the feed for this session, or the result of its command."""


class Gateway:
    """An actor: the gateway of one router process. A new life has no sessions and reads the feed from its end."""

    def __init__(self, world: World, process: Process, partition: int, edges: Edges) -> None:
        self.process = process
        self._world = world
        self._edges = edges
        self._partition = partition
        self._feed = world.log.partition(FEED, partition)
        self._sessions: dict[str, Session] = {}
        self._waiting: dict[str, Session] = {}
        self._run = process.run
        self._offset = 0
        self._renew_at_ms = world.now_ms

    @property
    def reply_to(self) -> pb.ReplyTo:
        """Where the shard sends the results."""
        return pb.ReplyTo(gateway_id=self.process.owner, feed_partition=self._partition)

    def connected(self, session_id: str) -> bool:
        """Return whether the session is alive here."""
        self._look()
        return session_id in self._sessions

    def caught_up(self, session_id: str) -> bool:
        """Return whether the session is alive here, and its feed is read."""
        return self.connected(session_id) and self.process.running and self._offset == len(self._feed)

    def add(self, session_id: str, session: Session) -> None:
        """Add a session."""
        self._look()
        self._sessions[session_id] = session
        self._world.scheduler.wake(self)

    def forget(self, session_id: str) -> None:
        """Remove a session that the shard has ended."""
        self._sessions.pop(session_id, None)

    def remove(self, session_id: str, tenant: str, agent_id: str) -> None:
        """End a session, and report the lost connection to the shard."""
        self._look()
        if self._sessions.pop(session_id, None) is not None and self.process.running:
            command = pb.RoutingCommand(command_id=derive("lost", session_id), tenant=tenant, pool=POOL)
            command.close_session.CopyFrom(pb.CloseSession(agent_id=agent_id, session_id=session_id))
            self._edges.command(command)

    def ask(self, command: pb.RoutingCommand, session: Session) -> None:
        """Write a command; its result goes to the session."""
        command.reply_to.CopyFrom(self.reply_to)
        self._waiting[command.command_id] = session
        self._edges.command(command)

    def step(self) -> bool:
        """Deliver one record of the feed, or renew the leases."""
        self._look()
        if not self.process.running:
            return False
        if self._offset < len(self._feed):
            record = pb.FeedRecord.FromString(self._feed[self._offset].value or b"")
            self._offset += 1
            if record.gateway_id == self.process.owner:
                self._deliver(record)
            return True
        if self._sessions and self._world.now_ms >= self._renew_at_ms:
            self._renew()
            return True
        return False

    def wakeup(self) -> int | None:
        """Return when the leases are to be renewed, or the process runs again."""
        if not self.process.running:
            return self.process.running_from_ms
        return self._renew_at_ms if self._sessions else None

    def _look(self) -> None:
        if self._run != self.process.run:
            self._run = self.process.run
            self._sessions.clear()
            self._waiting.clear()
            self._offset = len(self._feed)

    def _deliver(self, record: pb.FeedRecord) -> None:
        if record.HasField("ended") and self._world.mutated(Mutation.LOST_NOTICE):
            return
        result = record.result
        session = (
            self._waiting.pop(result.command_id, None) if result.command_id else self._sessions.get(record.session_id)
        )
        if session is not None:
            session.receive(record)

    def _renew(self) -> None:
        self._renew_at_ms = self._world.now_ms + _RENEW_MS
        for tenant in TENANTS:
            ids = [session_id for session_id, session in self._sessions.items() if session.tenant == tenant]
            if ids:
                command = pb.RoutingCommand(tenant=tenant, pool=POOL, reply_to=self.reply_to)
                command.renew_leases.session_ids.extend(ids)
                self._edges.command(command)
