"""No answer goes astray: whatever people write, from whatever address, proven or not, an answer goes only to an address that
began the conversation or was proven in it.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chapar.ingest.v1 import records_pb2 as pb
from services.ingest.domain.normalise.mail.origin import Authenticated
from services.ingest.domain.origin import OriginProof
from services.ingest.translate.edges import identity_id_of
from tests.flow.ingest.mails import BOT, HELP, a_mail, address, an_update, answers, id_of
from tests.flow.ingest.world import World

PEOPLE = ("ann@shop.example", "bob@b.example", "form@shop.example", "evil@attacker.example")
USERS = (41, 42)
SUBJECTS = ("", "Order", "Re: Order", "Invoice")
HOUR = 3_600_000


class Answers(RuleBasedStateMachine):
    """Several people write by mail and Telegram, in their own name or another's. The model knows, for each conversation,
    the addresses that may be answered."""

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.number = 0
        self.read = 0
        self.may: dict[str, set[str]] = {}
        self.ours: list[str] = []
        self.theirs: list[str] = []
        self.of = {identity_id_of(HELP, each): each for each in PEOPLE}
        self.users = {identity_id_of(BOT, str(each)): str(each) for each in USERS}

    def _arrives(self, record: pb.InboundRecord, proven: bool) -> None:
        """Let a message arrive, and note what it allows."""
        self.world.customer(record)
        said = [each for each in self.world.conversation if each.WhichOneof("record") == "message"]
        for each in said[self.read :]:
            if each.message.author_kind != 1:
                continue
            first = each.conversation_id not in self.may
            allowed = self.may.setdefault(each.conversation_id, set())
            if first or proven:
                allowed.add(self._address(record, each.message.author_id))
        self.read = len(said)

    def _address(self, record: pb.InboundRecord, author: str) -> str:
        return self.of.get(author) or record.message.place or self.users[author]

    @rule(
        sender=st.sampled_from(PEOPLE),
        reply_to=st.sampled_from(("", "", *PEOPLE)),
        proof=st.sampled_from(("none", "none", "author", "covered")),
        subject=st.sampled_from(SUBJECTS),
        named=st.sampled_from(("", "", "ours", "theirs", "old")),
    )
    def a_mail_comes(self, sender: str, reply_to: str, proof: str, subject: str, named: str) -> None:
        self.number += 1
        known = Authenticated(sender, OriginProof.DKIM_DMARC, "dkim", covers_reply_to=proof == "covered")
        found = {"ours": self.ours[-1:], "old": self.ours[:1], "theirs": self.theirs[-1:]}.get(named, [])
        native = f"<m{self.number}@x>"
        record = a_mail(
            sender,
            f"text {self.number}",
            subject=subject,
            reply_to=reply_to,
            native_id=native,
            answers=found[0] if found else "",
            known=known if proof != "none" else None,
        )
        self.theirs.append(native)
        self._arrives(record, proof != "none" and record.message.identity.native_id == sender)

    @rule(user=st.sampled_from(USERS), chat=st.sampled_from((0, 0, -100, -200)), thread=st.sampled_from((0, 7)))
    def an_update_comes(self, user: int, chat: int, thread: int) -> None:
        self.number += 1
        thread = thread if chat else 0
        self._arrives(an_update(chat or user, user, f"text {self.number}", self.number, thread=thread), True)

    @rule(ms=st.sampled_from((1_000, HOUR, 30 * HOUR, 31 * 24 * HOUR)))
    def time_passes(self, ms: int) -> None:
        self.world.wait(ms)

    @rule()
    def interactions_end(self) -> None:
        for facts in self.world.enqueued[-2:]:
            self.world.routing("completed", facts)

    @rule()
    def the_lanes_are_taken_over(self) -> None:
        self.world.intake.crash()
        self.world.crash()

    @invariant()
    def each_answer_goes_to_an_address_of_its_conversation(self) -> None:
        for conversation, allowed in list(self.may.items())[-3:]:
            made = answers(self.world, conversation)
            if not made:  # a month later the sender has forgotten the conversation
                assert self.world.deliveries[-1] == ("FAILED", "NO_ROUTE")
            for job in made:
                assert address(job) in allowed, (conversation, allowed)
                if job.route.identity.channel == "email":
                    self.ours.append(id_of(job))


Answers.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestAnswers = Answers.TestCase
