"""Deliveries of replies: attempts, retries, halts, verdicts, takeovers."""

import pytest

from chapar.ingest.v1 import records_pb2
from services.chassis.keys import tenant_key
from services.ingest.domain.deliveries import NOT_ATTEMPTED, Outcome, SenderLimits
from tests.flow.ingest.world import TENANT, World, a_message, an_identity

TELEGRAM = an_identity("42", "telegram", "bot")


def a_world(**limits: int) -> tuple[World, str]:
    """Create a world with one Telegram message from a customer; returns the conversation too."""
    world = World(sender_limits=SenderLimits(**limits))
    world.customer(a_message(identity=TELEGRAM))
    return world, world.enqueued[0].conversation_id


def test_replies_of_a_conversation_are_sent_one_after_the_other() -> None:
    """The second leaves when the first has arrived, also when the first has to wait."""
    world, conversation = a_world()
    world.reply(conversation, "one", "r1")
    world.reply(conversation, "two", "r2")
    world.outcome(Outcome.RETRY, reason="HTTP_502")
    assert len(world.attempts.jobs) == 1
    world.wait(1_000)
    world.outcome(Outcome.ACCEPTED)
    assert [(j.delivery.request.text, j.delivery.number) for j in world.attempts.jobs] == [
        ("one", 1),
        ("one", 2),
        ("two", 1),
    ]
    world.outcome(Outcome.ACCEPTED)
    assert world.texts == ["hello", "one", "two"]


def test_the_provider_says_how_long_to_wait() -> None:
    """retry_after is respected to the millisecond, also across a restart of the lane."""
    world, conversation = a_world()
    world.reply(conversation, "one")
    world.outcome(Outcome.RETRY, reason="HTTP_429", retry_after_ms=60_000)
    world.crash()
    world.wait(59_999)
    assert len(world.attempts.jobs) == 1
    world.wait(1)
    assert len(world.attempts.jobs) == 2


def test_retries_end_and_the_request_becomes_a_dead_letter_that_can_be_replayed() -> None:
    """After the maximum number of attempts: FAILED, and a dead letter with the request; when replayed, it is sent."""
    world, conversation = a_world()
    world.reply(conversation, "one")
    for _ in range(8):
        world.outcome(Outcome.RETRY, reason="HTTP_500")
        world.wait(300_000)
    assert world.deliveries[-1] == ("FAILED", "TOO_MANY_ATTEMPTS_HTTP_500")
    assert len(world.sender.sent_to("deadletters.v1")) == 1
    world.reply(conversation, "one", replayed=True)
    world.outcome(Outcome.ACCEPTED)
    assert world.texts == ["hello", "one"]


def test_attempts_are_counted_for_the_tenant_whose_account_sends() -> None:
    """Each outcome, retries, and requests that were given up."""
    world, conversation = a_world()
    world.reply(conversation, "one", "r1")
    for _ in range(8):
        world.outcome(Outcome.RETRY, reason="HTTP_500")
        world.wait(300_000)
    world.reply(conversation, "two", "r2")
    world.outcome(Outcome.UNKNOWN)

    def counted(name: str, *more: str) -> float | None:
        return world.metrics.value(f"chapar_sender_{name}_total", TENANT, "telegram", *more)

    assert counted("attempts", "RETRY") == counted("retries", "HTTP_500") == 8
    assert counted("unknown") == 1
    assert counted("dead_letters", "TOO_MANY_ATTEMPTS_HTTP_500") == 1


@pytest.mark.parametrize("crash", [False, True])
def test_a_copy_of_a_failed_request_is_not_a_replay(crash: bool) -> None:
    """A gateway that wrote the request twice must not send what was reported as FAILED. A replay does, once."""
    world, conversation = a_world()
    world.reply(conversation, "one")
    world.outcome(Outcome.REJECTED, reason="BLOCKED")
    if crash:
        world.crash()
    world.reply(conversation, "one")
    assert (world.deliveries[-1], len(world.attempts.jobs)) == (("FAILED", "BLOCKED"), 1)
    world.reply(conversation, "one", replayed=True)
    world.reply(conversation, "one", replayed=True)
    assert [job.delivery.number for job in world.attempts.jobs] == [1, 2]
    world.outcome(Outcome.ACCEPTED)
    world.reply(conversation, "one", replayed=True)
    assert (world.deliveries[-1][0], len(world.attempts.jobs)) == ("SENT", 2)


