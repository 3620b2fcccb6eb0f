"""Convert results of `views` and `explain` to responses of the gRPC services."""

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from chapar.router.v1 import router_pb2 as api
from services.policy.model.opening_hours import Closed
from services.policy.model.routing import AgentProfile
from services.router.domain.effects import SnapshotNotice
from services.router.domain.queries.explain import Explanation
from services.router.domain.queries.views import AgentNow, EstimateNow, QueueNow, WaitingNow
from services.router.translate.attributes import AttributesCache, from_attributes
from services.router.translate.feed import encode_snapshot


def from_queue(pool: str, q: QueueNow, closed: Closed | None) -> api.QueueView:
    """Return a queue, open or closed."""
    return api.QueueView(
        queue=q.queue,
        pool=pool,
        waiting=q.waiting,
        offered=q.offered,
        assigned=q.assigned,
        oldest_waiting_ms=max(0, q.oldest_ms),
        agents_signed_in=q.signed_in,
        agents_available=q.available,
        estimated_wait_ms=q.estimate_ms,
        answered_in_threshold=q.in_threshold,
        answered=q.answered,
        abandoned=q.abandoned,
        closed=closed is not None,
        opens_at_ms=_opening(closed),
    )


def from_waiting(w: WaitingNow) -> api.WaitingView:
    """Return a waiting interaction."""
    return api.WaitingView(
        interaction=from_attributes(w.attributes),
        position=w.position,
        queued_at_ms=w.queued_at_ms,
        waited_ms=max(0, w.waited_ms),
        effective_priority=w.priority,
        reason=w.reason,
    )


def from_estimate(e: EstimateNow, closed: Closed | None) -> api.EstimateWaitResponse:
    """Return an estimate for a queue that is open or closed."""
    return api.EstimateWaitResponse(
        p50_ms=e.p50_ms,
        p90_ms=e.p90_ms,
        position=e.position,
        method=e.method,
        n=e.n,
        closed=closed is not None,
        opens_at_ms=_opening(closed),
    )


def _opening(closed: Closed | None) -> int:
    return (closed.opens_at_ms or 0) if closed is not None else 0


def from_profile(pool: str, p: AgentProfile) -> config_pb2.AgentProfile:
    """Return an agent as configured."""
    return config_pb2.AgentProfile(
        agent_id=p.agent_id,
        display_name=p.display_name,
        pool=pool,
        skills=dict(p.skills),
        capacity_profile=p.capacity_profile,
        queues=p.queues,
        team=p.team,
    )


def from_agent(pool: str, a: AgentNow) -> api.AgentView:
    """Return an agent as they are now."""
    return api.AgentView(
        profile=from_profile(pool, a.profile),
        snapshot=_without_session(a.snapshot),
        state_since_ms=a.state_since_ms,
        idle_since_ms=a.idle_since_ms,
    )


def _without_session(notice: SnapshotNotice) -> pb.AgentSnapshot:
    snapshot = pb.AgentSnapshot.FromString(encode_snapshot(notice, AttributesCache()))
    # The session's id can resume the session: only the desk may have it.
    snapshot.ClearField("session_id")
    return snapshot


def from_explanation(e: Explanation, epoch: int) -> api.ExplainResponse:
    """Return an explanation, with the number of events that the interaction has had."""
    return api.ExplainResponse(
        interaction=from_attributes(e.attributes),
        state=e.state,
        agent_id=e.agent_id,
        reason=e.reason,
        summary=e.summary,
        considered=e.considered,
        excluded=[
            api.Exclusion(reason=x.reason, detail=x.detail, count=x.count, examples=x.examples) for x in e.excluded
        ],
        candidates=[
            api.Candidate(agent_id=agent_id, rank=rank, measures=dict(measures))
            for rank, (agent_id, measures) in enumerate(e.candidates, 1)
        ],
        smallest_change=e.smallest_change,
        position=e.position,
        decided_at_ms=e.decided_at_ms,
        epoch=epoch,
        timeline=[api.Moment(at_ms=m.at_ms, what=m.what, able=m.able, agents=m.agents) for m in e.timeline],
    )
