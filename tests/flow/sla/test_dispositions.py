"""What the agent's disposition at the completion means for the deadlines."""

import pytest

from chapar.config.v1 import config_pb2 as config
from chapar.router.v1 import records_pb2 as router
from services.policy.reading.sla import policies_of
from tests.flow.sla.test_lane import MINUTE, Flow


@pytest.mark.parametrize(
    ("disposition", "ends"), [("junk", "CANCELLED"), ("spam", "CANCELLED"), ("thanks", "MET"), ("solved", "MET")]
)
def test_a_disposition_of_the_tenants_that_means_spam_cancels_the_deadlines(disposition: str, ends: str) -> None:
    """No customer waited for an answer. A contact without further work was a customer's: its resolution is met."""
    flow = Flow()
    target = config.SlaTarget(kind=config.TARGET_KIND_RESOLUTION, desired_ms=10 * MINUTE, adequate_ms=20 * MINUTE)
    document = config.TenantConfiguration(
        tenant="acme",
        version=1,
        sla_policies=[config.SlaPolicy(name="v1", targets=[target])],
        dispositions=[
            config.Disposition(name="junk", spam=True),
            config.Disposition(name="thanks", no_further_work=True),
        ],
    )
    flow.policies = {"acme": policies_of(document)}
    flow.queued()
    flow.lane.advance(MINUTE)
    completed = router.InteractionCompleted(agent_id="sara", disposition=disposition)
    flow.lane.handle(flow.record(completed=completed))
    assert [each.split()[1] for each in flow.on_committed] == ["DEADLINE_SET", ends]