def test_a_long_text_continues_from_the_part_that_was_not_accepted() -> None:
    """Parts that the provider accepted are never sent again."""
    world, conversation = a_world()
    world.reply(conversation, "x" * 5_000)
    world.outcome(Outcome.RETRY, native_ids=("1",), reason="HTTP_429")
    world.wait(5_000)
    assert world.attempts.jobs[-1].delivery.native_ids == ("1",)
    world.outcome(Outcome.ACCEPTED, native_ids=("2",))
    assert world.deliveries[-1][0] == "SENT"


def test_a_refused_account_waits_as_a_whole_and_loses_nothing() -> None:
    """HALTED is not caused by the message: the attempt does not count, the account's other messages wait too, and all
    are sent when the account works again."""
    world, conversation = a_world(first_halt_ms=1_000)
    other = an_identity("43", "telegram", "bot")
    world.customer(a_message(identity=other))
    world.reply(conversation, "one", "r1")
    for _ in range(12):
        world.outcome(Outcome.HALTED, reason="HTTP_401")
        world.wait(1_800_000)
    world.outcome(Outcome.HALTED, world.attempts.jobs[-1], reason="HTTP_401")
    world.reply(world.enqueued[1].conversation_id, "two", "r2")
    assert world.attempts.jobs[-1].delivery.request.text == "one"
    world.wait(1_800_000)
    for job in world.attempts.jobs[-2:]:
        world.outcome(Outcome.ACCEPTED, job)
    assert sorted(world.texts[2:]) == ["one", "two"]


def test_an_attempt_without_outcome_is_unknown_after_a_takeover_and_never_repeated() -> None:
    """Not at once: its outcome may be on its way. The next delivery is sent after the verdict."""
    world, conversation = a_world(orphan_grace_ms=30_000)
    world.reply(conversation, "one", "r1")
    world.reply(conversation, "two", "r2")
    world.crash()
    world.wait(29_999)
    assert world.deliveries == [("ATTEMPTING", ""), ("QUEUED", "")]
    world.wait(1)
    assert world.deliveries[2] == ("UNKNOWN", "OWNER_LOST")
    world.wait(86_400_000)
    world.reply(conversation, "one", "r1")
    assert [j.delivery.request.text for j in world.attempts.jobs] == ["one", "two"]


def test_an_outcome_that_the_log_has_lost_is_unknown_after_a_takeover_by_the_same_process() -> None:
    """The worker wrote it, so it will not come again; the next delivery of the conversation does not wait for ever."""
    world, conversation = a_world(orphan_grace_ms=30_000)
    world.reply(conversation, "one", "r1")
    world.reply(conversation, "two", "r2")
    (delivery,) = [job.delivery for job in world.attempts.jobs]
    world.attempts.written.add((delivery.delivery_id, delivery.number))
    world.sender.crash()
    world.pump()
    world.wait(29_999)
    assert world.deliveries == [("ATTEMPTING", ""), ("QUEUED", "")]
    world.wait(1)
    assert world.deliveries[2] == ("UNKNOWN", "OWNER_LOST")
    assert [job.delivery.request.text for job in world.attempts.jobs] == ["one", "two"]


@pytest.mark.parametrize("written", [False, True])
def test_a_takeover_by_the_same_process_waits_for_the_outcome(written: bool) -> None:
    """Of an attempt that is under way, for as long as it takes; and of one whose outcome is in the log and is read after the takeover."""
    world, conversation = a_world(orphan_grace_ms=30_000)
    world.reply(conversation, "one", "r1")
    (job,) = world.attempts.jobs
    if written:
        world.attempts.written.add((job.delivery.delivery_id, job.delivery.number))
    world.sender.crash()
    world.pump()
    world.wait(29_999 if written else 86_400_000)
    world.outcome(Outcome.ACCEPTED, job)
    world.wait(86_400_000)
    assert world.deliveries == [("ATTEMPTING", ""), ("SENT", "")]
    assert len(world.attempts.jobs) == 1


