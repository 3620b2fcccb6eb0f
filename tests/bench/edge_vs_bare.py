"""Webhook requests a second through the whole edge, compared with a bare Starlette + HMAC + produce on the same
uvicorn, in one run.

    KAFKA_BOOTSTRAP_SERVERS=… python -m tests.bench.edge_vs_bare [seconds a round]

Both servers run in processes of their own, one at a time, with the same clients. Rounds alternate and the better half
of each side's rounds counts, so that a busy machine disturbs both alike. Each customer has written once before the
first round, so no round makes their keys. Prints `figure edge_vs_bare <v> ratio goal >=0.8`, with the CPU time of each
server a request, and appends JSON to build/figures.jsonl.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped] # its stubs are a separate package, for one call
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.chassis.http import http_server
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.secrets import env_prefix
from tests.bench.figures import tell

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
CONNECTIONS = 48
ROUNDS = 4
GOAL = 0.8
CUSTOMERS = 5000


Request_ = Callable[[str, int], bytes]
"""Makes a complete HTTP request from its path and its number."""


def signed_request(path: str, number: int, **more: object) -> bytes:
    """Return one complete HTTP request, prepared in advance: the client must cost little compared with the server."""
    body = json.dumps(
        {
            "message_id": f"m-{number}",
            "customer": {"id": f"c-{number % CUSTOMERS}", "name": "مریم"},
            "text": "سلام، سفارش من هنوز نرسیده است",
            **more,
        }
    ).encode()
    message_id, stamp = f"msg_{number}", str(int(time.time()))
    digest = hmac.new(b"k" * 32, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        f"webhook-id: {message_id}\r\nwebhook-timestamp: {stamp}\r\nwebhook-signature: v1,{base64.b64encode(digest).decode()}\r\n\r\n"
    )
    return head.encode() + body


async def bare(kafka: KafkaSettings, say: Callable[[str], None], stop: asyncio.Event) -> None:
    """Run the minimal fair server: HMAC over the body, then the broker's acknowledgement."""
    async with DurableProducer(kafka, client_id="bare") as producer:

        async def take(request: Request) -> Response:
            raw = await request.body()
            signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + raw
            expected = base64.b64encode(hmac.new(b"k" * 32, signed, hashlib.sha256).digest()).decode()
            if not hmac.compare_digest(request.headers["webhook-signature"], "v1," + expected):
                return Response(status_code=401)
            await producer.publish("inbound.v1", request.headers["webhook-id"].encode(), raw)
            return JSONResponse({})

        app = Starlette(routes=[Route("/v1/{tenant}/{channel}/{account}", take, methods=["POST"])])
        async with http_server(app, "127.0.0.1", 0) as address:
            say(address)
            await stop.wait()


async def edge(kafka: KafkaSettings, say: Callable[[str], None], stop: asyncio.Event) -> None:
    """Run the whole ingest service without lanes, with limits that do not apply."""
    from tests.integration.ingest.edges.conftest import ingest

    os.environ[f"{env_prefix('demo')}WEBHOOK"] = SECRET
    with tempfile.TemporaryDirectory() as directory:
        async with ingest(
            kafka, Path(directory), account_rate=0, sender_rate=0, tenant_rate=0, smtp_enabled=False
        ) as edges:
            say(edges.service.endpoints["http"])
            await stop.wait()


def _serve(kind: str, kafka: KafkaSettings, pipe: Connection) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(pipe.fileno(), stop.set)
        await (edge if kind == "edge" else bare)(kafka, pipe.send, stop)

    uvloop.run(main())


async def _load(
    address: str, seconds: float, first: int, least: int, request: Request_, prepared: int
) -> tuple[float, int]:
    """Return requests a second, and their number, over keep-alive connections; each waits for its answer, a 200.

    Takes longer than `seconds` when that is not enough for `least` requests.
    """
    host, _, port = address.rpartition(":")
    # Requests are signed beforehand: in production the providers sign, so their CPU does not count.
    requests = [request("/v1/demo/webhook/main", first + n) for n in range(prepared)]
    done = 0
    until = time.monotonic() + seconds

    async def one(worker: int) -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection(host, int(port))
        number = worker
        while time.monotonic() < until or done < least:
            writer.write(requests[number % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            done += 1
            number += CONNECTIONS
        writer.close()

    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for worker in range(CONNECTIONS):
            group.create_task(one(worker))
    return done / (time.monotonic() - begun), done


async def compare(
    seconds: float, request: Request_, prepared: int = 20_000
) -> tuple[dict[str, float], dict[str, float]]:
    """Return requests a second and CPU microseconds a request of the edge and of the bare server. `prepared`: different
    requests of a round."""
    from tests.integration.ingest.edges.conftest import configuration, install

    kafka = KafkaSettings.from_environment().model_copy(update={"topic_prefix": f"bench-{uuid.uuid4().hex[:8]}."})
    await install(kafka, configuration())
    spawn = multiprocessing.get_context("spawn")
    rates: dict[str, list[float]] = {"bare": [], "edge": []}
    costs: dict[str, list[float]] = {"bare": [], "edge": []}
    servers: dict[str, tuple[Any, Connection, str]] = {}
    for kind in rates:
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(kind, kafka, theirs), daemon=True)
        process.start()
        address: str = await asyncio.to_thread(ours.recv)
        servers[kind] = (process, ours, address)
        await _load(address, seconds / 2, 0, 2 * min(CUSTOMERS, prepared), request, prepared)  # warm-up
    first = 1_000_000
    for _ in range(ROUNDS):
        for kind, (process, _, address) in servers.items():
            before = _cpu_s(process.pid)
            rate, requests = await _load(address, seconds, first, 0, request, prepared)
            rates[kind].append(rate)
            costs[kind].append((_cpu_s(process.pid) - before) / requests * 1e6)
            first += 1_000_000
    for process, pipe, _ in servers.values():
        pipe.send("stop")
        await asyncio.to_thread(process.join, 10)
        process.kill()
    best = {kind: statistics.mean(sorted(values)[len(values) // 2 :]) for kind, values in rates.items()}
    cpu_us = {kind: statistics.median(values) for kind, values in costs.items()}
    print(f"edge {best['edge']:.0f}/s, bare {best['bare']:.0f}/s, rounds {rates}")
    print(f"CPU a request: edge {cpu_us['edge']:.0f} us, bare {cpu_us['bare']:.0f} us")
    return best, cpu_us


def report(name: str, goal: float, best: dict[str, float], cpu_us: dict[str, float]) -> None:
    """Print the figure."""
    details = {f"{kind}_per_s": round(rate) for kind, rate in best.items()}
    details |= {f"{kind}_cpu_us": round(cost) for kind, cost in cpu_us.items()}
    tell(name, round(best["edge"] / best["bare"], 3), "ratio", f">={goal}", **details)


async def main(seconds: float) -> None:
    """Print the figure."""
    report("edge_vs_bare", GOAL, *await compare(seconds, signed_request))


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 4.0))
