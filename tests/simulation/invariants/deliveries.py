"""I1 for outgoing messages: each request has one verdict, and the provider got it at most once."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from chapar.ingest.v1 import records_pb2 as pb
from services.chassis.ids import derive
from services.chassis.kafka.headers import REPLAYED
from tests.simulation.ledger import Ledger
from tests.simulation.world import World

SENT, FAILED, UNKNOWN = pb.DELIVERY_STATE_SENT, pb.DELIVERY_STATE_FAILED, pb.DELIVERY_STATE_UNKNOWN
WORKING = (pb.DELIVERY_STATE_QUEUED, pb.DELIVERY_STATE_ATTEMPTING)
VERDICTS = ([SENT], [FAILED], [UNKNOWN], [UNKNOWN, SENT], [UNKNOWN, FAILED])
"""All that may be said of a delivery after QUEUED and ATTEMPTING. After FAILED, a replay of its dead letter begins it again."""


def deliveries(world: World, ledger: Ledger) -> Iterator[str]:
    """Yield the violations."""
    said: dict[str, list[pb.DeliveryRecord]] = defaultdict(list)
    for record in world.log.of("deliveries.v1"):
        delivery = pb.DeliveryRecord.FromString(record.value or b"")
        said[delivery.delivery_id].append(delivery)
    requested = _requested(world)
    for delivery_id, replays in requested.items():
        verdicts = [each.state for each in said[delivery_id] if each.state not in WORKING]
        while replays and FAILED in verdicts[:-1]:
            world.reached["a replayed dead letter was sent"] += 1
            replays, verdicts = replays - 1, verdicts[verdicts.index(FAILED) + 1 :]
        if verdicts not in VERDICTS:
            yield f"I1 delivery {delivery_id} has the verdicts {[pb.DeliveryState.Name(each) for each in verdicts]}"
            continue
        world.reached["a late outcome corrected an unknown delivery"] += len(verdicts) > 1
        yield from _provider(world, ledger, said[delivery_id][-1])
    for delivery_id in said.keys() - requested.keys():
        yield f"I8 delivery {delivery_id} was never requested"
    for tenant, reply_id in ledger.replies:
        if derive(tenant, reply_id) not in said:
            yield f"I1 reply {reply_id} was confirmed to the agent, and there is no delivery"


def _requested(world: World) -> Counter[str]:
    """Return how often each delivery that was requested was also replayed."""
    found: Counter[str] = Counter()
    for record in world.log.of("outbound.v1"):
        if f"{record.topic}/{record.partition}/{record.offset}" in world.poison:
            continue
        outbound = pb.OutboundRecord.FromString(record.value or b"")
        if outbound.HasField("request"):
            found[derive(outbound.tenant, outbound.request.request_id)] += REPLAYED in dict(record.headers)
    return found


def _provider(world: World, ledger: Ledger, last: pb.DeliveryRecord) -> Iterator[str]:
    times = ledger.provider[last.tenant, last.delivery_id]
    if times > 1:
        yield f"I1 the provider has delivery {last.delivery_id} {times} times"
    if last.channel != "telegram":
        return
    if last.state == SENT and times != 1:
        yield f"I1 delivery {last.delivery_id} is SENT, and the provider has it {times} times"
    if last.state == FAILED and times:
        yield f"I1 delivery {last.delivery_id} is FAILED, and the provider has it"
    if last.state == UNKNOWN:
        world.reached["a delivery stayed unknown"] += 1
