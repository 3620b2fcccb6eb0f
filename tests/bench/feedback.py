"""Responses a second through the survey page until they are durable, and the cost of reading scores: `python -m
tests.bench.feedback [seconds] [--profile]`.

The service (role "edge") runs in a process of its own on a real broker. Bare servers beside it do the fair minimum:
verify the link's signature, parse the form, produce, wait for the broker. "bare" is what one would write first: its
links are JWTs, which PyJWT verifies. "bare, own links" reads the links of the service with the service's own code.
Short rounds alternate and the better half of each side's rounds counts. The least CPU of a server's process per response
depends less on the load of the machine than its rate does; `--profile` prints the service's functions by own time.
Scores are read over gRPC by one caller after the other, a page of the default size at random places of 10,000 agents.
"""

import asyncio
import cProfile
import math
import multiprocessing
import pstats
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import grpc
import jwt
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from chapar.feedback.v1 import feedback_pb2 as pb
from chapar.feedback.v1 import feedback_pb2_grpc
from services.chassis.clock import system_clock
from services.chassis.http import http_server
from services.chassis.ids import derive
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.lifecycle import serving
from services.chassis.tokens import JwtSettings, mint
from services.feedback.adapters.links import SignedLinks, link_key
from services.feedback.domain.scores import Dimension, ScoreCounts
from services.feedback.ports import Ticket
from services.feedback.settings import FeedbackSettings
from services.feedback.translate.scores import score_key, score_record
from services.feedback.wiring import NAME, build
from services.policy.model.surveys import SurveyKind
from tests.bench.figures import NO_GOAL, tell
from tests.bench.stand import Cpu, a_broker, percentile
from tests.integration.feedback.conftest import TENANT, a_configuration, topics_of

SECRET: Final = "s" * 40
CONNECTIONS: Final = 64
ROUNDS: Final = 16
REQUESTS: Final = 8_000
AGENTS: Final = 10_000
READS: Final = 1_000
GOAL_PER_S: Final = 5_000
GOAL_MS: Final = 20
AUDIENCE: Final = "bare.survey"
EDGE, BARE, BARE_OWN_LINKS = "edge", "bare", "bare, own links"
FORM: Final = "score=4&comment=%D8%AE%DB%8C%D9%84%DB%8C+%D8%AE%D9%88%D8%A8+%D8%A8%D9%88%D8%AF"

Say = Callable[[dict[str, str]], None]


def requests(count: int, token: Callable[[Ticket], str]) -> list[bytes]:
    """Return complete HTTP requests, each the response to an invitation of its own: the client must cost little
    compared with the server."""
    expires = system_clock() + 3_600_000
    made = []
    for number in range(count):
        person, invitation = derive("person", str(number)), derive("invitation", str(number))
        ticket = Ticket(TENANT, person, invitation, "after-contact", SurveyKind.CSAT, "fa", expires)
        made.append(
            f"POST /s/{token(ticket)} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n"
            f"content-length: {len(FORM)}\r\n\r\n{FORM}".encode()
        )
    return made


def _links() -> SignedLinks:
    return SignedLinks(link_key(SECRET.encode()), "", system_clock)


