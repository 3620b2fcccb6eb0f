"""The highest rate of messages that the whole product sustains: `python -m tests.bench.sustained [first rate] [seconds]`.

A round at a rate is sustained if every message is acknowledged and offered, the p99 of both waits (submission to
acknowledgement, acknowledgement to offer) is below a second, and all lanes and projections, also those that no offer
waits for, have read everything a few seconds after the last offer. From the first rate the bench goes up in steps of an
eighth while rounds are sustained, or down while they are not, at most six rounds. The figure is what was acknowledged a second in the
fastest sustained round; 0 if none was.
"""

import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import uvloop

from tests.bench.figures import tell
from tests.bench.product import Product, a_product
from tests.bench.rounds import RoundIncomplete
from tests.bench.stand import a_broker, a_home, begin, percentile

FIRST, SECONDS, WARM_UP_RATE, WARM_UP_S = 450, 12.0, 200, 10.0
STEP, ROUNDS, LEAST = 9 / 8, 6, 20
MOST_WAIT_S, MOST_BEHIND_S, WITHIN_S = 1.0, 3.0, 30.0
GOAL: Final = ">=450"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One round. Seconds."""

    rate: int
    acknowledged_per_s: float
    acknowledgement_p99_s: float
    offer_p99_s: float
    behind_s: float
    """From the last offer until all lanes and projections had read everything."""

    @property
    def sustained(self) -> bool:
        waits = max(self.acknowledgement_p99_s, self.offer_p99_s)
        return waits < MOST_WAIT_S and self.behind_s < MOST_BEHIND_S


async def search(first: int, attempt: Callable[[int], Awaitable[Outcome | None]]) -> Outcome | None:
    """Return the fastest sustained round; None if none was sustained. An attempt returns None when messages were
    lost."""
    best: Outcome | None = None
    rate, rising = first, True
    for number in range(ROUNDS):
        outcome = await attempt(rate)
        if outcome is not None and outcome.sustained:
            best = outcome
            if not rising:
                break  # the next rate above was not sustained
        elif best is not None:
            break
        else:
            rising = False
        rate = round(rate * STEP) if rising else round(rate / STEP)
        if number == 0 and not rising and outcome is not None:
            # Far above what is possible, the rate of acknowledgements says where to look.
            rate = min(rate, round(outcome.acknowledged_per_s))
        rate = max(rate, LEAST)
    return best


async def _attempt(product: Product, rate: int, seconds: float) -> Outcome | None:
    try:
        clocked = await product.deliver(rate, seconds, WITHIN_S)
        offered = time.monotonic()
        while await product.behind() and time.monotonic() - offered < WITHIN_S:
            pass  # each look takes its time: it reads the metrics of every service
        behind_s = time.monotonic() - offered
        await product.clear()
    except RoundIncomplete as error:
        print(f"{rate}/s: {error}", flush=True)
        await product.clear()
        return None
    waits = [clocked.acknowledged[number] - at for number, at in clocked.submitted.items()]
    outcome = Outcome(
        rate,
        round(clocked.acknowledged_per_s(), 1),
        round(percentile(waits, 0.99), 3),
        round(percentile(clocked.latencies(), 0.99), 3),
        round(behind_s, 2),
    )
    print(
        f"{rate}/s: {outcome.acknowledged_per_s:.0f} acknowledged a second, p99 {outcome.acknowledgement_p99_s * 1000:.0f} ms; "
        f"p99 to the offer {outcome.offer_p99_s * 1000:.0f} ms; all read {outcome.behind_s:.1f} s later: "
        f"{'sustained' if outcome.sustained else 'not sustained'}",
        flush=True,
    )
    return outcome


async def run(first: int, seconds: float) -> int:
    """Print the figure; return 1 if rounds could not be ended."""
    async with AsyncExitStack() as exits:
        kafka = await exits.enter_async_context(a_broker())
        workspace = exits.enter_context(a_home())
        product = await exits.enter_async_context(a_product(workspace, kafka))
        try:
            await product.round(WARM_UP_RATE, min(WARM_UP_S, seconds))
            best = await search(first, lambda rate: _attempt(product, rate, seconds))
        except RoundIncomplete as error:
            print(f"sustained: {error}", file=sys.stderr)
            return 1
    details = (
        {}
        if best is None
        else {
            "rate": best.rate,
            "p99_ms": round(1000 * best.offer_p99_s),
            "behind_s": best.behind_s,
            "seconds": seconds,
        }
    )
    tell("product_messages_per_s", best.acknowledged_per_s if best is not None else 0, "1/s", GOAL, **details)
    return 0


def main() -> int:
    """The command line."""
    given = [float(value) for value in sys.argv[1:]]
    begin()
    return uvloop.run(run(int(given[0]) if given else FIRST, given[1] if len(given) > 1 else SECONDS))


if __name__ == "__main__":
    sys.exit(main())
