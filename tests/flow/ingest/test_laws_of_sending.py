"""Whatever providers, kills and takeovers do, in whatever order: a conversation never has two attempts at once, and
nothing is sent again blindly.

The provider here is a model that knows which messages it accepted. An outcome is published by the process that made the
attempt, or is lost with it.
"""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.ingest.domain.attempts import AttemptJob
from services.ingest.domain.deliveries import Outcome, SenderLimits
from tests.flow.ingest.world import World, a_message, an_identity

CHATS = ("41", "42", "43")
GRACE_MS = 30_000


@dataclass
class ModelProvider:
    """The deliveries that the provider accepted, with their ids."""

    taken: dict[str, int] = field(default_factory=dict)

    def take(self, delivery_id: str) -> None:
        self.taken[delivery_id] = self.taken.get(delivery_id, 0) + 1


class SendingLaws(RuleBasedStateMachine):
    """The rules in the module's docstring, as a state machine."""

    @initialize()
    def begin(self) -> None:
        self.world = World(sender_limits=SenderLimits(orphan_grace_ms=GRACE_MS, max_in_flight=2))
        self.provider = ModelProvider()
        self.conversations = {}
        for chat in CHATS:
            self.world.customer(a_message(identity=an_identity(chat, "telegram", "bot")))
            self.conversations[chat] = self.world.enqueued[-1].conversation_id
        self.seen_jobs = 0
        self.air: list[AttemptJob] = []
        self.published: list[tuple[AttemptJob, Outcome]] = []
        self.asked: list[tuple[str, str]] = []

    # ---- attempts given to the worker

    def _collect(self) -> None:
        for job in self.world.attempts.jobs[self.seen_jobs :]:
            under_way = [j for j in self.air if j.conversation_id == job.conversation_id]
            assert not under_way, "two attempts at once in a conversation"
            assert not self.provider.taken.get(job.delivery.delivery_id), "attempted again though the provider has it"
            self.air.append(job)
        self.seen_jobs = len(self.world.attempts.jobs)

    # ---- steps

    @rule(chat=st.sampled_from(CHATS), again=st.booleans())
    def an_agent_replies(self, chat: str, again: bool) -> None:
        if again and self.asked:
            conversation, request_id = self.asked[-1]
        else:
            conversation, request_id = self.conversations[chat], f"r{len(self.asked)}"
            self.asked.append((conversation, request_id))
        self.world.reply(conversation, f"text {request_id}", request_id)
        self._collect()

    @rule(
        which=st.integers(0, 5),
        outcome=st.sampled_from(
            [*[Outcome.ACCEPTED] * 3, Outcome.RETRY, Outcome.REJECTED, Outcome.UNKNOWN, Outcome.HALTED]
        ),
        took=st.booleans(),
    )
    def the_provider_answers(self, which: int, outcome: Outcome, took: bool) -> None:
        """The provider answers and the worker publishes the outcome; the lane reads it later."""
        if self.air:
            job = self.air.pop(which % len(self.air))
            if outcome is Outcome.ACCEPTED or (outcome is Outcome.UNKNOWN and took):
                self.provider.take(job.delivery.delivery_id)
            self.published.append((job, outcome))

    @rule()
    def the_lane_reads_an_outcome(self) -> None:
        if self.published:
            job, outcome = self.published.pop(0)
            self.world.outcome(outcome, job, reason=outcome.name)
            self._collect()

    @rule(took=st.booleans())
    def the_process_is_killed(self, took: bool) -> None:
        """The outcomes of attempts in flight are lost, whether the provider accepted the messages or not."""
        for job in self.air:
            if took:
                self.provider.take(job.delivery.delivery_id)
        self.air.clear()
        self.world.crash()
        self._collect()

    @rule()
    def the_lane_is_restored_in_the_same_process(self) -> None:
        self.world.sender.crash()
        self.world.pump()
        self._collect()

    @rule(ms=st.sampled_from([100, 1_000, GRACE_MS, 600_000, 86_400_000]))
    def time_passes(self, ms: int) -> None:
        """Published outcomes are read within the grace period, because of the lane's marker and timers."""
        while self.published and ms >= GRACE_MS:
            self.the_lane_reads_an_outcome()
        self.world.wait(ms)
        self._collect()

    # ---- invariants

    @invariant()
    def nobody_gets_a_message_twice(self) -> None:
        assert all(times == 1 for times in self.provider.taken.values())

    @invariant()
    def what_is_told_is_true(self) -> None:
        """SENT only when the provider accepted it, FAILED only when it did not, and each message with a verdict once in
        the conversation."""
        last = {d.delivery_id: d.state for d in self.world.delivery_records}
        for delivery_id, state in last.items():
            taken = bool(self.provider.taken.get(delivery_id))
            assert (state != 2) or taken
            assert (state != 3) or not taken
        sent = [r.message.message_id for r in self.world.conversation if r.message.author_kind == 2]
        assert len(sent) == len(set(sent))
        assert set(sent) == {d for d, state in last.items() if state in (2, 3, 4)}

    def teardown(self) -> None:
        """In the end no delivery waits."""
        for _ in range(200):
            self.time_passes(600_000)
            while self.air:
                self.the_provider_answers(0, Outcome.ACCEPTED, True)
        last = {d.delivery_id: d.state for d in self.world.delivery_records}
        assert len(last) == len({request_id for _, request_id in self.asked})
        assert all(state in (2, 3, 4) for state in last.values())


SendingLaws.TestCase.settings = settings(max_examples=20, stateful_step_count=30)
TestSendingLaws = SendingLaws.TestCase
