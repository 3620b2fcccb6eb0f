"""`chapar explain`: the reason for an open interaction's state and what would change it; for a closed one, how it was routed and why."""

from __future__ import annotations

from dataclasses import asdict

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from chapar.router.v1 import records_pb2, router_pb2, router_pb2_grpc
from services.chassis.errors import ChaparError, ErrorKind
from services.cli.closed_interactions import past
from services.cli.commands.options import AnyId, Json, Pool
from services.cli.connection import channel_to, execute
from services.cli.local.workspace import Workspace
from services.cli.output import as_data, console, emit_json, moment, table


def explain(any_id: AnyId, pool: Pool = "default", as_json: Json = False) -> None:
    """Explain the newest decision about an open interaction, or all decisions about a closed one."""

    async def newest(interaction_id: str) -> router_pb2.ExplainResponse | None:
        try:
            async with channel_to(Workspace.here(), "router") as channel:
                stub = router_pb2_grpc.RoutingServiceStub(channel)
                return await stub.Explain(router_pb2.ExplainRequest(pool=pool, interaction_id=interaction_id))
        except ChaparError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise
            return None

    async def work() -> router_pb2.ExplainResponse | ingest_pb2.GetInteractionResponse:
        if (answer := await newest(any_id)) is not None:
            return answer
        # The router forgets closed interactions; history keeps its decisions, and knows the other ids.
        async with channel_to(Workspace.here(), "ingest") as channel:
            request = ingest_pb2.GetInteractionRequest(interaction_id=any_id)
            past = await ingest_pb2_grpc.IngestServiceStub(channel).GetInteraction(request)
        interaction_id = past.interaction.interaction_id
        open_ = await newest(interaction_id) if interaction_id != any_id else None
        return past if open_ is None else open_

    answer = execute(work)
    if isinstance(answer, ingest_pb2.GetInteractionResponse):
        _show_past(answer, as_json)
    elif as_json:
        emit_json(as_data(answer))
    else:
        _show_open(answer)


def _show_past(answer: ingest_pb2.GetInteractionResponse, as_json: bool) -> None:
    found = past(answer.interaction, answer.story)
    if as_json:
        emit_json({"interaction": as_data(answer.interaction), **asdict(found)})
        return
    i = answer.interaction
    console.print(found.summary, markup=False, style="bold")
    console.print(f"{i.interaction_id}: {i.channel}, queue {i.queue}", markup=False)
    rows = ((moment(one.at_ms), one.kind, one.reason, one.text) for one in found.decisions)
    console.print(table("decisions", ("when", "what", "reason", "details"), rows))


def _show_open(answer: router_pb2.ExplainResponse) -> None:
    console.print(answer.summary, markup=False, style="bold")
    _attributes(answer.interaction)
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
    if answer.timeline:
        moments = ((moment(m.at_ms), m.what, m.able, ", ".join(m.agents)) for m in answer.timeline)
        console.print(table("what time alone changes", ("when", "what", "#could take it", "such as"), moments))
    if answer.smallest_change:
        console.print(f"smallest change that would route it now: {answer.smallest_change}", markup=False)


def _attributes(attributes: records_pb2.InteractionAttributes) -> None:
    more = [
        f", {what} {value}"
        for what, value in (
            ("due", moment(attributes.due_at_ms)),
            ("not before", moment(attributes.start_at_ms)),
            ("asks for", attributes.preferred_agent),
            ("asks for team", attributes.preferred_team),
        )
        if value
    ]
    console.print(
        f"{attributes.interaction_id}: {attributes.channel}, queue {attributes.queue}, priority {attributes.priority}, "
        f"rule {attributes.rule or 'none'}"
        f"{''.join(more)}",
        markup=False,
    )
