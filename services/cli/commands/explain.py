"""`chapar explain`: why an interaction is where it is, and what would change it."""

from __future__ import annotations

from chapar.router.v1 import records_pb2, router_pb2, router_pb2_grpc
from services.cli.commands.options import Json, Pool
from services.cli.connection import channel_to, execute
from services.cli.output import as_data, console, emit_json, moment, table
from services.cli.workspace import Workspace


def explain(interaction_id: str, pool: Pool = "default", as_json: Json = False) -> None:
    """Explains the newest decision about an interaction that is still open."""

    async def work() -> router_pb2.ExplainResponse:
        async with channel_to(Workspace.here(), "router") as channel:
            stub = router_pb2_grpc.RoutingServiceStub(channel)
            return await stub.Explain(router_pb2.ExplainRequest(pool=pool, interaction_id=interaction_id))

    answer = execute(work)
    if as_json:
        emit_json(as_data(answer))
        return
    console.print(answer.summary, markup=False, style="bold")
    _facts(answer.interaction)
    console.print(
        f"state {answer.state}, reason {answer.reason}, decided {moment(answer.decided_at_ms)}, epoch {answer.epoch}",
        markup=False,
    )
    if answer.candidates:
        rows = (
            (c.rank, c.agent_id, ", ".join(f"{k} {v:g}" for k, v in sorted(c.measures.items())))
            for c in answer.candidates
        )
        console.print(table("eligible, best first", ("#rank", "agent", "measures"), rows))
    if answer.excluded:
        excluded = ((x.reason, x.detail, x.count, ", ".join(x.examples)) for x in answer.excluded)
        console.print(
            table(f"left out, of {answer.considered} considered", ("reason", "what", "#agents", "such as"), excluded)
        )
    if answer.smallest_change:
        console.print(f"smallest change that would route it now: {answer.smallest_change}", markup=False)


def _facts(facts: records_pb2.InteractionFacts) -> None:
    more = [
        f", {what} {value}"
        for what, value in (
            ("due", moment(facts.due_at_ms)),
            ("not before", moment(facts.start_at_ms)),
            ("asks for", facts.preferred_agent),
            ("asks for team", facts.preferred_team),
        )
        if value
    ]
    console.print(
        f"{facts.interaction_id}: {facts.channel}, queue {facts.queue}, priority {facts.priority}, rule {facts.rule or 'none'}"
        f"{''.join(more)}",
        markup=False,
    )
