"""D14: a customer who writes while we are closed learns when we open."""

from typing import Any

import pytest

from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import records_pb2
from tests.flow.ingest.world import World, a_configuration, a_message, an_identity
from tests.unit.sla.oracle import in_zone

HOUR = 3_600_000
FRIDAY_EVENING = in_zone("Asia/Tehran", "2026-12-04T21:57") * 1000
SATURDAY_NOON = in_zone("Asia/Tehran", "2026-12-05T12:00") * 1000
CLOSED_FA = "پیام شما رسید. اکنون بسته‌ایم. شنبه ۱۴ آذر ساعت ۸:۰۰ پاسخ‌گوی شما هستیم."
CLOSED_EN = "We have received your message. We are closed. We open on Saturday, 5 December, at 08:00."


def the_bank(**changes: Any) -> config_pb2.TenantConfiguration:
    """Two queues with the hours of the office: Saturday to Wednesday from 08:00 to 16:00."""
    made = a_configuration(time_zone="Asia/Tehran", **changes)
    office = made.calendars.add(name="office", holidays_country="IR")
    office.hours.add(days=["sat", "sun", "mon", "tue", "wed"], to="16:00", **{"from": "08:00"})
    for queue in made.queues[:2]:
        queue.hours = "office"
    return made


def a_world(now_ms: int = FRIDAY_EVENING, configuration: config_pb2.TenantConfiguration | None = None) -> World:
    """The bank at a moment."""
    world = World(configuration if configuration is not None else the_bank())
    for lane in (world.intake, world.relay, world.sender):
        lane.now_ms = now_ms
    return world


def asked(world: World, text: str = "hello", number: int = 1, **changes: Any) -> list[str]:
    """A customer writes, and the router has queued it; returns the texts that they got for it."""
    before = len(world.texts)
    world.customer(a_message(text, native_message_id=f"m{number}", **changes))
    world.routing("queued", world.enqueued[-1], position=1, estimated_wait_ms=60_000)
    return world.texts[before + 1 :]


@pytest.mark.parametrize(
    ("language", "told"), [("fa", CLOSED_FA), ("fa-IR", CLOSED_FA), ("en", CLOSED_EN), ("de", CLOSED_EN)]
)
def test_on_friday_evening_the_customer_is_told_when_the_bank_opens(language: str, told: str) -> None:
    """Each in their language and calendar, as an acknowledgement: the channels treat it as one."""
    world = a_world()
    assert asked(world, language=language) == [told]
    assert world.conversation[-1].message.purpose == records_pb2.OUTBOUND_PURPOSE_ACKNOWLEDGEMENT


def test_while_it_is_open_the_customer_is_told_the_wait() -> None:
    assert asked(a_world(SATURDAY_NOON)) == ["We have received your message. The estimated wait is 1 min."]


def test_a_queue_without_hours_is_always_open() -> None:
    """The words "I want to buy" lead to the queue for sales."""
    (text,) = asked(a_world(), "I want to buy")
    assert text.endswith("The estimated wait is 1 min.")


def test_an_account_can_have_hours_too() -> None:
    """The queue for sales is always open; the account is not."""
    configuration = the_bank()
    configuration.channels[0].hours = "office"
    configuration.channels.add(channel="webchat", account="nights", acknowledge=True)
    world = a_world(configuration=configuration)
    assert asked(world, "I want to buy") == [CLOSED_EN]
    (other,) = asked(world, "I want to buy", 2, identity=an_identity("v2", account="nights"))
    assert other.endswith("The estimated wait is 1 min.")


def test_a_calendar_that_never_opens_again_names_no_opening() -> None:
    configuration = the_bank()
    del configuration.calendars[0].hours[:]
    configuration.calendars[0].exceptions.add(date="2026-01-05", to="10:00", **{"from": "08:00"})
    assert asked(a_world(configuration=configuration)) == ["We have received your message. We are closed."]


def test_a_tenant_has_words_of_its_own() -> None:
    """A text is never a format string, and the language of the text decides the calendar."""
    configuration = the_bank()
    configuration.templates.add(name="closed", texts={"fa": "تا {opens} بسته‌ایم {0.__class__}"})
    world = a_world(configuration=configuration)
    assert asked(world, language="en") == ["تا شنبه ۱۴ آذر ساعت ۸:۰۰ بسته‌ایم {0.__class__}"]


