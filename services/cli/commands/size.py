"""`chapar size`: computes the processes and brokers that a load needs, from measured costs (docs/scaling.md)."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from services.cli.commands.options import Json
from services.cli.local.broker.settings import CHECKOUT
from services.cli.output import console, emit_json, table
from services.cli.sizing.costs import measured
from services.cli.sizing.model import Assumptions, Load, Plan, plan


def size(
    interactions_per_s: Annotated[
        float, typer.Option(min=0.01, max=1e6, help="Interactions opened a second, in the busiest minute.")
    ],
    agents: Annotated[int, typer.Option(min=0, max=10_000_000, help="Agents signed in.")] = 0,
    tenants: Annotated[int, typer.Option(min=1, max=1_000_000)] = 1,
    pools: Annotated[int, typer.Option(min=0, max=1_000_000, help="Pools of all tenants. Default: one a tenant.")] = 0,
    exchanges: Annotated[float, typer.Option(min=1, max=1000, help="Messages with a reply, per interaction.")] = 4.0,
    minutes_open: Annotated[float, typer.Option(min=0.1, max=1e5, help="From first message to completion.")] = 15.0,
    utilisation: Annotated[float, typer.Option(min=0.05, max=1, help="Share of a core that a process may use.")] = 0.6,
    as_json: Json = False,
) -> None:
    """Compute brokers, partitions, pods, memory and network for a load, from measured costs."""
    costs = measured(CHECKOUT)
    load = Load(interactions_per_s, agents, tenants, pools or tenants, exchanges, 60 * minutes_open)
    found = plan(load, costs, Assumptions(utilisation=utilisation))
    if as_json:
        emit_json({**dataclasses.asdict(found), "source": costs.source})
        return
    _show(found, costs.source)


def _show(found: Plan, source: str) -> None:
    rows = [
        (name, of.pods, of.partitions, f"{of.cores:.1f}", f"{of.busiest:.2f}", f"{of.memory_mb:.0f}")
        for name, of in found.services.items()
    ]
    columns = ("service", "#pods", "#partitions", "#cores in use", "#busiest pod", "#MB a pod")
    console.print(table("services", columns, rows))
    brokers = found.brokers
    row = (
        brokers.brokers,
        f"{brokers.cores:.1f}",
        f"{brokers.in_mb_s:.1f}",
        f"{brokers.out_mb_s:.1f}",
        brokers.disk_gb,
    )
    console.print(table("brokers", ("#brokers", "#cores in use", "#MB/s in", "#MB/s out", "#GB disk each"), [row]))
    console.print(f"The busiest pool uses {found.pool_share:.1%} of what one shard can decide.", highlight=False)
    for warning in found.warnings:
        console.print(f"Note: {warning}.", markup=False, highlight=False, soft_wrap=True)
    console.print(f"From {source}.", markup=False, highlight=False, soft_wrap=True)
