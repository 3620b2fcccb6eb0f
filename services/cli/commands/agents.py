"""`chapar agents`: lists agents, sets their state, and runs an agent's desk in the terminal."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import ingest_pb2_grpc
from chapar.router.v1 import records_pb2, router_pb2, router_pb2_grpc
from services.chassis.ids import random_id
from services.cli.commands.options import Epoch, Json, Limit, Pool
from services.cli.connection import address_of, channel_to, execute, tenant_of, tls_of, tokens_for
from services.cli.desk import Desk, DeskClosed
from services.cli.local.workspace import Workspace
from services.cli.output import as_data, console, emit_json, moment, table
from services.cli.terminal_desk import TerminalDesk, show_connection, state_word

app = typer.Typer(no_args_is_help=True, help="Agents and their desks.")


class State(StrEnum):
    """States that a supervisor may set."""

    available = "available"
    away = "away"
    offline = "offline"


@app.command("list")
def list_command(pool: Pool = "default", limit: Limit = 200, as_json: Json = False) -> None:
    """List the agents of a pool: state, interactions they hold, team and skills."""

    async def work() -> router_pb2.ListAgentsResponse:
        async with channel_to(Workspace.here(), "router") as channel:
            request = router_pb2.ListAgentsRequest(pool=pool, page=types_pb2.PageRequest(size=limit))
            return await router_pb2_grpc.AgentDirectoryServiceStub(channel).ListAgents(request)

    answer = execute(work)
    if as_json:
        emit_json([as_data(agent) for agent in answer.agents])
        return
    rows = (
        (
            *(a.profile.agent_id, a.profile.display_name, state_word(a.snapshot.state), moment(a.state_since_ms)),
            *(_holds(a.snapshot), f"{a.snapshot.used}/{a.snapshot.total}"),
            ", ".join(
                [f"team {a.profile.team}"] * bool(a.profile.team)
                + [f"{skill} {level:g}" for skill, level in sorted(a.profile.skills.items())]
            ),
        )
        for a in answer.agents
    )
    console.print(
        table(f"agents of {pool}", ("agent", "name", "state", "since", "#holds", "#capacity", "skills"), rows)
    )


@app.command("set-state")
def set_state(
    agent_id: str,
    state: State,
    reason: Annotated[str, typer.Option()] = "",
    pool: Pool = "default",
) -> None:
    """Set an agent's state, as a supervisor."""
    number = records_pb2.AgentState.Value(f"AGENT_STATE_{state.upper()}")
    key = random_id()

    async def work() -> None:
        async with channel_to(Workspace.here(), "router") as channel:
            change = records_pb2.SetAgentState(agent_id=agent_id, state=number, reason=reason)
            request = router_pb2.SetAgentStateRequest(idempotency_key=key, pool=pool, set=change)
            await router_pb2_grpc.AgentDirectoryServiceStub(channel).SetAgentState(request)

    execute(work)
    console.print(f"{agent_id} is {state}")


@app.command("assign")
def assign(
    agent_id: Annotated[str, typer.Argument(help="The agent who gets the interaction.")],
    interaction_id: Annotated[str, typer.Argument(help="An interaction that waits or is offered.")],
    force: Annotated[
        bool, typer.Option("--force", help="Ignore capacity, state and skills; forced assignments are counted.")
    ] = False,
    epoch: Epoch = 0,
    pool: Pool = "default",
    as_json: Json = False,
) -> None:
    """Assign a waiting interaction to an agent without an offer, as a supervisor. It is refused when the agent is not eligible."""
    key = random_id()

    async def work() -> None:
        async with channel_to(Workspace.here(), "router") as channel:
            order = records_pb2.AssignInteraction(interaction_id=interaction_id, agent_id=agent_id, force=force)
            request = router_pb2.AssignRequest(idempotency_key=key, pool=pool, assign=order, expected_epoch=epoch)
            await router_pb2_grpc.RoutingServiceStub(channel).Assign(request)

    execute(work)
    if as_json:
        emit_json({"interaction_id": interaction_id, "agent_id": agent_id})
    else:
        console.print(f"{agent_id} has {interaction_id}", markup=False)


@app.command("desk")
def desk_command(
    agent_id: Annotated[str, typer.Argument(help="The agent who signs in, e.g. sara.")],
    auto: Annotated[
        str, typer.Option("--auto-reply", help="Accept, reply with this text and complete, without asking.")
    ] = "",
    pool: Annotated[str, typer.Option("--pool", help="The pool. Default: the agent's, by the configuration.")] = "",
) -> None:
    """Sign in as an agent: show offers and the customers' messages, and send replies."""
    execute(lambda: _sit(agent_id, auto, pool))


async def _sit(agent_id: str, auto: str, pool: str) -> None:
    workspace = Workspace.here()
    tenant = tenant_of(workspace)
    address = address_of(workspace, "router").removeprefix("ipv4:")
    token = tokens_for(workspace, tenant, agent_id=agent_id)
    async with (
        channel_to(workspace, "ingest", agent_id=agent_id) as channel,
        Desk(
            address,
            token,
            agent_id=agent_id,
            pool=pool,
            state=records_pb2.AGENT_STATE_AVAILABLE,
            tls=tls_of(address),
            changed=show_connection,
        ) as desk,
    ):
        stubs = ingest_pb2_grpc.IngestServiceStub(channel), ingest_pb2_grpc.OutboundServiceStub(channel)
        terminal = TerminalDesk(desk, *stubs, auto)
        try:
            await terminal.run(agent_id)
        except DeskClosed as closed:
            if closed.error is not None:
                raise closed.error from closed


def _holds(snapshot: records_pb2.AgentSnapshot) -> str:
    parked = sum(assignment.parked for assignment in snapshot.assignments)
    awaited = sum(assignment.customer_awaited for assignment in snapshot.assignments)
    notes = [f"{parked} parked"] if parked else []
    notes += [f"{awaited} await the customer"] if awaited else []
    return f"{len(snapshot.assignments)} ({', '.join(notes)})" if notes else f"{len(snapshot.assignments)}"