class TestTheGap:
    """Each of the two, the wait and the closing, is said at most once in `acknowledge_gap`: a machine that answers gets two messages."""

    def test_a_customer_who_was_told_a_wait_is_told_of_the_closing(self) -> None:
        """At 15:30 a wait, at 16:10 that it opens tomorrow; nothing more until the gap is over."""
        world = a_world(in_zone("Asia/Tehran", "2026-12-05T15:30") * 1000)
        assert len(asked(world, number=1)) == 1
        world.routing("completed", world.enqueued[-1])
        world.wait(40 * 60_000)
        (text,) = asked(world, number=2)
        assert text.endswith("We open on Sunday, 6 December, at 08:00.")
        world.routing("completed", world.enqueued[-1])
        assert asked(world, number=3) == []
        world.routing("completed", world.enqueued[-1])
        world.wait(HOUR)
        assert len(asked(world, number=4)) == 1

    @pytest.mark.parametrize("crashing", [False, True])
    def test_a_machine_that_answers_each_message_is_not_answered_again(self, crashing: bool) -> None:
        world = a_world()
        assert len(asked(world)) == 1
        for number in range(2, 12):
            world.routing("completed", world.enqueued[-1])
            if crashing:
                world.intake.crash()
            assert asked(world, number=number) == []


@pytest.mark.parametrize("change", [{"no_auto_reply": True}, {"identity": an_identity("9", "email", "help")}])
def test_who_gets_no_acknowledgement_is_not_told_either(change: dict[str, Any]) -> None:
    """Mailing lists, automatic replies, and accounts without `acknowledge`."""
    assert asked(a_world(), **change) == []


def test_a_change_of_the_hours_holds_for_the_next_customer() -> None:
    """Without a restart: the calendar of the newest configuration decides."""
    world = a_world()
    assert asked(world) == [CLOSED_EN]
    configuration = the_bank()
    configuration.calendars[0].hours[0].days.append("fri")
    configuration.calendars[0].hours[0].to = "24:00"
    world.configuration = configuration
    (text,) = asked(world, number=2, identity=an_identity("v2"))
    assert text.endswith("The estimated wait is 1 min.")


class TestRulesByTheClock:
    """A rule chooses another queue while one is closed."""

    @staticmethod
    def routed(now_ms: int, text: str = "hello") -> str:
        configuration = the_bank()
        del configuration.rules[:]
        configuration.rules.add(name="night", when="!open('general') && !text.contains('loan')", queue="sales")
        configuration.rules.add(name="account", when="!account_open", queue="persian")
        configuration.rules.add(name="day", queue="general")
        configuration.channels[0].hours = "chats"
        chats = configuration.calendars.add(name="chats")
        chats.hours.add(days=["fri", "sat"], to="11:00", **{"from": "00:00"})
        world = a_world(now_ms, configuration)
        world.customer(a_message(text))
        return world.enqueued[0].queue

    def test_at_night_the_other_queue_gets_it(self) -> None:
        assert self.routed(FRIDAY_EVENING) == "sales"

    def test_the_condition_can_ask_for_the_account(self) -> None:
        assert self.routed(FRIDAY_EVENING, "a loan") == "persian"
        assert self.routed(SATURDAY_NOON) == "persian"

    def test_by_day_the_queue_itself_gets_it(self) -> None:
        assert self.routed(in_zone("Asia/Tehran", "2026-12-05T10:00") * 1000) == "general"

    def test_the_hours_at_the_end_of_the_gathering_decide(self) -> None:
        """A message at 07:59:58 is routed at 08:00:03, five seconds after it: the queue is open by then."""
        configuration = the_bank()
        del configuration.rules[:]
        configuration.rules.add(name="night", when="!open('general')", queue="sales")
        world = a_world(in_zone("Asia/Tehran", "2026-12-05T07:59:58") * 1000, configuration)
        world.customer(a_message(identity=an_identity("989", "whatsapp", "wa")))
        assert world.enqueued == []
        world.wait(6_000)
        assert [each.queue for each in world.enqueued] == ["general"]
