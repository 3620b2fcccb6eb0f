"""When a desk counts as too slow. A burst is delivered before the desk can read: only unread responses that are old
show that the desk does not read."""

import asyncio

from chapar.router.v1 import router_pb2 as api
from services.chassis.clock import ManualClock
from services.chassis.errors import ChaparError, ErrorKind
from services.router.adapters.desk_session import DeskSession
from services.router.domain.reasons import Reason

MANY, MOST, LATE_MS = 2000, 20_000, 5000


def a_session(clock: ManualClock) -> DeskSession:
    return DeskSession("session", "acme", "default", "sara", clock)


def send(session: DeskSession, count: int) -> None:
    for _ in range(count):
        session.send(api.SessionResponse(heartbeat=api.Heartbeat()))


def ended_with(session: DeskSession) -> ChaparError | None:
    return session.failure


async def read(session: DeskSession) -> int:
    """Return the number of responses until the session is over."""
    session.finish()
    count = 0
    while await session.next() is not None:
        count += 1
    return count


def test_a_burst_is_delivered_whole() -> None:
    """All responses of a burst arrive, though there are more of them than a slow desk may leave unread."""
    session = a_session(ManualClock())
    send(session, 5 * MANY)
    assert ended_with(session) is None
    assert asyncio.run(read(session)) == 5 * MANY


def test_a_desk_that_leaves_many_responses_unread_loses_its_session() -> None:
    """Its queued responses are still sent, and the next one ends the session."""
    clock = ManualClock()
    session = a_session(clock)
    send(session, MANY)
    clock.advance(LATE_MS)
    assert ended_with(session) is None
    send(session, 1)
    failure = ended_with(session)
    assert failure is not None
    assert (failure.kind, failure.reason) == (ErrorKind.EXHAUSTED, Reason.SLOW_DESK)
    assert asyncio.run(read(session)) == MANY


def test_a_desk_with_few_unread_responses_keeps_its_session() -> None:
    """A mobile desk without a network for a while is not slow."""
    clock = ManualClock()
    session = a_session(clock)
    send(session, MANY - 1)
    clock.advance(10 * LATE_MS)
    send(session, 1)
    assert ended_with(session) is None


def test_a_desk_that_reads_keeps_its_session() -> None:
    """The age is that of the oldest unread response, not of the session."""
    clock = ManualClock()
    session = a_session(clock)
    send(session, MANY)
    clock.advance(LATE_MS - 1)
    send(session, MANY)

    async def read_some() -> None:
        for _ in range(MANY):
            assert await session.next() is not None

    asyncio.run(read_some())
    clock.advance(LATE_MS - 1)
    send(session, 1)
    assert ended_with(session) is None


def test_the_memory_of_a_session_is_bounded() -> None:
    """However fast they come, no more than the most responses wait."""
    session = a_session(ManualClock())
    send(session, MOST)
    assert ended_with(session) is None
    send(session, 1)
    failure = ended_with(session)
    assert failure is not None
    assert failure.reason == Reason.SLOW_DESK
