"""Hostile input through every edge of the running product: `[KAFKA_BOOTSTRAP_SERVERS=…] python -m tests.bench.hostile [seconds of each attack]`.

The whole product runs as `chapar run` starts it, with its default limits. Valid customers write by webhook, mail, web chat and gRPC all
the time. First they write alone: the baseline. Then one attack follows another, from addresses of their own:

- the corpus: every text and every mail of `tests.hostile`, as body, name and subject, by webhook, SMTP, web chat and gRPC;
- endless header fields at each HTTP port; webhook bodies with wrong signatures; mails that are broken off; chat sockets of one address;
  agents for invented pools.

Figures: the longest stall of an event loop (each service reports its own, `chapar_event_loop_lag_seconds`), growth of resident memory of
each service during an attack, the CPU of the worst mail, and valid messages that were refused.
"""

import asyncio
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import grpc
import httpx
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from services.chassis.clock import system_clock
from services.chassis.grpc.client import grpc_channel
from services.chassis.grpc.status import from_rpc_error
from services.cli.commands.send import signed
from services.cli.config import publishing
from services.cli.connection import token_for
from services.cli.local.kept_secrets import WEBHOOK_SECRET
from services.cli.local.stack import EXAMPLE, Stack, StackOptions, read_config, running_stack
from services.cli.local.workspace import Workspace
from tests.bench.figures import tell
from tests.bench.hostile_corpus import Corpus
from tests.bench.hostile_mail import worst_mail
from tests.bench.stand import TENANT as BENCH_TENANT
from tests.bench.stand import a_broker, a_configuration, a_home, rss_mb
from tests.hostile import chat_sockets, grpc_floods, http_streams, smtp_bodies, webhook_bodies
from tests.hostile.measurement import Measurement, valid_meanwhile

SECONDS: Final = 20.0
TENANT: Final = "demo"
GREEDY: Final = "greedy"
"""The tenant whose token the attacks use, where they need one."""
LOAD: Final = "webhook", "mail", "chat", "gRPC"
_SUPPORT: Final = "support@demo.example"
_ATTACKER, _NEIGHBOUR = "127.0.0.66", "127.0.0.9"
_LOOK_S, _SETTLE_S = 0.25, 2.0
_FORGOTTEN_S: Final = 11.0
"""A service's gauge holds the worst stall of ten seconds: those of its start are not an attack's."""
_LAG: Final = "chapar_event_loop_lag_seconds"
Attack = Callable[[], Awaitable[None]]


class Watch:
    """Looks at all services while something goes on: the worst stall of their loops, and how far their memory grew."""

    def __init__(self, stack: Stack, http: httpx.AsyncClient) -> None:
        self._stack = stack
        self._http = http
        self.stall_ms: dict[str, float] = {}
        self.growth_mb: dict[str, float] = {}

    @asynccontextmanager
    async def during(self, *, memory: bool) -> AsyncIterator[None]:
        """Keeps the worst of what happens in the block. `memory`: growth counts from the block's beginning."""
        before = {name: rss_mb(pid) for name, pid in self._stack.supervisor.pids().items()}
        task = asyncio.create_task(self._look(before if memory else {}))
        try:
            yield
            await asyncio.sleep(_SETTLE_S)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _look(self, before: dict[str, float]) -> None:
        for number in itertools.count():
            pids = self._stack.supervisor.pids()
            for name, was in before.items():
                if name in pids:
                    self.growth_mb[name] = max(self.growth_mb.get(name, 0.0), rss_mb(pids[name]) - was)
            if number % 8 == 0:
                await asyncio.gather(*(self._stall(name, each["ops"]) for name, each in self._endpoints()))
            await asyncio.sleep(_LOOK_S)

    def _endpoints(self) -> list[tuple[str, dict[str, str]]]:
        return [(name, dict(servers)) for name, servers in self._stack.running.endpoints.items()]

    async def _stall(self, name: str, ops: str) -> None:
        try:
            page = (await self._http.get(f"http://{ops}/metrics")).text
        except httpx.HTTPError:
            return  # the next look finds it: the gauge holds the worst of ten seconds
        for family in text_string_to_metric_families(page):
            if family.name == _LAG:
                value = 1000 * family.samples[0].value
                self.stall_ms[name] = max(self.stall_ms.get(name, 0.0), value)


