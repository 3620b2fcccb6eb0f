"""What one message costs at 50 messages a second: `python -m tests.bench.costs [seconds] [rate]`.

`transactions_per_message`: transactions that ended, by the broker's own log of them. `requests_per_message`: requests
to the broker, counted by a proxy between it and the product, in a round of its own. `services_cpu_ms_per_message`: CPU
of the four services; the broker's is in the details.

The whole product runs as `chapar run` starts it, on a broker of this bench. Messages arrive at a steady rate, and each
is offered to an agent (product.py). The measurement begins some seconds after the first message. What the product does
when it is idle is part of it: fetches without records, heartbeats, timers.
"""

import asyncio
import sys
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from services.chassis.kafka_settings import KafkaSettings
from tests.bench.counted_broker import a_counted_broker
from tests.bench.figures import NO_GOAL, tell
from tests.bench.product import Product, a_product
from tests.bench.rounds import RoundIncomplete
from tests.bench.stand import a_home, begin
from tests.bench.transaction_log import ended_since, ends

RATE, SECONDS = 50, 15.0
BEFORE_S, AFTER_S = 4.0, 1.0
WARM_UP_RATE, WARM_UP_S = 200, 8.0
GOALS: Final = {"transactions_per_message": "<=3", "requests_per_message": "<=14", "services_cpu_ms_per_message": "<=7"}


@dataclass(frozen=True, slots=True)
class Costs:
    """Totals of one window."""

    messages: int
    cpu_s: dict[str, float]
    """By process."""
    transactions: Counter[str]
    """By transactional id."""
    requests: Counter[str]
    """By kind; none without a proxy."""


async def measure(kafka: KafkaSettings, rate: int, seconds: float, counts: Counter[str]) -> Costs | None:
    """Run the product on the broker, and return the costs of `seconds`; None if messages were lost."""
    async with AsyncExitStack() as exits:
        workspace = exits.enter_context(a_home())
        product = await exits.enter_async_context(a_product(workspace, kafka))
        try:
            return await _window(product, kafka, rate, seconds, counts)
        except RoundIncomplete as error:
            print(f"costs: {error}", file=sys.stderr)
            return None


async def _window(product: Product, kafka: KafkaSettings, rate: int, seconds: float, counts: Counter[str]) -> Costs:
    await product.round(WARM_UP_RATE, WARM_UP_S)
    sending = asyncio.ensure_future(product.deliver(rate, BEFORE_S + seconds + AFTER_S))
    try:
        await asyncio.sleep(BEFORE_S)  # a bench measures over time: there is no condition to wait for
        log, requests, cpus = await ends(kafka), counts.copy(), product.cpus()
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        elapsed = asyncio.get_running_loop().time() - begun
        cpu_s = {name: cpu.used_s() for name, cpu in cpus.items()}
        requests = counts - requests
        transactions = await ended_since(kafka, log)
        await sending
    finally:
        sending.cancel()
    return Costs(round(rate * elapsed), cpu_s, transactions, requests)


async def run(seconds: float, rate: int) -> int:
    """Print the figures; return 1 if messages were lost."""
    async with a_counted_broker() as broker:
        direct = await measure(broker.direct, rate, seconds, Counter())
        counted = await measure(broker.counted, rate, seconds, broker.counts)
    if direct is None or counted is None:
        return 1
    _explain("transactions of", _by_service(direct.transactions), direct.messages)
    _explain("requests:", counted.requests, counted.messages)
    services = {name: used for name, used in direct.cpu_s.items() if name != "broker"}
    milliseconds = {f"{name}_ms": round(1000 * used / direct.messages, 2) for name, used in direct.cpu_s.items()}
    goals = GOALS if rate == RATE else {}
    values: dict[str, tuple[float, str, dict[str, Any]]] = {
        "transactions_per_message": (direct.transactions.total() / direct.messages, "transactions", {}),
        "requests_per_message": (counted.requests.total() / counted.messages, "requests", dict(counted.requests)),
        "services_cpu_ms_per_message": (1000 * sum(services.values()) / direct.messages, "ms", milliseconds),
    }
    for name, (value, unit, details) in values.items():
        suffix = "" if rate == RATE else f"{{{rate}/s}}"
        tell(name + suffix, round(value, 2), unit, goals.get(name, NO_GOAL), rate=rate, **details)
    return 0


def _by_service(transactions: Counter[str]) -> Counter[str]:
    """Return the sums by the first word of the transactional id, after the prefix of the topics: the lane's name."""
    found: Counter[str] = Counter()
    for name, count in transactions.items():
        found[name.split(".", 1)[-1].split("-")[0]] += count
    return found


def _explain(what: str, counts: Counter[str], messages: int) -> None:
    for name, count in counts.most_common():
        print(f"{what} {name}: {count / messages:.2f} a message")


def main() -> int:
    """The command line."""
    given = [float(value) for value in sys.argv[1:]]
    begin()
    return uvloop.run(run(given[0] if given else SECONDS, int(given[1]) if len(given) > 1 else RATE))


if __name__ == "__main__":
    sys.exit(main())
