"""The live board: the current state, folded from the topics while the demo runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing

from rich.console import Group
from rich.live import Live
from rich.text import Text

from services.chassis.kafka.tail import tail
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.privacy.lanes import AwaitedKeys, when_ready
from services.cli.demo.ledger import TOPICS, Ledger, Sent
from services.cli.output import console, table

REFRESH_S = 0.5


async def follow(kafka: KafkaSettings, keys: AwaitedKeys, ledger: Ledger) -> None:
    """Fold committed records into the ledger until cancelled."""

    async def one(topic: str) -> None:
        async with aclosing(tail(kafka, topic)) as records:
            async for record in records:
                await when_ready(keys, record)
                ledger.fold((record,))

    async with asyncio.TaskGroup() as group:
        for topic in TOPICS:
            group.create_task(one(topic), name=f"follow {topic}")


async def show(ledger: Ledger, sent: Sent, note: Callable[[], str]) -> None:
    """Draw the board until cancelled. Without a terminal, print a line from time to time instead."""
    if not console.is_terminal:
        while True:
            console.print(_line(ledger, sent), highlight=False)
            await asyncio.sleep(10 * REFRESH_S)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(_board(ledger, sent, note()), refresh=True)
            await asyncio.sleep(REFRESH_S)


def _states(ledger: Ledger) -> Counter[str]:
    return Counter(observed.state for observed in ledger.interactions.values())


def _line(ledger: Ledger, sent: Sent) -> str:
    states = ", ".join(f"{state} {count}" for state, count in sorted(_states(ledger).items()))
    return f"messages {len(sent.acknowledged)}, replies {sum(sent.arrivals.values())}, interactions: {states or 'none'}"


def _board(ledger: Ledger, sent: Sent, note: str) -> Group:
    order = ("opened", "queued", "offered", "assigned", "completed", "abandoned", "cancelled")
    channels = sorted({observed.channel for observed in ledger.interactions.values() if observed.channel})
    rows = []
    for channel in channels:
        counts = Counter(observed.state for observed in ledger.interactions.values() if observed.channel == channel)
        rows.append((channel, *(counts[state] or "" for state in order)))
    holders = Counter(observed.holder for observed in ledger.interactions.values() if observed.holder)
    busy = "  ".join(f"{agent} {count}" for agent, count in sorted(holders.items())) or "none"
    return Group(
        table("interactions", ("channel", *(f"#{state}" for state in order)), rows),
        Text(f"messages acknowledged {len(sent.acknowledged)}   replies at customers {sum(sent.arrivals.values())}"),
        Text(
            f"agents hold: {busy}   breaches {len(ledger.breached)}   responses {len(ledger.responses)} of {ledger.invited}"
        ),
        Text(note, style="yellow"),
    )
