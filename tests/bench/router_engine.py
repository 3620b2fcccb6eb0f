"""Number of commands that the shard decides in a second of CPU time, without Kafka (CPU time, so that a busy machine
does not distort it).

    python -m tests.bench.router_engine [--profile] [--agents 200] [--interactions 10000]

It runs twice, where there is a C compiler: pure and compiled (`make compiled`). Operators run the compiled one, so the
goal is for that one.

A life cycle is nine commands: Enqueue, AcceptOffer, then CustomerMessaged, RecordReply three times each,
CompleteInteraction. The bench measures the whole shard in a small pool with light work: protobuf in, decisions,
protobuf out, changelog, journal, in batches of 200 records. Decisions alone, in a large and busy pool, are measured by
`engine`.
"""

import argparse
import cProfile
import gc
import os
import pstats
import subprocess
import sys
import time
from collections import deque
from typing import Any

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from services.chassis.build import engine
from services.chassis.kafka.lane import LaneContext, Record
from services.chassis.kafka.outbox import BatchOutbox
from services.chassis.metrics import Metrics
from services.router.lanes.shard import FEED, ShardProcessor
from services.router.lanes.shard_metrics import ShardMetrics
from services.router.metrics import METRICS
from tests.bench.engine_compiled import build, importing_from
from tests.bench.figures import tell

BATCH = 200
REPLY_TO = pb.ReplyTo(gateway_id="g", feed_partition=0)
CYCLE = 9


class Life:
    """Commands of life cycles; each offer is accepted, answered and completed."""

    def __init__(self, agents: int, skills: int) -> None:
        self.count = 0
        self.done = 0
        self._agents = agents
        self._skills = skills
        self._ready: deque[pb.RoutingCommand] = deque()

    def command(self, **body: Any) -> pb.RoutingCommand:
        """Return a command with an envelope."""
        self.count += 1
        return pb.RoutingCommand(
            command_id=f"00000000-0000-0000-0000-{self.count:012}",
            tenant="acme",
            pool="default",
            reply_to=REPLY_TO,
            **body,
        )

    def opening(self) -> list[pb.RoutingCommand]:
        """Return configuration and sign-ins."""
        agents = [
            config_pb2.AgentProfile(
                agent_id=f"a{n}", skills={"persian": float(n % 5 + 1), f"skill-{n % self._skills}": 5.0}
            )
            for n in range(self._agents)
        ]
        capacity = config_pb2.CapacityProfile(name="desk", total=5, default_weight=1)
        configuration = config_pb2.TenantConfiguration(
            tenant="acme",
            version=1,
            agents=agents,
            capacity_profiles=[capacity],
            queues=[config_pb2.Queue(name=f"q{n}") for n in range(4)],
        )
        first = [self.command(activate_configuration=pb.ActivateConfiguration(configuration=configuration))]
        return first + [
            self.command(sign_in=pb.SignIn(agent_id=f"a{n}", session_id=f"s{n}")) for n in range(self._agents)
        ]

    def enqueue(self, n: int, now: int) -> pb.RoutingCommand:
        """Return the command for one more interaction."""
        attributes = pb.InteractionAttributes(
            interaction_id=f"i{n:030}", conversation_id=f"c{n:030}", person_id=f"p{n:030}", channel="webchat",
            account="main", language="fa", queue=f"q{n % 4}", priority=n % 3, labels={"tier": "gold"}, arrived_at_ms=now,
        )  # fmt: skip
        selector = attributes.requirements.add(attribute=f"skill-{n % self._skills}", number=3)
        assert selector.attribute
        return self.command(enqueue=pb.Enqueue(interaction=attributes))

    def offered(self, offer_id: str, agent: str, interaction: str) -> None:
        """Add the commands that follow an offer."""
        self._ready.append(self.command(accept_offer=pb.AcceptOffer(agent_id=agent, offer_id=offer_id)))
        for n in range(3):
            message = pb.CustomerMessaged(interaction_id=interaction, message_id=f"m{n}")
            self._ready.append(self.command(customer_messaged=message))
            reply = pb.RecordReply(agent_id=agent, interaction_id=interaction, reply_id=f"r{n}")
            self._ready.append(self.command(record_reply=reply))
        complete = pb.CompleteInteraction(agent_id=agent, interaction_id=interaction, disposition="solved")
        self._ready.append(self.command(complete_interaction=complete))
        self.done += 1

    def take(self) -> list[pb.RoutingCommand]:
        """Return all commands that follow from the effects so far."""
        taken = list(self._ready)
        self._ready.clear()
        return taken


def processor_run(interactions: int, agents: int, skills: int) -> tuple[float, float]:
    """Return commands, and life cycles, a second of the whole processor."""
    processor = ShardProcessor(LaneContext(0, 1), 8, ShardMetrics(Metrics(METRICS)))
    life, now, offset = Life(agents, skills), 1_700_000_000_000, 0

    def tell(commands: list[pb.RoutingCommand]) -> float:
        nonlocal offset
        records = []
        for command in commands:
            value = command.SerializeToString()
            records.append(Record("routing.commands.v1", 0, offset, now, b"acme/default", value, ()))
            offset += 1
        outbox = BatchOutbox(1, 900_000)
        began = time.process_time()
        processor.begin(now)
        for record in records:
            processor.handle(record, outbox)
        processor.end(outbox)
        outbox.changes()
        spent = time.process_time() - began
        for send in outbox.sends:
            if send.topic == FEED:
                feed = pb.FeedRecord.FromString(send.value)
                if feed.HasField("offered"):
                    life.offered(feed.offered.offer_id, feed.agent_id, feed.offered.interaction.interaction_id)
        return spent

    processor.start(now, BatchOutbox(1, 900_000))
    tell(life.opening())
    spent, sent, given = 0.0, 0, 0
    while given < interactions or life.done < interactions:
        fresh = [life.enqueue(given + n, now) for n in range(min(BATCH // CYCLE, interactions - given))]
        given += len(fresh)
        commands = fresh + life.take()
        if not commands:
            break
        now += 20
        sent += len(commands)
        spent += tell(commands)
    return sent / spent, life.done / spent


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--interactions", type=int, default=10_000)
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--skills", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    processor_run(500, args.agents, args.skills)  # warm-up
    gc.freeze()
    if args.profile:
        profiler = cProfile.Profile()
        profiler.runcall(processor_run, args.interactions, args.agents, args.skills)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
        return
    commands, cycles = processor_run(args.interactions, args.agents, args.skills)
    us = round(1e6 / cycles)
    if engine() == "compiled":
        tell("router_us_per_life_cycle", us, "us", "<=280", agents=args.agents, commands_per_s=round(commands))
        return
    tell("shard_commands_per_s", round(commands), "1/s", agents=args.agents)
    tell("shard_life_cycles_per_s", round(cycles), "1/s", agents=args.agents)
    tell("router_us_per_life_cycle{pure}", us, "us", agents=args.agents)
    compiled = build()
    if compiled is not None:
        again = [sys.executable, "-m", "tests.bench.router_engine", *sys.argv[1:]]
        subprocess.run(again, check=True, env={**os.environ, **importing_from(compiled)})


if __name__ == "__main__":
    main()
