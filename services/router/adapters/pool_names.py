"""Names of pools in requests."""

from services.chassis.errors import invalid
from services.policy.reading.routing import DEFAULT_POOL


def pool_named(name: str, field: str) -> str:
    """Return the pool that a request names. Raises INVALID for a name that can't be part of a key: the shard would make it a dead letter."""
    if "/" in name or "|" in name:
        raise invalid(field, "must not hold / or |")
    return name or DEFAULT_POOL