def a_jwt(ticket: Ticket) -> str:
    """Return the link of the bare server: a JWT with the same contents."""
    claims = {**asdict(ticket), "aud": AUDIENCE, "exp": ticket.expires_at_ms // 1000}
    return jwt.encode(claims, link_key(SECRET.encode()), algorithm="HS256")


def jwt_ids(token: str) -> tuple[str, str, str]:
    """Return tenant, person and invitation of a JWT. Raises PyJWTError."""
    claims = jwt.decode(token, link_key(SECRET.encode()), algorithms=["HS256"], audience=AUDIENCE)
    return claims["tenant"], claims["person_id"], claims["invitation_id"]


def own_ids() -> Callable[[str], tuple[str, str, str]]:
    """Return the reader of the service's own links."""
    links = _links()

    def ids(token: str) -> tuple[str, str, str]:
        ticket = links.read(token)
        assert ticket is not None, token
        return ticket.tenant, ticket.person_id, ticket.invitation_id

    return ids


async def bare(kafka: KafkaSettings, say: Say, stop: asyncio.Event, ids: Callable[[str], tuple[str, str, str]]) -> None:
    """Run a bare server: signature, form, broker."""
    async with DurableProducer(kafka, client_id="bare") as producer:

        async def take(request: Request) -> Response:
            tenant, person, invitation = ids(request.path_params["token"])
            fields = dict(parse_qsl((await request.body()).decode("ascii"), strict_parsing=True))
            command = pb.FeedbackCommand(command_id=invitation, tenant=tenant, person_id=person)
            command.response.invitation_id, command.response.score = invitation, int(fields["score"])
            command.response.comment = fields["comment"]
            await producer.publish("feedback.commands.v1", person.encode(), command.SerializeToString())
            return HTMLResponse("thanks")

        async with http_server(
            Starlette(routes=[Route("/s/{token}", take, methods=["POST"])]), "127.0.0.1", 0
        ) as address:
            say({"http": address})
            await stop.wait()


async def edge(kafka: KafkaSettings, say: Say, stop: asyncio.Event) -> None:
    """Run the service as it is, without lanes and Faust."""
    with tempfile.TemporaryDirectory() as directory:
        secret = Path(directory) / "secret"
        secret.write_text(SECRET)
        settings = FeedbackSettings(
            instance="bench",
            insecure_dev=True,
            drain_s=0,
            jwt=JwtSettings(secret_file=secret),
            kafka=kafka,
            roles=("edge",),
        )
        async with serving(NAME, settings, build) as service:
            say({name: service.endpoints[name] for name in ("http", "grpc")})
            await stop.wait()


def _serve(kind: str, kafka: KafkaSettings, profile: str, pipe: Connection) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), stop.set)
        if kind == EDGE:
            await edge(kafka, pipe.send, stop)
        else:
            await bare(kafka, pipe.send, stop, jwt_ids if kind == BARE else own_ids())

    if not profile:
        uvloop.run(main())
        return
    profiler = cProfile.Profile()
    profiler.runcall(uvloop.run, main())
    profiler.dump_stats(profile)


async def load(address: str, asked: list[bytes], seconds: float | None) -> float:
    """Return responses a second over keep-alive connections, each waiting for its page; all must be 200. Without
    `seconds`, send each request once."""
    host, _, port = address.rpartition(":")
    done = 0
    until = time.monotonic() + seconds if seconds is not None else math.inf
    most = math.inf if seconds is not None else len(asked)

    async def one(worker: int) -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection(host, int(port))
        number = worker
        while time.monotonic() < until and number < most:
            writer.write(asked[number % len(asked)])
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            done += 1
            number += CONNECTIONS
        writer.close()

    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for worker in range(CONNECTIONS):
            group.create_task(one(worker))
    return done / (time.monotonic() - begun)


async def read_scores(kafka: KafkaSettings, address: str) -> list[float]:
    """Return the milliseconds of each read."""
    rng = random.Random(1)
    async with DurableProducer(kafka, client_id="bench", linger_ms=5) as producer:
        for first in range(0, AGENTS, 1000):
            await asyncio.gather(
                *(
                    producer.publish("feedback.scores.v1", score_key(of, 0), record.SerializeToString(), partition=0)
                    for of in (
                        Dimension(TENANT, SurveyKind.CES, "agent", f"a{n:05}") for n in range(first, first + 1000)
                    )
                    for record in (
                        score_record(of, 0, ScoreCounts({s: rng.randrange(50) for s in range(1, 8)}, 900, 9), 1),
                    )
                )
            )
    metadata = (("authorization", f"Bearer {mint(SECRET.encode(), 'bench', TENANT, ['feedback.read'])}"),)
    taken: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = feedback_pb2_grpc.FeedbackServiceStub(channel)
        cursors = [""]
        async with asyncio.timeout(60):
            while len(cursors) < AGENTS // 50:
                request = pb.GetScoresRequest(by="agent")
                request.page.cursor = cursors[-1]
                answer = await stub.GetScores(request, metadata=metadata, timeout=5)
                if answer.page.next_cursor:
                    cursors.append(answer.page.next_cursor)
                else:
                    cursors = [""]
                    await asyncio.sleep(0.1)  # some records have not been read yet
        for _ in range(READS):
            request = pb.GetScoresRequest(by="agent")
            request.page.cursor = rng.choice(cursors)
            begun = time.perf_counter()
            answer = await stub.GetScores(request, metadata=metadata, timeout=5)
            taken.append((time.perf_counter() - begun) * 1000)
            assert answer.scores[0].estimate.n > 0
    return taken