def test_an_outcome_that_arrives_within_the_grace_wins() -> None:
    """The predecessor's worker published it before it died."""
    world, conversation = a_world()
    world.reply(conversation, "one", "r1")
    job = world.attempts.jobs[0]
    world.crash()
    world.outcome(Outcome.ACCEPTED, job)
    world.wait(60_000)
    assert world.deliveries == [("ATTEMPTING", ""), ("SENT", "")]


def test_a_late_outcome_corrects_the_verdict() -> None:
    """UNKNOWN becomes SENT when the outcome arrives later, and then the message is part of the conversation."""
    world, conversation = a_world()
    world.reply(conversation, "one", "r1")
    job = world.attempts.jobs[0]
    world.crash()
    world.wait(60_000)
    world.outcome(Outcome.ACCEPTED, job)
    assert [state for state, _ in world.deliveries] == ["ATTEMPTING", "UNKNOWN", "SENT"]
    assert world.texts == ["hello", "one"]


def test_an_attempt_of_two_dead_owners_is_unknown_and_holds_up_nothing() -> None:
    """The second owner wrote the conversation again and died before it had read its own marker: the third owner finds
    an orphan whose grace period never began."""
    world, conversation = a_world(orphan_grace_ms=30_000)
    world.reply(conversation, "one", "r1")
    world.attempts.restart("second")
    world.sender.crash()
    request = records_pb2.OutboundRequest(request_id="r2", tenant=TENANT, conversation_id=conversation, text="two")
    record = records_pb2.OutboundRecord(tenant=TENANT, conversation_id=conversation, request=request)
    world.sender.handle(record.SerializeToString(), key=tenant_key(TENANT, conversation))
    world.attempts.restart("third")
    world.sender.crash()
    world.pump()
    world.wait(30_000)
    assert ("UNKNOWN", "OWNER_LOST") in world.deliveries
    assert [j.delivery.request.text for j in world.attempts.jobs] == ["one", "two"]


def test_an_attempt_never_handed_over_is_made_again_in_the_same_process() -> None:
    """The commit was durable but its effect did not run: the message was not sent, and this process knows it."""
    world, conversation = a_world()
    request = records_pb2.OutboundRequest(request_id="r1", tenant=TENANT, conversation_id=conversation, text="one")
    record = records_pb2.OutboundRecord(tenant=TENANT, conversation_id=conversation, request=request)
    batch = world.sender.record(record.SerializeToString(), key=tenant_key(TENANT, conversation))
    world.sender.batch(batch, fail="after_commit")
    assert world.attempts.jobs == []
    world.wait(0)
    (job,) = world.attempts.jobs
    assert job.delivery.number == 2
    world.outcome(Outcome.ACCEPTED)
    assert world.texts == ["hello", "one"]


def test_an_attempt_under_way_survives_a_restart_of_its_lane() -> None:
    """Same process, lane restored: the worker still has the attempt, and its outcome counts."""
    world, conversation = a_world()
    world.reply(conversation, "one")
    world.sender.crash()
    world.wait(600_000)
    assert len(world.attempts.jobs) == 1
    world.outcome(Outcome.ACCEPTED)
    assert world.texts == ["hello", "one"]


def test_an_attempt_given_back_unbegun_does_not_count() -> None:
    """A worker that stops gives back the attempts that it has not begun."""
    world, conversation = a_world()
    world.reply(conversation, "one")
    for _ in range(20):
        world.outcome(Outcome.RETRY, reason=NOT_ATTEMPTED)
        world.wait(1_000)
    world.outcome(Outcome.ACCEPTED)
    assert world.deliveries[-1][0] == "SENT"


def test_outside_whatsapps_window_nothing_leaves() -> None:
    """24 hours after the customer's last message, free text fails with its reason and a dead letter."""
    world = World()
    world.customer(a_message(identity=an_identity("98912", "whatsapp", "wa")))
    world.wait(86_400_001)
    world.reply(world.enqueued[0].conversation_id, "late")
    assert world.deliveries == [("FAILED", "OUTSIDE_WINDOW")]
    assert world.attempts.jobs == []


