"""A question to a group's coordinator waits until a new cluster has one."""

import time

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
)

from services.chassis.kafka.coordination import once_coordinated

NOT_YET = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)


class Answers:
    """Refuses with these errors, one after the other, and then answers."""

    def __init__(self, *refusals: type[KafkaError]) -> None:
        self.left = list(refusals)
        self.asked = 0

    async def __call__(self) -> str:
        self.asked += 1
        if self.left:
            raise self.left.pop(0)
        return "answer"


async def test_it_asks_again_while_there_is_no_coordinator_yet() -> None:
    answers = Answers(*NOT_YET)
    assert await once_coordinated(answers) == "answer"
    assert answers.asked == 4


async def test_without_patience_the_first_refusal_is_raised() -> None:
    answers = Answers(GroupCoordinatorNotAvailableError)
    with pytest.raises(GroupCoordinatorNotAvailableError):
        await once_coordinated(answers, 0)
    assert answers.asked == 1


async def test_another_refusal_is_raised_at_once() -> None:
    """A caller without rights need not wait."""
    answers = Answers(GroupAuthorizationFailedError)
    with pytest.raises(GroupAuthorizationFailedError):
        await once_coordinated(answers)


async def test_patience_ends() -> None:
    answers = Answers(*[GroupCoordinatorNotAvailableError] * 1_000)
    begun = time.monotonic()
    with pytest.raises(GroupCoordinatorNotAvailableError):
        await once_coordinated(answers, 0.5)
    assert time.monotonic() - begun >= 0.5
    assert answers.left
