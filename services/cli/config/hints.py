"""What a new version of a configuration does not change, and an operator may expect it to. Pure."""

from __future__ import annotations

from chapar.config.v1 import config_pb2


def hints(before: config_pb2.TenantConfiguration, after: config_pb2.TenantConfiguration) -> tuple[str, ...]:
    """Return sentences that say how to reach what the change alone does not do."""
    kept = {policy.name for policy in after.sla_policies}
    return tuple(
        f"SLA policy `{policy.name}` was removed, but open interactions keep its deadlines, which can still be breached. "
        f"To cancel these, apply the policy once more with `targets: []` and `applies_to_open: true`, then remove it."
        for policy in before.sla_policies
        if policy.name not in kept and policy.targets
    )
