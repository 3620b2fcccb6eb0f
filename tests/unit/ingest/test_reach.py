"""Whose conversations a caller may read, by their scopes and the queues that the configuration gives them."""

from chapar.config.v1 import config_pb2
from services.ingest.adapters.edges.agent_queues import ConfiguredAgentQueues
from services.ingest.domain.reach import READ_ALL, READ_OWN, Reach, reach_of

QUEUES = {"sara": frozenset({"sales"})}


def test_the_wide_scope_reads_the_whole_tenant() -> None:
    """Supervisors, administrators and auditors have it; with both scopes the wide one counts."""
    assert reach_of("acme", frozenset({READ_ALL}), "", QUEUES) == Reach.whole("acme")
    assert reach_of("acme", frozenset({READ_ALL, READ_OWN}), "sara", QUEUES) == Reach.whole("acme")


def test_an_agent_reaches_their_own_and_their_queues() -> None:
    """An agent whom the configuration does not name has no queues."""
    own = frozenset({READ_OWN})
    assert reach_of("acme", own, "sara", QUEUES) == Reach("acme", agent_id="sara", queues=frozenset({"sales"}))
    assert reach_of("acme", own, "omid", QUEUES) == Reach("acme", agent_id="omid")


def test_without_a_scope_or_without_an_agent_nothing_is_within_reach() -> None:
    """The narrow scope has no effect in a token that names no agent; an agent's id has no effect without the scope."""
    assert reach_of("acme", frozenset({READ_OWN}), "", QUEUES) == Reach("acme")
    assert reach_of("acme", frozenset({"routing.read"}), "sara", QUEUES) == Reach("acme")


def test_an_agent_without_a_list_serves_the_queues_of_their_pool_alone() -> None:
    """A list restricts it; a removed tenant has no agents."""
    configured = config_pb2.TenantConfiguration(tenant="acme")
    for queue, pool in (("sales", "a"), ("help", "a"), ("billing", "b")):
        configured.queues.add(name=queue, pool=pool)
    configured.agents.add(agent_id="sara", pool="a")
    configured.agents.add(agent_id="omid", pool="a", queues=["help"])
    queues = ConfiguredAgentQueues()
    queues.replace("acme", configured)
    assert queues.of("acme") == {"sara": frozenset({"sales", "help"}), "omid": frozenset({"help"})}
    assert queues.of("other") == {}
    queues.replace("acme", None)
    assert queues.of("acme") == {}
