"""Refusals that wait, so that a client gains nothing by repeating a call at once."""

import asyncio

import pytest

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.refusal_hold import RefusalHold
from services.chassis.grpc_settings import GrpcLimits

STRANGER = ChaparError(ErrorKind.UNAUTHENTICATED, "TOKEN_MISSING", "send a token")
BUSY = ChaparError(ErrorKind.EXHAUSTED, "TENANT_RATE", "too many", retry_after_s=30)


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def hold(time: Time, chance: float = 0.0, **limits: float) -> RefusalHold:
    settings = GrpcLimits.model_validate({"refusals_per_s": 10, "refusal_hold_s": 1, **limits})
    return RefusalHold(settings, time, lambda: chance)


def test_refusals_of_unknown_callers_wait_when_there_are_many() -> None:
    """The first ones of each second are answered at once, so that a misconfigured client sees its mistake."""
    time = Time()
    held = hold(time)
    delays = [held.delay(STRANGER, None, 0) for _ in range(15)]
    assert delays == [0.0] * 10 + [1.0] * 5
    time.now += 0.5
    assert [held.delay(STRANGER, None, 0) for _ in range(6)] == [0.0] * 5 + [1.0]


def test_a_caller_above_the_limit_waits_at_most_the_hold() -> None:
    """It never waits so long that its deadline passes before the answer."""
    held = hold(Time())
    assert held.delay(BUSY, None, 0) == 1.0
    assert held.delay(BUSY, 0.5, 0) == 0.25
    assert held.delay(ChaparError(ErrorKind.EXHAUSTED, "WATCHER_TOO_SLOW", "x"), None, 0) == 0.0


def test_calls_that_were_refused_together_come_back_one_by_one() -> None:
    """Over half of the time, or they would stop the event loop together again."""
    assert [hold(Time(), chance).delay(BUSY, None, 0) for chance in (0.0, 0.5, 1.0)] == [1.0, 0.75, 0.5]


@pytest.mark.parametrize("kind", [k for k in ErrorKind if k not in (ErrorKind.UNAUTHENTICATED, ErrorKind.EXHAUSTED)])
def test_other_errors_are_answered_at_once(kind: ErrorKind) -> None:
    """They are not a sign of asking too much."""
    assert hold(Time()).delay(ChaparError(kind, "X", "x", retry_after_s=5), None, 0) == 0.0


async def test_no_more_refusals_wait_than_the_settings_allow() -> None:
    """Above that number refusals are sent at once: memory is bounded."""
    held = hold(Time(), refusals_held=3)
    waiting = [asyncio.create_task(held.wait(1.0, 0)) for _ in range(3)]
    await asyncio.sleep(0)
    assert held.held == 3
    assert held.delay(BUSY, None, 0) == 0.0
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert held.held == 0


async def test_large_requests_wait_within_a_budget_of_bytes() -> None:
    """gRPC keeps a request until its call has ended: a refusal that does not fit is given at once, a small one still waits."""
    held = hold(Time(), refusals_held_bytes=1_000_000)
    large = asyncio.create_task(held.wait(1.0, 900_000))
    await asyncio.sleep(0)
    assert held.held_bytes == 900_000
    assert held.delay(BUSY, None, 200_000) == 0.0
    assert held.delay(BUSY, None, 1_000) == 1.0
    large.cancel()
    await asyncio.gather(large, return_exceptions=True)
    assert held.held_bytes == 0
    assert held.delay(BUSY, None, 200_000) == 1.0
