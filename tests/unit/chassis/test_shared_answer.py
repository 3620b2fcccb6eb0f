"""Callers at the same time share a request, and no caller gets an answer that is older than the call."""

import asyncio
import gc

from services.chassis.kafka.shared_answer import SharedAnswer


class Question:
    """Answers with the number of the request when the test lets it."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer = asyncio.Semaphore(0)

    async def ask(self) -> int:
        self.asked += 1
        number = self.asked
        await self.answer.acquire()
        return number


async def turns(count: int = 5) -> None:
    """Let the other tasks run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_callers_of_one_moment_share_a_request() -> None:
    """Those who come during the request share the next one."""
    question = Question()
    shared = SharedAnswer(question.ask)
    first = [asyncio.create_task(shared.now()) for _ in range(3)]
    await turns()
    later = [asyncio.create_task(shared.now()) for _ in range(3)]
    await turns()
    assert question.asked == 1
    question.answer.release()
    question.answer.release()
    assert [await each for each in first] == [1, 1, 1]
    assert [await each for each in later] == [2, 2, 2]


async def test_a_caller_that_gives_up_disturbs_nobody() -> None:
    """The request goes on for the others."""
    question = Question()
    shared = SharedAnswer(question.ask)
    one, other = asyncio.create_task(shared.now()), asyncio.create_task(shared.now())
    await turns()
    one.cancel()
    await turns()
    question.answer.release()
    assert await other == 1
    question.answer.release()
    assert await shared.now() == 2


async def test_a_failure_is_raised_to_those_who_shared_it_only() -> None:
    """The next caller asks again."""
    answers: list[OSError | int] = [OSError("away"), 7]

    async def ask() -> int:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    shared = SharedAnswer(ask)
    found = await asyncio.gather(shared.now(), shared.now(), return_exceptions=True)
    assert [str(each) for each in found] == ["away", "away"]
    assert await shared.now() == 7


async def test_an_error_that_nobody_waits_for_is_not_reported_as_a_bug() -> None:
    """All callers gave up; the loop has nothing to say about the request's error."""
    said: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context))
    go_on = asyncio.Event()

    async def ask() -> int:
        await go_on.wait()
        raise OSError("away")

    shared = SharedAnswer(ask)
    caller = asyncio.create_task(shared.now())
    await turns()
    caller.cancel()
    await asyncio.wait({caller})
    go_on.set()
    await turns()
    del shared, caller
    gc.collect()
    assert said == []
