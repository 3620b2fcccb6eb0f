"""The tenants of a run. Both have the same names for everything, so that a record that crosses tenants finds its place."""

from typing import Final

from chapar.config.v1 import config_pb2 as pb

TENANTS: Final = ("acme", "bazar")
POOL: Final = "main"
AGENTS: Final = ("ada", "omid")
CAPACITY: Final = 2
OFFER_MS: Final = 8_000
LEASE_MS: Final = 30_000
GRACE_MS: Final = 15_000
SURVEY_DELAY_MS: Final = 12_000
SURVEY_LIFE_MS: Final = 40_000
SAMPLING: Final = {"acme": 1.0, "bazar": 0.6}
GAP_MS: Final = {"acme": 0, "bazar": 60_000}
"""Between two invitations of a person. Without it, a new invitation replaces one that was not sent; with it, it is skipped."""
PICK_UP_MS: Final = 10_000


def a_tenant(name: str, *, capacity: int = CAPACITY) -> pb.TenantConfiguration:
    """Return a tenant with two queues of one pool, two agents, an SLA policy and a survey. `capacity`: of each agent."""
    kinds = (
        pb.TARGET_KIND_PICK_UP,
        pb.TARGET_KIND_FIRST_RESPONSE,
        pb.TARGET_KIND_NEXT_RESPONSE,
        pb.TARGET_KIND_RESOLUTION,
    )
    targets = [
        pb.SlaTarget(kind=kind, desired_ms=PICK_UP_MS * step, adequate_ms=2 * PICK_UP_MS * step, warn_at=[0.75])
        for step, kind in enumerate(kinds, 1)
    ]
    return pb.TenantConfiguration(
        tenant=name,
        version=1,
        default_language="en",
        pools=[pb.Pool(name=POOL, session_lease_ms=LEASE_MS, assignment_grace_ms=GRACE_MS)],
        queues=[
            pb.Queue(name="general", pool=POOL, offer_timeout_ms=OFFER_MS, wrap_up_ms=1_500),
            pb.Queue(name="sales", pool=POOL, offer_timeout_ms=OFFER_MS, priority=3),
        ],
        capacity_profiles=[pb.CapacityProfile(name="standard", total=capacity, default_weight=1)],
        agents=[pb.AgentProfile(agent_id=agent, pool=POOL, capacity_profile="standard") for agent in AGENTS],
        rules=[
            pb.RoutingRule(name="buy", when="text.contains('buy')", queue="sales"),
            pb.RoutingRule(name="rest", queue="general"),
        ],
        channels=[
            pb.ChannelAccount(channel="telegram", account="bot", acknowledge=True, acknowledge_gap_ms=1_000),
            pb.ChannelAccount(channel="webchat", account="site", gather_ms=1_000),
        ],
        sla_policies=[
            pb.SlaPolicy(name="all", targets=targets, pause_while_customer_awaited=True, orders_queue=True),
        ],
        surveys=[
            pb.Survey(
                name="csat",
                kind=pb.SURVEY_KIND_CSAT,
                delay_ms=SURVEY_DELAY_MS,
                expires_after_ms=SURVEY_LIFE_MS,
                questions={"en": "How was it?"},
                first_response_counts=True,
                sampling=SAMPLING[name],
                least_gap_ms=GAP_MS[name],
            )
        ],
    )