class Neighbours:
    """Valid customers of every channel, from an address of their own."""

    def __init__(self, stack: Stack, workspace: Workspace, http: httpx.AsyncClient, token: str) -> None:
        endpoints = stack.running.endpoints["ingest"]
        self._http = http
        self._secret = workspace.demo_secrets()[WEBHOOK_SECRET]
        self._webhook = f"http://{endpoints['http']}/v1/{TENANT}/webhook/main"
        self._chat = endpoints["http"], f"/v1/{TENANT}/webchat/main/ws"
        self._smtp = endpoints["smtp"]
        self._grpc = grpc_channel(endpoints["grpc"], token=lambda _tenant: token)
        self._numbers = itertools.count()
        self._visitor = ""
        self.refused = {name: Measurement(name) for name in LOAD}

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """All of them write while the block runs."""
        async with AsyncExitStack() as exits:
            channel = await exits.enter_async_context(self._grpc)
            stub = ingest_pb2_grpc.IngestServiceStub(channel)
            self._visitor = await chat_sockets.newcomer(*self._chat, source=_NEIGHBOUR)
            calls = {
                "webhook": self._by_webhook,
                "mail": self._by_mail,
                "chat": self._by_chat,
                "gRPC": lambda: self._by_grpc(stub),
            }
            for name in LOAD:
                await exits.enter_async_context(valid_meanwhile(self.refused[name], calls[name], every_s=1.0))
            yield

    async def _by_webhook(self) -> bool:
        headers, body = signed(self._secret, "where is my order?", f"neighbour-{next(self._numbers)}", "")
        answer = await self._http.post(self._webhook, headers=headers, content=body)
        return self._noted("webhook", "" if answer.is_success else f"{answer.status_code} {answer.text[:100]}")

    async def _by_mail(self) -> bool:
        number = next(self._numbers)
        return self._noted("mail", await smtp_bodies.small_mail(self._smtp, _SUPPORT, number, source=_NEIGHBOUR))

    async def _by_chat(self) -> bool:
        try:
            async with asyncio.timeout(20):
                return self._noted("chat", await chat_sockets.comes_back(*self._chat, self._visitor, source=_NEIGHBOUR))
        except TimeoutError:
            return self._noted("chat", "no answer within 20 s")

    async def _by_grpc(self, stub: "ingest_pb2_grpc.IngestServiceAsyncStub") -> bool:
        number = next(self._numbers)
        request = ingest_pb2.SubmitRequest(idempotency_key=f"n-{number}", native_id=f"n-{number}", text="hello")
        try:
            await stub.Submit(request, timeout=30)
        except grpc.aio.AioRpcError as error:
            return self._noted("gRPC", from_rpc_error(error).reason)
        return True

    def _noted(self, name: str, refusal: str) -> bool:
        """Whether a message was served. Keeps the reason of a refusal: it says whose fault it is."""
        if refusal:
            self.refused[name].answers[refusal] += 1
        return not refusal


