"""From acknowledged to offered, over bare transactions: `[KAFKA_BOOTSTRAP_SERVERS=…] python -m tests.bench.hops
[seconds a round] [rate …]`.

The whole product runs as `chapar run` starts it (product.py). Messages arrive at a steady rate (open loop: no message
waits for another), agents with ample capacity hold real sessions, and each message is timed from its acknowledgement to
the offer's arrival on the agent's stream: edge → intake lane → router lane → feed → gateway → gRPC. Bare means the same
number of hops without the product, on the same broker in the same run (bare_hops.py).

Rounds of both alternate. The latencies of all rounds of a rate are put together, and the figure is the ratio of their
percentiles. A round whose messages do not all arrive within two minutes ends the bench, with a line that says what is
missing, and exit code 1.
"""

import sys
from contextlib import AsyncExitStack
from typing import Final

import uvloop

from tests.bench.bare_hops import Bare, bare_path
from tests.bench.figures import NO_GOAL, tell
from tests.bench.product import Product, a_product
from tests.bench.rounds import RoundIncomplete
from tests.bench.stand import a_broker, a_home, begin, percentile

RATES: Final = (50, 200, 500)
ROUNDS, SECONDS, WARM_UP_S, WARM_UP_RATE = 2, 8.0, 10.0, 200
GOALS: Final = {
    "p50": (0.5, {50: "<=1.3", 200: "<=2.5", 500: "<=4"}),
    "p99": (0.99, {50: "<=2", 200: "<=3"}),
}


async def run(seconds: float, rates: tuple[int, ...]) -> int:
    """Print the figures; return 1 if a round was incomplete."""
    async with AsyncExitStack() as exits:
        kafka = await exits.enter_async_context(a_broker())
        workspace = exits.enter_context(a_home())
        product = await exits.enter_async_context(a_product(workspace, kafka))
        bare = await exits.enter_async_context(bare_path(product.stack.kafka))
        try:
            await bare.round(WARM_UP_RATE, min(WARM_UP_S, seconds))
            await product.round(WARM_UP_RATE, min(WARM_UP_S, seconds))
            for rate in rates:
                await _measure(bare, product, rate, seconds)
        except RoundIncomplete as error:
            print(f"hops: {error}", file=sys.stderr)
            return 1
    return 0


async def _measure(bare: Bare, product: Product, rate: int, seconds: float) -> None:
    seen: dict[str, list[float]] = {"bare": [], "product": []}
    for _ in range(ROUNDS):
        seen["bare"] += await bare.round(rate, seconds)
        seen["product"] += await product.round(rate, seconds)
    for name, (share, goals) in GOALS.items():
        ms = {who: 1000 * percentile(values, share) for who, values in seen.items()}
        print(f"{rate}/s {name}: bare {ms['bare']:.1f} ms, acknowledged to offered {ms['product']:.1f} ms")
        details = {f"{who}_ms": round(value, 2) for who, value in ms.items()}
        ratio = round(ms["product"] / ms["bare"], 2)
        details |= {"n": len(seen["product"]), "reconnects": product.offers.reconnects}
        tell(f"hop_{name}_ratio{{{rate}/s}}", ratio, "ratio", goals.get(rate, NO_GOAL), **details)


def main() -> int:
    """The command line."""
    given = [float(value) for value in sys.argv[1:]]
    seconds, *rates = given or [SECONDS]
    begin()
    return uvloop.run(run(seconds, tuple(int(rate) for rate in rates) or RATES))


if __name__ == "__main__":
    sys.exit(main())
