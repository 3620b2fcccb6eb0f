"""An agent and their desk: signs in, answers offers, replies, completes; loses its connection and comes back.

One request at a time. A request without a result is sent again with the same id: at the same gateway, then at another one.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from chapar.common.v1 import types_pb2
from chapar.router.v1 import records_pb2 as pb
from services.chassis.ids import derive
from tests.simulation.configuration import GRACE_MS, LEASE_MS, POOL
from tests.simulation.edges import Edges
from tests.simulation.gateway import Gateway
from tests.simulation.ledger import Ledger
from tests.simulation.world import World, earliest

_PATIENCE_MS: Final = 4_000
_REPEATS: Final = 2
_RECONNECT_MS: Final = 3_000


@dataclass(slots=True)
class Work:
    """An interaction that the agent holds, and what they do next with it."""

    attributes: pb.InteractionAttributes
    replies: int
    at_ms: int
    transfers: bool = False
    recalls: bool = False
    """Whether the agent takes a warm transfer back."""


@dataclass(slots=True)
class Asked:
    """A request that waits for its result."""

    command: pb.RoutingCommand
    until_ms: int
    repeats: int = 0
    about: pb.InteractionAttributes | None = None
    """For a reply: the interaction."""


@dataclass(slots=True)
class Belief:
    """What the desk shows."""

    welcomed: bool = False
    offers: dict[str, tuple[int, str]] = field(default_factory=dict)
    """When the agent answers each offer, and how: "accept", "decline", or "" for never."""
    work: dict[str, Work] = field(default_factory=dict)
    available_at_ms: int | None = None
    """When the agent sets themselves available again."""


class Desk:
    """An actor; see the module."""

    def __init__(
        self, world: World, tenant: str, agent_id: str, gateways: list[Gateway], edges: Edges, ledger: Ledger
    ) -> None:
        self.tenant = tenant
        self.agent_id = agent_id
        self.belief = Belief()
        self.closing = False
        """Set when the run ends: the agent signs out when nothing is left."""
        self.signed_out = False
        self._world = world
        self._name = f"desk {tenant}/{agent_id}"
        self._gateways = gateways
        self._edges = edges
        self._ledger = ledger
        self._gateway: Gateway | None = None
        self._session_id = ""
        self._count = 0
        self._asked: Asked | None = None
        self._unsent: deque[Asked] = deque()
        self._connect_at_ms = world.within(0, 2_000)
        self._connect_until_ms = 0

    @property
    def up_to_date(self) -> bool:
        """Whether it has seen everything that its gateway had to deliver."""
        return self.belief.welcomed and self._gateway is not None and self._gateway.caught_up(self._session_id)

    # -- called by the gateway

    def receive(self, record: pb.FeedRecord) -> None:
        """Take a result, or a notice for the session."""
        self._world.scheduler.wake(self)
        if record.result.command_id:
            self._result(record.result)
            return
        if record.session_id != self._session_id:
            return
        belief = self.belief
        match record.WhichOneof("record"):
            case "snapshot":
                self._snapshot(record.snapshot)
            case "result":
                self._world.note(self._name, f"session ended: {record.result.reason}")
                if record.result.reason != "SIGNED_OUT":  # then the agent has asked for it, and the answer follows
                    self._disconnect()
            case "offered":
                self._offered(record.offered)
            case "revoked":
                belief.offers.pop(record.revoked.offer_id, None)
            case "assigned":
                self._assigned(record.assigned)
            case "ended":
                belief.work.pop(record.ended.interaction_id, None)
            case "state_changed" if record.state_changed.after == pb.AGENT_STATE_NOT_RESPONDING:
                belief.available_at_ms = self._world.within(500, 5_000)
            case "customer_acted":
                self._customer_acted(record.customer_acted)

    # -- Actor

    def step(self) -> bool:
        """Do the next thing that is due."""
        world = self._world
        if self.signed_out:
            return False
        if self._gateway is None:
            return world.now_ms >= self._connect_at_ms and self._connect()
        if not self._gateway.connected(self._session_id):
            world.reached["a desk lost its gateway"] += 1
            self._disconnect()
            return True
        if world.goes_wrong(world.faults.desk_lost):
            world.reached["a desk lost its connection"] += 1
            self._disconnect()
            return True
        if not self.belief.welcomed:
            if world.now_ms < self._connect_until_ms:
                return False
            self._disconnect()
            return True
        if self._asked is not None:
            return self._wait(self._asked)
        if self._unsent:
            self._send(self._unsent.popleft())
            return True
        return self._act()

    def wakeup(self) -> int | None:
        """Return when the next thing is due."""
        if self.signed_out:
            return None
        if self._gateway is None:
            return self._connect_at_ms
        if not self.belief.welcomed:
            return self._connect_until_ms
        if self._asked is not None:
            return self._asked.until_ms
        belief = self.belief
        answers = [at for at, how in belief.offers.values() if how]
        return earliest([*answers, *(work.at_ms for work in belief.work.values()), belief.available_at_ms])

    # -- the session

    def _connect(self) -> bool:
        running = [each for each in self._gateways if each.process.running]
        if not running:
            self._connect_at_ms = self._world.within(200, _RECONNECT_MS)
            return False
        gateway = self._world.chance.choice(running)
        former, self._count = self._session_id, self._count + 1
        self._session_id = derive("session", self.tenant, self.agent_id, str(self._count))
        self._gateway, self._connect_until_ms = gateway, self._world.now_ms + _PATIENCE_MS
        gateway.add(self._session_id, self)
        self._world.note(self._name, f"connects to {gateway.process.owner}, session {self._count}")
        command = self._command(derive("sign-in", self._session_id))
        command.sign_in.CopyFrom(
            pb.SignIn(agent_id=self.agent_id, session_id=self._session_id, resumes_session_id=former)
        )
        gateway.ask(command, self)
        return True

    def _disconnect(self) -> None:
        if self._gateway is not None:
            self._gateway.remove(self._session_id, self.tenant, self.agent_id)
        self._gateway = None
        self.belief = Belief()
        if self._asked is not None:
            self._unsent.appendleft(self._asked)
            self._asked = None
        self._connect_at_ms = self._world.within(100, _RECONNECT_MS)
        if self._world.goes_wrong(self._world.faults.desk_away):
            self._world.reached["an agent stayed away"] += 1
            self._connect_at_ms += GRACE_MS + LEASE_MS

    def _snapshot(self, snapshot: pb.AgentSnapshot) -> None:
        belief = self.belief = Belief(welcomed=True)
        for offer in snapshot.offers:
            self._offered(offer)
        for view in snapshot.assignments:
            self._assigned(view)
        if snapshot.state == pb.AGENT_STATE_NOT_RESPONDING:
            belief.available_at_ms = self._world.within(500, 5_000)

    # -- notices

    def _offered(self, offer: pb.OfferView) -> None:
        world, calm = self._world, self._world.now_ms >= self._world.faults.until_ms
        how = "accept" if calm else world.chance.choices(("accept", "decline", ""), (75, 12, 13))[0]
        self.belief.offers[offer.offer_id] = (world.within(100, 5_000), how)

    def _assigned(self, view: pb.AssignmentView) -> None:
        known = self.belief.work.get(view.interaction.interaction_id)
        if view.wrapping_up:
            self.belief.work.pop(view.interaction.interaction_id, None)
        elif known is None:
            chance = self._world.chance
            calm = self._world.now_ms >= self._world.faults.until_ms
            self.belief.work[view.interaction.interaction_id] = Work(
                view.interaction,
                chance.choice((0, 1, 1, 2)),
                self._world.within(200, 6_000),
                transfers=not calm and chance.random() < 0.12,
            )

    def _customer_acted(self, acted: pb.CustomerActed) -> None:
        work = self.belief.work.get(acted.interaction_id)
        if work is None:
            return
        if acted.left:
            work.replies, work.at_ms = 0, self._world.within(100, 2_000)
        elif self._world.chance.random() < 0.5:
            work.replies += 1

    # -- requests

    def _command(self, command_id: str) -> pb.RoutingCommand:
        return pb.RoutingCommand(
            command_id=command_id,
            tenant=self.tenant,
            pool=POOL,
            issued_at_ms=self._world.now_ms,
            actor_kind=types_pb2.ACTOR_KIND_AGENT,
            actor_id=self.agent_id,
        )

    def _new(self) -> pb.RoutingCommand:
        self._count += 1
        return self._command(derive("request", self.tenant, self.agent_id, str(self._count)))

    def _act(self) -> bool:
        world, belief = self._world, self.belief
        for offer_id, (at_ms, how) in belief.offers.items():
            if how and at_ms <= world.now_ms:
                belief.offers.pop(offer_id)
                command = self._new()
                if how == "accept":
                    command.accept_offer.CopyFrom(pb.AcceptOffer(agent_id=self.agent_id, offer_id=offer_id))
                else:
                    command.decline_offer.CopyFrom(
                        pb.DeclineOffer(agent_id=self.agent_id, offer_id=offer_id, retry_after_ms=1_000)
                    )
                self._send(Asked(command, 0))
                return True
        for work in belief.work.values():
            if work.at_ms <= world.now_ms:
                self._work_on(work)
                return True
        if belief.available_at_ms is not None and belief.available_at_ms <= world.now_ms:
            belief.available_at_ms = None
            command = self._new()
            command.set_agent_state.CopyFrom(pb.SetAgentState(agent_id=self.agent_id, state=pb.AGENT_STATE_AVAILABLE))
            self._send(Asked(command, 0))
            return True
        if self.closing and not belief.offers and not belief.work:
            command = self._new()
            command.close_session.CopyFrom(
                pb.CloseSession(agent_id=self.agent_id, session_id=self._session_id, signed_out=True)
            )
            self._send(Asked(command, 0))
            return True
        return False

    def _work_on(self, work: Work) -> None:
        command, interaction_id = self._new(), work.attributes.interaction_id
        work.at_ms = self._world.within(500, 8_000)
        if work.replies:
            work.replies -= 1
            command.record_reply.CopyFrom(
                pb.RecordReply(agent_id=self.agent_id, interaction_id=interaction_id, reply_id=command.command_id)
            )
            self._send(Asked(command, 0, about=work.attributes))
        elif work.transfers:
            work.transfers = False
            queue = "sales" if work.attributes.queue == "general" else "general"
            warm = self._world.chance.random() < 0.5
            work.recalls = warm and self._world.chance.random() < 0.5
            command.transfer_interaction.CopyFrom(
                pb.TransferInteraction(agent_id=self.agent_id, interaction_id=interaction_id, queue=queue, warm=warm)
            )
            self._send(Asked(command, 0))
        elif work.recalls:
            work.recalls = False
            command.recall_transfer.CopyFrom(pb.RecallTransfer(agent_id=self.agent_id, interaction_id=interaction_id))
            self._send(Asked(command, 0))
        else:
            command.complete_interaction.CopyFrom(
                pb.CompleteInteraction(agent_id=self.agent_id, interaction_id=interaction_id, disposition="solved")
            )
            self._send(Asked(command, 0))

    def _send(self, asked: Asked) -> None:
        assert self._gateway is not None
        asked.until_ms = self._world.now_ms + _PATIENCE_MS
        self._asked = asked
        self._gateway.ask(asked.command, self)

    def _wait(self, asked: Asked) -> bool:
        if self._world.now_ms < asked.until_ms:
            return False
        self._world.reached["a desk repeated a request"] += 1
        if asked.repeats >= _REPEATS:
            asked.repeats = 0
            self._disconnect()
        else:
            asked.repeats += 1
            self._send(asked)
        return True

    def _result(self, result: pb.CommandResult) -> None:
        asked = self._asked
        if asked is None or asked.command.command_id != result.command_id:
            return
        self._asked = None
        if self._world.lines is not None:
            kind = asked.command.WhichOneof("command")
            self._world.note(self._name, f"{kind}: {'ok' if result.ok else result.reason}")
        if asked.command.HasField("close_session"):
            self.signed_out = True
            if self._gateway is not None:
                self._gateway.forget(self._session_id)
        elif asked.about is not None and result.ok:
            self._edges.reply(result.command_id, self.tenant, self.agent_id, asked.about, "Here is your answer.")
            self._ledger.replies.append((self.tenant, result.command_id))