def attacks(stack: Stack, token: str, seconds: float) -> dict[str, Attack]:
    """Everything that must not grow memory, by name."""
    ingest, feedback = stack.running.endpoints["ingest"], stack.running.endpoints["feedback"]

    async def headers() -> None:
        ports = [ingest["http"], feedback["http"], *(each["ops"] for each in stack.running.endpoints.values())]
        for kind in http_streams.KINDS:
            sends = (http_streams.send_for_ever(port, kind, 40, source=_ATTACKER, within_s=seconds) for port in ports)
            await asyncio.gather(*sends)

    async def bodies() -> None:
        path = f"/v1/{TENANT}/webhook/main"
        size = 2_900_000
        await webhook_bodies.send_bodies(ingest["http"], path, 150, size, source=_ATTACKER, within_s=seconds)

    async def mails() -> None:
        await smtp_bodies.broken_off(ingest["smtp"], _SUPPORT, 10, 24, source=_ATTACKER)

    async def sockets() -> None:
        path = f"/v1/{TENANT}/webchat/main/ws"
        await chat_sockets.strangers(ingest["http"], path, 300, source=_ATTACKER, hold_s=seconds / 4)

    async def agents() -> None:
        for chars in (20, 200_000):
            address = stack.running.endpoints["router"]["grpc"]
            async with grpc_floods.upsert_agent_flood(address, token, pool_chars=chars):
                await asyncio.sleep(seconds / 2)

    return {"headers": headers, "bodies": bodies, "mails": mails, "sockets": sockets, "agents": agents}


async def run(seconds: float) -> int:
    """Prints the figures; 1 when a valid message was refused."""
    async with AsyncExitStack() as exits:
        kafka = await exits.enter_async_context(a_broker())
        workspace = exits.enter_context(a_home())
        os.environ["KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers  # where `running_stack` looks
        options = StackOptions(config=EXAMPLE, topic_prefix=kafka.topic_prefix, production_limits=True)
        stack = await exits.enter_async_context(running_stack(workspace, options, print))
        http = await exits.enter_async_context(httpx.AsyncClient(timeout=30))
        greedy = workspace.directory("config") / f"{GREEDY}.yaml"
        greedy.write_text(a_configuration(1).replace(f"tenant: {BENCH_TENANT}", f"tenant: {GREEDY}"))
        await publishing.apply(stack.kafka, read_config(greedy).configuration, system_clock)
        token = token_for(workspace, GREEDY)
        watch, neighbours = Watch(stack, http), Neighbours(stack, workspace, http, token_for(workspace, TENANT))
        await exits.enter_async_context(neighbours.writing())

        await asyncio.sleep(_FORGOTTEN_S)
        async with watch.during(memory=False):
            await asyncio.sleep(seconds)
        quiet = max(watch.stall_ms.values())
        print(f"baseline: longest stall {quiet:.0f} ms with valid customers only", flush=True)

        corpus = Corpus(stack, workspace, http, token, source=_ATTACKER)
        watch.stall_ms.clear()
        async with watch.during(memory=False):
            sent = await corpus.send()
        print(f"corpus: {sent} messages; stalls {_shown(watch.stall_ms)} ms", flush=True)
        stalls = dict(watch.stall_ms)
        tell("hostile_loop_stall_ms", round(max(stalls.values())), "ms", "<=100", baseline=round(quiet), each=stalls)

        for name, attack in attacks(stack, token, seconds).items():
            begun = time.monotonic()
            async with watch.during(memory=True):
                await attack()
            print(f"{name}: {time.monotonic() - begun:.0f} s; growth {_shown(watch.growth_mb)} MB", flush=True)
        return _tell(watch, neighbours)


def _tell(watch: Watch, neighbours: Neighbours) -> int:
    for name, growth in sorted(watch.growth_mb.items()):
        tell(f"hostile_rss_growth_mb{{{name}}}", round(growth, 1), "MB", "<=64")
    cpu_s, mail = worst_mail()
    tell("hostile_mail_cpu_s", round(cpu_s, 3), "s", "<=.5", mail=mail)
    refused = sum(each.valid_refused for each in neighbours.refused.values())
    sent = {name: each.valid_sent for name, each in neighbours.refused.items()}
    of = {name: each.valid_refused for name, each in neighbours.refused.items()}
    why = {name: dict(each.answers) for name, each in neighbours.refused.items() if each.answers}
    print(f"refused neighbours: {of} of {sent}; {why}", flush=True)
    tell("valid_refused", refused, "messages", "<=0", sent=sent, refused=of, why=why)
    return 1 if refused else 0


def _shown(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in sorted(values.items()))


def main() -> int:
    """The command line."""
    return uvloop.run(run(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS))


if __name__ == "__main__":
    sys.exit(main())
