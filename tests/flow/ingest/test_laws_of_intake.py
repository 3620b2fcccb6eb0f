"""Whatever customers, machines, routers and crashes do, in whatever order: no message is lost or duplicated, an agent
sees every message of a customer, and a machine's message opens nothing.

The router here is a model with the real router's rules: it accepts messages for open interactions only, and reports
them; its events reach the lane late.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import records_pb2
from chapar.router.v1 import records_pb2 as router_pb2
from tests.fakes.lane import Failure
from tests.flow.ingest.world import World, a_message, an_identity

CUSTOMERS = (
    ("v1", "webchat", "site"),
    ("v2", "webchat", "site"),
    ("9891", "whatsapp", "wa"),
)  # the last one's account gathers
FAILURES: st.SearchStrategy[Failure | None] = st.sampled_from([None, None, None, "before_commit", "after_commit"])


@dataclass
class ModelRouter:
    """Open interactions, and events that have not arrived yet."""

    read: int = 0
    open: dict[str, router_pb2.InteractionAttributes] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)
    refused: list[tuple[str, int]] = field(default_factory=list)
    enqueued: list[router_pb2.InteractionAttributes] = field(default_factory=list)
    events: deque[Callable[[], None]] = field(default_factory=deque)

    def follow(self, world: World) -> None:
        """Read the commands that the lane has written since the last call."""
        commands = world.commands
        for command in commands[self.read :]:
            match command.WhichOneof("command"):
                case "enqueue":
                    facts = command.enqueue.interaction
                    assert facts.interaction_id not in {f.interaction_id for f in self.enqueued}, "enqueued twice"
                    self.open[facts.interaction_id] = facts
                    self.enqueued.append(facts)
                case "customer_messaged":
                    self._messaged(world, command.customer_messaged)
                case "customer_left":
                    self.end(world, command.customer_left.interaction_id, "abandoned")
        self.read = len(commands)

    def _messaged(self, world: World, told: router_pb2.CustomerMessaged) -> None:
        facts = self.open.get(told.interaction_id)
        if facts is None:
            self.refused.append((told.message_id, len(self.enqueued)))
            return
        self.shown.add(told.message_id)
        message_id = told.message_id
        self.events.append(lambda: world.routing("customer_message_recorded", facts, message_id=message_id))

    def end(self, world: World, interaction_id: str, how: str) -> None:
        """End an interaction as completed or abandoned: it accepts no more messages."""
        facts = self.open.pop(interaction_id, None)
        if facts is not None:
            self.events.append(lambda: world.routing(how, facts))


class IntakeLaws(RuleBasedStateMachine):
    """The rules in the module's docstring, as a state machine."""

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.router = ModelRouter()
        self.said: dict[str, list[str]] = {native: [] for native, _, _ in CUSTOMERS}
        self.numbers = 0
        self.automatic: set[str] = set()

    def _after(self) -> None:
        self.router.follow(self.world)

    @rule(who=st.sampled_from(CUSTOMERS), fail=FAILURES, twice=st.booleans())
    def somebody_writes(self, who: tuple[str, str, str], fail: Failure | None, twice: bool) -> None:
        self.numbers += 1
        text = f"{who[0]}#{self.numbers}"
        message = a_message(text, native_message_id=f"m{self.numbers}", identity=an_identity(*who))
        self.said[who[0]].append(text)
        self.world.customer(*([message] * (2 if twice else 1)), fail=fail)
        self._after()

    @rule(who=st.sampled_from(CUSTOMERS), fail=FAILURES)
    def a_machine_writes(self, who: tuple[str, str, str], fail: Failure | None) -> None:
        self.numbers += 1
        text = f"{who[0]}#{self.numbers}"
        away = records_pb2.Automatic(kind=types_pb2.AUTOMATIC_KIND_AUTO_REPLY)
        message = a_message(text, native_message_id=f"m{self.numbers}", identity=an_identity(*who), automatic=away)
        self.said[who[0]].append(text)
        self.automatic.add(message.message.message_id)
        self.world.customer(message, fail=fail)
        self._after()

    @rule(who=st.sampled_from(CUSTOMERS), back=st.integers(1, 5))
    def a_provider_repeats(self, who: tuple[str, str, str], back: int) -> None:
        said = self.said[who[0]]
        if said:
            text = said[-min(back, len(said))]
            number = text.partition("#")[2]
            self.world.customer(a_message(text, native_message_id=f"m{number}", identity=an_identity(*who)))
            self._after()

    @rule(who=st.sampled_from(CUSTOMERS))
    def somebody_leaves(self, who: tuple[str, str, str]) -> None:
        self.numbers += 1
        gone = a_message("", native_message_id=f"bye{self.numbers}", identity=an_identity(*who), customer_left=True)
        self.world.customer(gone)
        self._after()

    @rule(which=st.integers(0, 5), how=st.sampled_from(["completed", "cancelled"]))
    def an_interaction_ends(self, which: int, how: str) -> None:
        if self.router.open:
            self.router.end(self.world, list(self.router.open)[which % len(self.router.open)], how)

    @rule(how_many=st.integers(1, 4))
    def events_arrive(self, how_many: int) -> None:
        for _ in range(min(how_many, len(self.router.events))):
            self.router.events.popleft()()
            self._after()

    @rule(ms=st.sampled_from([1, 1_000, 5_000, 60_000, 86_400_000]))
    def time_passes(self, ms: int) -> None:
        self.world.wait(ms)
        self._after()

    @rule()
    def the_lane_crashes(self) -> None:
        self.world.intake.crash()
        self.world.pump()
        self._after()

    @invariant()
    def messages_are_recorded_once_and_in_order(self) -> None:
        for native, said in self.said.items():
            recorded = [t for t in self.world.texts if t.startswith(f"{native}#")]
            assert recorded == said

    @invariant()
    def a_conversation_has_one_open_interaction(self) -> None:
        open_in: dict[str, str] = {}
        for record in self.world.conversation:
            match record.WhichOneof("record"):
                case "interaction_opened":
                    assert record.interaction_opened.message_id not in self.automatic
                    assert record.conversation_id not in open_in
                    open_in[record.conversation_id] = record.interaction_opened.interaction_id
                case "interaction_closed":
                    assert open_in.pop(record.conversation_id) == record.interaction_closed.interaction_id

    def teardown(self) -> None:
        """In the end every message has been shown to an agent."""
        for _ in range(30):
            self.events_arrive(100)
            self.world.wait(5_000)
            self._after()
            for interaction_id in list(self.router.open):
                self.router.end(self.world, interaction_id, "completed")
        assert not self.router.events
        gathered = {f.interaction_id for f in self.router.enqueued}
        for record in self.world.conversation:
            if record.WhichOneof("record") == "message" and record.message.text:
                if record.message.message_id in self.automatic:
                    continue
                assert record.message.interaction_id in gathered
        left = [c for c in self.world.commands if c.WhichOneof("command") == "customer_left"]
        for message_id, before in self.router.refused:
            if message_id in self.automatic:
                continue
            # The router refused it: a later interaction carries it, unless its customer left meanwhile.
            assert len(self.router.enqueued) > before or left, message_id


IntakeLaws.TestCase.settings = settings(max_examples=25, stateful_step_count=30)
TestIntakeLaws = IntakeLaws.TestCase
