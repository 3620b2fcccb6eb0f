"""Common parts of the benches of the whole path: a tenant for them, a temporary home, a process's memory and CPU."""

import contextlib
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Final

from services.chassis.kafka_settings import KafkaSettings
from services.cli.local.broker.embedded import EmbeddedBroker
from services.cli.local.broker.settings import BrokerSettings
from services.cli.local.workspace import Workspace
from tests.bench import neighbours

TENANT: Final = "bench"
QUEUE: Final = "all"


def a_configuration(agents: int, *, sla_policies: bool = False) -> str:
    """Return one queue for everything, agents who can hold ten thousand each, and offers and leases that outlast any
    bench."""
    staff = "\n".join(f"  - {{agent_id: a{n}, display_name: Agent {n}, pool: default}}" for n in range(agents))
    targets = ", ".join(
        f"{{kind: {kind}, desired: 2h, adequate: 4h, warn_at: [0.75]}}"
        for kind in ("pick_up", "first_response", "resolution")
    )
    policies = f"sla_policies:\n  - {{name: all, targets: [{targets}]}}\n" if sla_policies else ""
    people = f"agents:\n{staff}\n" if agents else ""
    return f"""\
tenant: {TENANT}
default_language: en
time_zone: UTC
default_region: IR
pools:
  - {{name: default, session_lease: 1h, assignment_grace: 1h}}
queues:
  - {{name: {QUEUE}, pool: default, titles: {{en: All}}, offer_timeout: 1h, wrap_up: 1h}}
capacity_profiles:
  - {{name: wide, total: 10000, default_weight: 1}}
{people}rules:
  - {{name: everything, queue: {QUEUE}}}
channels:
  - {{channel: grpc, account: default}}
{policies}"""


@contextlib.contextmanager
def a_home() -> Iterator[Workspace]:
    """Yield a workspace of its own, so that a bench disturbs no installation that runs here."""
    with tempfile.TemporaryDirectory(prefix="chapar-bench-") as folder:
        yield Workspace(Path(folder) / "home")


def a_prefix() -> str:
    """Return a unique prefix for topics, groups and transactional ids."""
    return f"bench-{uuid.uuid4().hex[:8]}."


@contextlib.asynccontextmanager
async def a_broker() -> AsyncIterator[KafkaSettings]:
    """Yield the given cluster (KAFKA_BOOTSTRAP_SERVERS), or a broker for the duration of the block, with a unique
    prefix."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield KafkaSettings.from_environment().model_copy(update={"topic_prefix": a_prefix()})
        return
    with a_home() as home:
        async with EmbeddedBroker(BrokerSettings(home=home.home)) as broker:
            yield KafkaSettings.model_validate({"bootstrap_servers": broker.bootstrap, "topic_prefix": a_prefix()})


def begin() -> None:
    """Mark the beginning of a bench that runs alone: its figures say whether other processes spoiled them."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    broker = broker_pid(KafkaSettings.from_environment()) if given else None
    neighbours.begin(*([broker] if broker is not None else []))


class Cpu:
    """CPU time that a process uses from here on (Linux: /proc)."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._begun = self._now()

    def _now(self) -> float:
        # After the name, which may contain anything but ends with the last bracket: state, …; utime and stime are the
        # 12th and 13th.
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def used_s(self) -> float:
        """Return the seconds of CPU since the beginning."""
        return self._now() - self._begun


def rss_mb(pid: int) -> float:
    """Return resident memory in MB (2^20 bytes)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20), 1)


def processes() -> dict[int, list[str]]:
    """Return the command lines of this user's processes, by id."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile, or belongs to another user
                found[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return found


def broker_pid(kafka: KafkaSettings) -> int | None:
    """Return the broker on this machine, found by its port; None if it runs elsewhere."""
    port = f":{int(kafka.bootstrap_servers.split(',')[0].rpartition(':')[2]):04X}"
    listening = "0A"
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(port) and fields[3] == listening:
                sockets.add(f"socket:[{fields[9]}]")
    for pid in processes():
        with contextlib.suppress(OSError):
            if any(os.readlink(link) in sockets for link in Path(f"/proc/{pid}/fd").iterdir()):
                return pid
    return None


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
