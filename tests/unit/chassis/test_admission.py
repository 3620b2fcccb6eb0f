"""Slots: the part that one tenant can take, and the part that is always left for the next one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.admission import Admission, Budget, CallerKey, CallKind, Slots


def admission(total: int = 100, per_caller: int = 1000) -> Admission:
    return Admission({kind: Budget(total, per_caller) for kind in CallKind})


def fill(slots: Admission, tenant: str, kind: CallKind = CallKind.WATCH) -> int:
    """Take slots until one is refused; return their number."""
    taken = 0
    while True:
        try:
            slots.enter(kind, CallerKey(tenant, f"{tenant}-{taken}"))
        except ChaparError:
            return taken
        taken += 1


def refusal(slots: Admission, who: CallerKey, kind: CallKind = CallKind.WATCH) -> ChaparError:
    with pytest.raises(ChaparError) as caught:
        slots.enter(kind, who)
    return caught.value


def test_one_tenant_gets_half_and_others_are_still_served() -> None:
    """One tenant gets half, however many callers it has."""
    slots = admission(100)
    assert fill(slots, "greedy") == 50
    error = refusal(slots, CallerKey("greedy", "one more"))
    assert (error.kind, error.reason) == (ErrorKind.EXHAUSTED, "TOO_MANY_WATCHES_OF_TENANT")
    assert error.retry_after_s is not None
    assert fill(slots, "modest") >= 25


def test_a_caller_has_a_limit_of_its_own() -> None:
    """One broken client does not use up its tenant's part."""
    slots = admission(100, per_caller=3)
    for _ in range(3):
        slots.enter(CallKind.CALL, CallerKey("acme", "broken"))
    assert refusal(slots, CallerKey("acme", "broken"), CallKind.CALL).reason == "TOO_MANY_CALLS_OF_CALLER"
    slots.enter(CallKind.CALL, CallerKey("acme", "other"))
    slots.enter(CallKind.CALL, CallerKey("beta", "broken"))


def test_kinds_do_not_share_their_slots() -> None:
    """Watchers never take the slots of agents, and neither of them those of calls."""
    slots = admission(10)
    fill(slots, "acme", CallKind.WATCH)
    assert fill(slots, "acme", CallKind.SESSION) == 5
    assert fill(slots, "acme", CallKind.CALL) == 5


@pytest.mark.parametrize(
    ("many_in", "many_out", "kind"),
    [
        (False, False, CallKind.CALL),
        (False, True, CallKind.WATCH),
        (True, True, CallKind.SESSION),
        (True, False, CallKind.SESSION),
    ],
)
def test_the_kind_depends_on_which_sides_stream(many_in: bool, many_out: bool, kind: CallKind) -> None:
    """So a new method has a budget without being listed."""
    assert CallKind.of(request_streaming=many_in, response_streaming=many_out) is kind


@given(st.integers(1, 9), st.integers(64, 3000))
def test_modest_tenants_are_served_while_several_are_greedy(greedy: int, total: int) -> None:
    """A quarter of the budget is for tenants that hold less than a sixty-fourth of it."""
    slots = admission(total)
    for index in range(greedy):
        fill(slots, f"greedy-{index}")
    for index in range(8):
        for step in range(max(1, total // 128)):
            slots.enter(CallKind.WATCH, CallerKey(f"modest-{index}", f"{step}"))


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("xyz"), st.booleans()), max_size=200))
def test_slots_balance_and_leave_nothing_behind(steps: list[tuple[str, str, bool]]) -> None:
    """After every slot is released, no caller is remembered."""
    slots = Slots(Budget(17, 5))
    held: list[CallerKey] = []
    for tenant, subject, wants in steps:
        who = CallerKey(tenant, subject)
        if wants and not slots.refusal(who):
            slots.take(who)
            held.append(who)
        elif not wants and who in held:
            held.remove(who)
            slots.release(who)
        assert slots.taken == len(held) <= 17
        assert all(held.count(each) <= 5 for each in set(held))
    for who in held:
        slots.release(who)
    assert (slots.taken, slots.known) == (0, 0)


def test_refused_callers_are_not_remembered() -> None:
    """Refused callers use no memory."""
    slots = Slots(Budget(1, 1))
    slots.take(CallerKey("acme", "first"))
    for index in range(1000):
        assert slots.refusal(CallerKey(f"tenant-{index}", "x")) == "SERVER"
    assert slots.known == 2
