"""Memory of a waiting interaction and of a signed-in agent in the engine: `python -m tests.bench.engine_memory
waiting|agents`.

Two measures: the sizes of all objects that can be reached from the engine, each rounded up as Python's allocator does
and counted once; and the growth of the process's resident set. Each measurement has a process of its own. Commands are
decoded from protobuf records, as in the shard, so that no text is shared by accident. The engine's memory of the
commands themselves (their ids, for ten minutes) counts.
"""

import gc
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from random import Random
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final

from chapar.config.v1 import config_pb2
from chapar.router.v1 import records_pb2 as pb
from services.policy.model.routing import AgentProfile
from services.router.domain import commands as cmd
from services.router.domain.changelog.snapshot import collect
from services.router.domain.engine import Engine
from services.router.translate.attributes import from_attributes
from services.router.translate.commands import decode, to_command
from tests.bench.engine_pool import START, Plan, Size, attributes_of

WAITING, AGENTS = "waiting", "agents"
_BATCH: Final = 200
_ALIGNED: Final = 16
"""Python's allocator rounds sizes up to multiples of this number of bytes."""
_SHARED: Final = (type, ModuleType, FunctionType, BuiltinFunctionType)
"""Objects that belong to the program, not to the engine's state."""


def reachable_bytes(root: object) -> int:
    """Return the size of everything that an object holds, directly or indirectly."""
    seen: set[int] = set()
    total, left = 0, [root]
    while left:
        thing = left.pop()
        if id(thing) in seen or isinstance(thing, _SHARED):
            continue
        seen.add(id(thing))
        total += -(-sys.getsizeof(thing) // _ALIGNED) * _ALIGNED
        left.extend(gc.get_referents(thing))
    return total


def resident_bytes() -> int:
    """Return the memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Feeder:
    """Feeds an engine with commands from records, in batches; the effects are thrown away."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.engine = Engine()
        self.count = 0
        self._rng = Random(3)

    def tell(self, bodies: Iterable[dict[str, Any]]) -> None:
        """Handle commands; each is a command's field and its message."""
        for body in bodies:
            self.count += 1
            record = pb.RoutingCommand(
                command_id=f"c0ffee00-0000-5000-9000-{self.count:012}",
                tenant="acme",
                pool="default",
                reply_to=pb.ReplyTo(gateway_id="gateway", feed_partition=0),
                **body,
            ).SerializeToString()
            self.engine.handle(to_command(decode(record)), START)
            if self.count % _BATCH == 0:
                collect(self.engine, START)
        collect(self.engine, START)

    def configure(self) -> None:
        """Send the configuration, without agents."""
        self.engine.handle(cmd.ActivateConfiguration(replace(self.plan.config, agents=())), START)

    def arrivals(self, first: int, many: int) -> Iterable[dict[str, Any]]:
        """Yield `many` arriving interactions."""
        for number in range(first, first + many):
            intent = self._rng.choice(self.plan.intents[self.plan.any_queue(self._rng)])
            yield {"enqueue": pb.Enqueue(interaction=from_attributes(attributes_of(intent, number, START, self._rng)))}

    def sign_ins(self, profiles: Iterable[AgentProfile]) -> Iterable[dict[str, Any]]:
        """Yield the profile and the sign-in of each agent."""
        for number, profile in enumerate(profiles):
            agent = config_pb2.AgentProfile(
                agent_id=profile.agent_id,
                display_name=profile.display_name,
                skills=dict(profile.skills),
                capacity_profile=profile.capacity_profile,
                queues=profile.queues,
            )
            yield {"upsert_agent": pb.UpsertAgent(agent=agent)}
            yield {"sign_in": pb.SignIn(agent_id=profile.agent_id, session_id=f"5e551011-0000-5000-8000-{number:012}")}


def _waiting(feeder: Feeder) -> Iterable[dict[str, Any]]:
    """Double the number of waiting interactions."""
    many = feeder.plan.size.waiting
    feeder.tell(feeder.arrivals(0, many))
    return feeder.arrivals(many, many)


def _agents(feeder: Feeder) -> Iterable[dict[str, Any]]:
    """Sign in all agents, in an engine that has seen all requirements but in which nothing waits."""
    rng = Random(4)
    for number, intent in enumerate(chain.from_iterable(feeder.plan.intents.values())):
        attributes = attributes_of(intent, number, START, rng)
        feeder.tell([{"enqueue": pb.Enqueue(interaction=from_attributes(attributes))}])
        feeder.tell([{"customer_left": pb.CustomerLeft(interaction_id=attributes.interaction_id)}])
    return feeder.sign_ins(feeder.plan.agents.values())


def measure(what: str, size: Size) -> tuple[float, float]:
    """Return the bytes of one: by objects, and resident."""
    feeder = Feeder(Plan(size))
    feeder.configure()
    bodies = (_waiting if what == WAITING else _agents)(feeder)
    gc.collect()
    objects, resident = reachable_bytes(feeder.engine), resident_bytes()
    feeder.tell(bodies)
    gc.collect()
    many = size.waiting if what == WAITING else size.agents
    resident = resident_bytes() - resident  # before the next line, which needs memory itself
    return (reachable_bytes(feeder.engine) - objects) / many, resident / many


def apart(what: str, size: Size) -> tuple[float, float]:
    """Run `measure` in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.engine_memory", what, str(size.agents), str(size.waiting)]
    objects, resident = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(objects), float(resident)


if __name__ == "__main__":
    print(*measure(sys.argv[1], Size(agents=int(sys.argv[2]), waiting=int(sys.argv[3]))))
