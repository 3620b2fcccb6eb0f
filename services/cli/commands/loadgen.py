"""`chapar loadgen`: sends a limited load to the signed webhook, with the flaws of real traffic, and reports the outcome."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated

import httpx
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.cli.commands.options import Json
from services.cli.commands.send import signed, webhook_of
from services.cli.connection import execute
from services.cli.demo.report import quantile
from services.cli.local.hints import ACCOUNT
from services.cli.local.workspace import Workspace
from services.cli.output import console, emit_json, errors, table

BAD_SIGNATURES, DUPLICATES, OVERSIZE = 0.01, 0.03, 0.001
"""Shares of requests, as on channels in production; a load test without them proves little."""
OVERSIZE_BYTES = 4 << 20
TEXTS = ("سلام، قیمت چند است؟", "Hello, where is my order?", "دستگاه کار نمی‌کند", "I want to buy two")


@dataclass(slots=True)
class Outcome:
    """The outcome of a load."""

    codes: Counter[str] = field(default_factory=Counter)
    """The number of responses by kind of request and status, e.g. "good 200"."""
    seconds: list[float] = field(default_factory=list)
    """The times to acknowledgement of good requests."""
    late: int = 0
    """The number of requests that began more than 100 ms late: then the generator, not the edge, is the limit."""


def loadgen(
    rate: Annotated[float, typer.Option(min=0.1, max=5000, help="Requests per second.")] = 50,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="Duration in seconds.")] = 10,
    customers: Annotated[
        int, typer.Option(min=1, help="Number of customers; each may write 60 messages at once, then 5 per second.")
    ] = 1000,
    clean: Annotated[bool, typer.Option("--clean", help="No bad signatures, duplicates or over-size bodies.")] = False,
    seed: Annotated[int, typer.Option()] = 7,
    account: Annotated[str, typer.Option(help="The webhook account that gets the messages.")] = ACCOUNT,
    as_json: Json = False,
) -> None:
    """Send messages to the copy that runs here, with Poisson arrivals; exit 1 if a good message was not acknowledged."""
    workspace = Workspace.here()

    async def work() -> Outcome:
        url, secret = await webhook_of(workspace, account)
        return await _drive(url, secret, rate, seconds, customers, random.Random(seed), flawed=not clean)  # noqa: S311

    outcome = execute(work)
    p50, p99 = quantile(outcome.seconds, 0.5), quantile(outcome.seconds, 0.99)
    if as_json:
        times = {"p50_ms": _ms(p50), "p99_ms": _ms(p99), "late": outcome.late}
        emit_json({"statuses": dict(outcome.codes), **times})
    else:
        console.print(table("responses", ("sent, status", "#requests"), sorted(outcome.codes.items())))
        console.print(f"acknowledged after p50 {_ms(p50)} ms, p99 {_ms(p99)} ms; {outcome.late} began late")
    if any(name.startswith("good ") and name != "good 200" for name in outcome.codes):
        raise typer.Exit(1)


async def _drive(
    url: str, secret: str, rate: float, seconds: float, customers: int, chance: random.Random, *, flawed: bool
) -> Outcome:
    outcome = Outcome()
    total = max(1, round(rate * seconds))
    limits = httpx.Limits(max_connections=200)
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with httpx.AsyncClient(timeout=15, limits=limits) as http, asyncio.TaskGroup() as group:
        with Progress(*columns, console=errors, disable=not errors.is_terminal) as progress:
            bar = progress.add_task("send", total=total)
            due = time.monotonic()
            for _ in range(total):
                due += chance.expovariate(rate)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                outcome.late += time.monotonic() - due > 0.1
                headers, body = signed(secret, chance.choice(TEXTS), f"load-{chance.randrange(customers)}", "")
                for kind, its_headers, its_body in _requests(headers, body, chance if flawed else None):
                    group.create_task(_post(http, url, kind, its_headers, its_body, outcome))
                progress.advance(bar)
    return outcome


def _requests(
    headers: dict[str, str], body: bytes, chance: random.Random | None
) -> list[tuple[str, dict[str, str], bytes]]:
    """Return the requests for one message: one, or a duplicate pair, or one that must be refused."""
    if chance is None:
        return [("good", headers, body)]
    lot = chance.random()
    if lot < BAD_SIGNATURES:
        return [("forged", headers | {"webhook-signature": "v1,AAAA"}, body)]
    if lot < BAD_SIGNATURES + OVERSIZE:
        return [("oversize", headers, b" " * OVERSIZE_BYTES)]
    if lot < BAD_SIGNATURES + OVERSIZE + DUPLICATES:
        return [("good", headers, body), ("good", headers, body)]
    return [("good", headers, body)]


async def _post(
    http: httpx.AsyncClient, url: str, kind: str, headers: dict[str, str], body: bytes, outcome: Outcome
) -> None:
    began = time.monotonic()
    try:
        answer = await http.post(url, headers=headers, content=body)
    except httpx.HTTPError as error:
        outcome.codes[f"{kind} {type(error).__name__}"] += 1
        return
    outcome.codes[f"{kind} {answer.status_code}"] += 1
    if kind == "good" and answer.is_success:
        outcome.seconds.append(time.monotonic() - began)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
