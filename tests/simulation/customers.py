"""Customers: they write, write again after a reply, leave a chat, and answer surveys."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from chapar.ingest.v1 import records_pb2 as pb
from services.chassis.ids import derive
from services.chassis.kafka.records import Record
from tests.simulation.configuration import TENANTS
from tests.simulation.edges import Edges
from tests.simulation.ledger import Acknowledged, Ledger
from tests.simulation.log import PARTITIONS
from tests.simulation.world import World, earliest

CONVERSATIONS: Final = "conversations.v1"
_TEXTS: Final = ("hello", "I want to buy", "where is my order?")
_LEAVES: Final = 0.4


@dataclass(slots=True)
class Customer:
    """A customer with one account on a channel. `plan`: what they do and when, in order."""

    identity: pb.Identity
    plan: deque[tuple[int, str]] = field(default_factory=deque)
    written: int = 0


class Customers:
    """An actor: all customers of a run."""

    def __init__(self, world: World, edges: Edges, ledger: Ledger, until_ms: int) -> None:
        """`until_ms`: the last time at which a customer begins something."""
        self._world = world
        self._edges = edges
        self._ledger = ledger
        self._until_ms = until_ms
        self._read = [0] * PARTITIONS
        self._of: dict[str, Customer] = {}
        self._of_conversation: dict[str, Customer] = {}
        for tenant in TENANTS:
            for number in range(world.chance.randint(1, 3)):
                self._add(tenant, number)

    def step(self) -> bool:
        """Read one record of the conversations, or do what is next in one plan."""
        for number in range(PARTITIONS):
            place = self._world.log.partition(CONVERSATIONS, number)
            if self._read[number] < len(place):
                record = place[self._read[number]]
                self._read[number] += 1
                self._look(record)
                return True
        for customer in self._of.values():
            if customer.plan and customer.plan[0][0] <= self._world.now_ms:
                self._write(customer, customer.plan.popleft()[1])
                return True
        return False

    def wakeup(self) -> int | None:
        """Return when the next customer writes."""
        return earliest([customer.plan[0][0] for customer in self._of.values() if customer.plan])

    def _add(self, tenant: str, number: int) -> None:
        chance = self._world.chance
        channel, account = chance.choice((("telegram", "bot"), ("webchat", "site")))
        # The same native ids in each tenant: their records must not meet.
        identity = pb.Identity(
            identity_id=derive(tenant, channel, account, f"v{number}"),
            tenant=tenant,
            channel=channel,
            account=account,
            native_id=f"v{number}",
            display_name="Sara",
        )
        customer = Customer(identity)
        begin = self._world.now_ms + 500
        at = chance.randint(begin, self._until_ms - 5_000)
        for _ in range(chance.choice((1, 1, 2, 3))):
            if at > self._until_ms:
                break
            customer.plan.append((at, chance.choice(_TEXTS)))
            at += chance.choice((100, 2_000, 15_000))
        if channel == "webchat" and chance.random() < _LEAVES:
            customer.plan.append((at, ""))
        self._of[identity.identity_id] = customer

    def _write(self, customer: Customer, text: str) -> None:
        """Send a message; an empty text means that the customer closes the chat."""
        who, now_ms = customer.identity, self._world.now_ms
        customer.written += 1
        native = f"m{customer.written}"
        message = pb.CustomerMessage(
            message_id=derive(who.identity_id, native, "0"),
            identity=who,
            native_message_id=native,
            kind=pb.MESSAGE_KIND_TEXT if text else pb.MESSAGE_KIND_SYSTEM,
            text=text,
            language="en",
            received_at_ms=now_ms,
            reply_context={"chat_id": who.native_id},
            origin=pb.Origin(proof=pb.ORIGIN_PROOF_PROVIDER_SIGNATURE),
            customer_left=not text,
        )
        self._world.note(f"customer {who.tenant}/{who.native_id}", f"writes {text!r}" if text else "leaves")
        self._edges.inbound(pb.InboundRecord(tenant=who.tenant, message=message), who.identity_id)
        if text:
            self._ledger.messages.append(Acknowledged(who.tenant, who.identity_id, message.message_id))

    def _look(self, record: Record) -> None:
        found = pb.ConversationRecord.FromString(record.value or b"")
        match found.WhichOneof("record"):
            case "opened":
                customer = self._of.get(found.identity_id) or self._of.get(found.opened.identity.identity_id)
                if customer is not None:
                    self._of_conversation[found.conversation_id] = customer
            case "message":
                customer = self._of_conversation.get(found.conversation_id)
                if customer is not None:
                    self._received(customer, found.message.purpose)

    def _received(self, customer: Customer, purpose: int) -> None:
        chance, now_ms = self._world.chance, self._world.now_ms
        if purpose == pb.OUTBOUND_PURPOSE_REPLY and now_ms < self._until_ms and chance.random() < 0.4:
            self._plan(customer, self._world.within(500, 6_000), "thank you")
        elif purpose == pb.OUTBOUND_PURPOSE_SURVEY and chance.random() < 0.7:
            self._plan(customer, self._world.within(500, 10_000), str(chance.randint(1, 5)))

    @staticmethod
    def _plan(customer: Customer, at_ms: int, text: str) -> None:
        customer.plan = deque(sorted((*customer.plan, (at_ms, text)), key=lambda step: step[0]))