async def main(seconds: float, profile: bool) -> None:
    """Print the figures."""
    own, jwts = requests(REQUESTS, _links().token), requests(REQUESTS, a_jwt)
    asked = {EDGE: own, BARE: jwts, BARE_OWN_LINKS: own}
    spawn = multiprocessing.get_context("spawn")
    rates: dict[str, list[float]] = {kind: [] for kind in asked}
    cpu: dict[str, list[float]] = {kind: [] for kind in asked}
    async with a_broker() as kafka, topics_of(kafka):
        async with DurableProducer(kafka, client_id="bench") as producer:
            await producer.publish("config.v1", TENANT.encode(), a_configuration().SerializeToString())
        servers: dict[str, tuple[Any, Connection, dict[str, str]]] = {}
        with tempfile.TemporaryDirectory() as directory:
            stats = str(Path(directory) / "profile") if profile else ""
            for kind in rates:
                ours, theirs = spawn.Pipe()
                arguments = (kind, kafka, stats if kind == EDGE else "", theirs)
                process = spawn.Process(target=_serve, args=arguments, daemon=True)
                process.start()
                servers[kind] = (process, ours, await asyncio.to_thread(ours.recv))
                for _ in range(2):
                    # Warm-up. The first lap makes the persons' keys, which an installation has since the invitation, and
                    # the second one reads them.
                    await load(servers[kind][2]["http"], asked[kind], None)
            for _ in range(ROUNDS):
                for kind, (process, _, addresses) in servers.items():
                    used = Cpu(process.pid)
                    rate = await load(addresses["http"], asked[kind], seconds)
                    rates[kind].append(rate)
                    cpu[kind].append(used.used_s() / (rate * seconds) * 1e6)
            reads = await read_scores(kafka, servers[EDGE][2]["grpc"])
            for process, pipe, _ in servers.values():
                pipe.send("stop")
                await asyncio.to_thread(process.join, 15)
                process.kill()
            if profile:
                pstats.Stats(stats).sort_stats("tottime").print_stats(35)
    best = {kind: statistics.mean(sorted(values)[len(values) // 2 :]) for kind, values in rates.items()}
    cheapest = {kind: round(min(values)) for kind, values in cpu.items()}
    for kind, rate in best.items():
        print(f"{kind}: {rate:.0f}/s, {cheapest[kind]} us of CPU a response")
    tell("answers_per_s", round(best[EDGE]), "1/s", f">={GOAL_PER_S}", cpu_us=cheapest[EDGE], bare=round(best[BARE]))
    for name, kind, goal in (("", BARE, ">=1"), ("{own links}", BARE_OWN_LINKS, NO_GOAL)):
        ratio = round(best[EDGE] / best[kind], 3)
        tell(f"answers_vs_bare{name}", ratio, "ratio", goal, cpu_us=cheapest[EDGE], bare_cpu_us=cheapest[kind])
    tell("get_scores_p99_ms", round(percentile(reads, 0.99), 2), "ms", f"<={GOAL_MS}", dimensions=AGENTS)
    tell("get_scores_p50_ms", round(percentile(reads, 0.5), 2), "ms", dimensions=AGENTS)


if __name__ == "__main__":
    given = [each for each in sys.argv[1:] if each != "--profile"]
    uvloop.run(main(float(given[0]) if given else 1.0, "--profile" in sys.argv))
