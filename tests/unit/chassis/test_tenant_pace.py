"""Calls, changes and messages of a tenant have a pace each."""

import pytest

from services.chassis.errors import ChaparError
from services.chassis.grpc.tenant_pace import TenantPace
from services.chassis.grpc_settings import GrpcLimits
from services.chassis.pacing import Rate

LIMITS = GrpcLimits(
    tenant_calls_per_s=10, tenant_burst=5, tenant_messages_per_s=10, tenant_messages_burst=50, tenant_wait_s=0
)


async def passed(pace: TenantPace, kind: str, tenant: str = "acme") -> tuple[int, str]:
    """How many get through at once, and why the next one does not."""
    for count in range(1000):
        try:
            await (pace.session(tenant) if kind == "session" else pace.call(tenant, changes=kind == "change"))
        except ChaparError as error:
            return count, error.reason
    raise AssertionError("there is no limit")


async def test_each_kind_has_its_own_pace() -> None:
    """Agents who connect again after a roll-out are many, so streams have room where calls have little."""
    pace = TenantPace(LIMITS, Rate(per_s=1, burst=2), lambda: 100.0)
    assert await passed(pace, "change") == (3, "TENANT_CHANGE_RATE")
    assert await passed(pace, "call") == (6 - 3, "TENANT_CALL_RATE")
    assert await passed(pace, "session") == (51, "TENANT_CALL_RATE")
    assert await passed(pace, "call", "beta") == (6, "TENANT_CALL_RATE")


@pytest.mark.parametrize("changes", [True, False])
async def test_without_a_pace_of_changes_they_are_calls_like_others(changes: bool) -> None:
    """Most services have none."""
    pace = TenantPace(LIMITS, now_s=lambda: 100.0)
    assert await passed(pace, "change" if changes else "call") == (6, "TENANT_CALL_RATE")