def test_a_chat_that_moved_is_followed() -> None:
    """migrate_to_chat_id: the next attempt and everything after it goes to the new chat, although the customer's
    context is the old one."""
    world, conversation = a_world()
    world.reply(conversation, "one", "r1")
    world.outcome(Outcome.RETRY, reason="CHAT_MIGRATED", migrated_to="-100")
    world.wait(1_000)
    world.outcome(Outcome.ACCEPTED)
    world.customer(a_message("more", native_message_id="m2", identity=TELEGRAM))
    world.reply(conversation, "two", "r2")
    assert [j.route.context["chat_id"] for j in world.attempts.jobs] == ["42", "-100", "-100"]


def test_the_number_of_attempts_in_flight_is_bounded() -> None:
    """The others wait in the lane's state and follow as outcomes arrive."""
    world = World(sender_limits=SenderLimits(max_in_flight=2))
    for number in range(5):
        who = an_identity(str(number), "telegram", "bot")
        world.customer(a_message(identity=who))
        world.reply(world.enqueued[number].conversation_id, f"reply {number}", f"r{number}")
    assert len(world.attempts.jobs) == 2
    done = 0
    while done < len(world.attempts.jobs):
        world.outcome(Outcome.ACCEPTED, world.attempts.jobs[done])
        done += 1
        assert len(world.attempts.jobs) - done <= 2
    assert done == 5


def paced_world(replies: int, every_ms: int = 500, **limits: int) -> World:
    """An account whose provider accepts one message every `every_ms`, and an agent's reply in each of `replies`
    conversations."""
    world = World(sender_limits=SenderLimits(**limits))
    given = [world.sender.now_ms - every_ms]

    def turn() -> int:
        given[0] = max(given[0] + every_ms, world.sender.now_ms)
        return given[0]

    world.attempts.turns = turn
    for number in range(replies):
        world.customer(a_message(identity=an_identity(str(number), "telegram", "bot")))
        world.reply(world.enqueued[number].conversation_id, f"reply {number}", f"r{number}")
    return world


def test_a_reply_that_waits_for_its_turn_has_not_been_attempted() -> None:
    """Each leaves at its own time, in the order of the requests."""
    world = paced_world(5)
    assert [j.delivery.request.text for j in world.attempts.jobs] == ["reply 0"]
    for sent in range(2, 6):
        world.wait(500)
        assert len(world.attempts.jobs) == sent
    assert [j.delivery.request.text for j in world.attempts.jobs] == [f"reply {number}" for number in range(5)]


@pytest.mark.parametrize("left", [1, 2, 3])
def test_after_a_kill_only_attempts_that_left_are_unknown(left: int) -> None:
    """The process dies with replies behind the rate limit: the next owner sends them, and does not repeat those that
    had left."""
    world = paced_world(6)
    world.wait(500 * (left - 1))
    gone = [job.delivery.delivery_id for job in world.attempts.jobs]
    assert len(gone) == left
    world.crash()
    world.wait(60_000)
    for job in world.attempts.jobs[left:]:
        world.outcome(Outcome.ACCEPTED, job)
    states = [state for state, _ in world.deliveries]
    assert states.count("UNKNOWN") == left
    assert states.count("SENT") == 6 - left
    submitted = [job.delivery.delivery_id for job in world.attempts.jobs]
    assert len(submitted) == len(set(submitted)) == 6


def test_one_account_uses_no_capacity_of_another() -> None:
    """Attempts of an account whose provider hangs have a limit of their own; other accounts continue."""
    world = World(sender_limits=SenderLimits(max_in_flight_account=2))
    people = [an_identity(str(n), "telegram", "bot") for n in range(4)] + [an_identity("a@b.example", "email", "help")]
    for number, who in enumerate(people):
        world.customer(a_message(identity=who))
        world.reply(world.enqueued[number].conversation_id, f"reply {number}", f"r{number}")
    assert [j.delivery.request.text for j in world.attempts.jobs] == ["reply 0", "reply 1", "reply 4"]
    world.outcome(Outcome.ACCEPTED, world.attempts.jobs[0])
    assert world.attempts.jobs[-1].delivery.request.text == "reply 2"


def test_a_request_without_a_route_fails() -> None:
    """For a conversation that never existed there is no way to answer."""
    world = World()
    world.reply("nowhere", "hi")
    assert world.deliveries == [("FAILED", "NO_ROUTE")]
