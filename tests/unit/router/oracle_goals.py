"""The adaptive order of the naive engine, as docs/routing-policies.md says it: what the minutes are, and how shifts move."""

from typing import TYPE_CHECKING

from services.policy.model.routing import Order, QueueConfig
from tests.unit.router import oracle_moves as moves
from tests.unit.router.oracle_state import History

if TYPE_CHECKING:
    from tests.unit.router.oracle import Oracle

MINUTE = 60_000


def adaptive(o: "Oracle") -> list[QueueConfig]:
    """Return the adaptive queues, by name."""
    return sorted((queue for queue in o.config.queues if queue.order is Order.ADAPTIVE), key=lambda queue: queue.name)


def due(o: "Oracle") -> list[tuple[int, int, str]]:
    """Return when minutes end; nothing comes later among equal times."""
    began = {queue.name: o.history(queue.name).minute for queue in adaptive(o)}
    return [(minute[0] + MINUTE, 7, name) for name, minute in began.items() if minute is not None]


def note(o: "Oracle", queue: str) -> None:
    """Begin the minute of a queue before its first outcome is recorded."""
    history = o.history(queue)
    if history.minute is None and queue in {each.name for each in adaptive(o)}:
        history.minute = o.now, len(history.outcomes)


def forget(o: "Oracle") -> None:
    """After a new configuration, queues that are not adaptive any more have no minute."""
    names = {queue.name for queue in adaptive(o)}
    for name, history in o.histories.items():
        if name not in names:
            history.minute = None


def move(o: "Oracle") -> None:
    """Move the shifts of all adaptive queues."""
    queues = adaptive(o)
    for queue in queues:
        history = o.history(queue.name)
        history.ended = [in_time for _, in_time in history.outcomes[history.minute[1] :]] if history.minute else []
        history.minutes.append(len(history.ended))
    for queue in queues:
        rivals = [
            each
            for person in o.people.values()
            if moves.works_for(person, queue)
            for each in queues
            if moves.works_for(person, each)
        ]
        if customers := sum(_a_minute(o.history(each.name)) for each in rivals):
            common = sum(_a_minute(o.history(each.name)) * _surplus(o, each) for each in rivals) / customers
            o.history(queue.name).shift_ms += _step(queue, o.history(queue.name), common)
    middle = sum(o.history(queue.name).shift_ms for queue in queues) / len(queues)
    bound = 4 * max(queue.service_level_ms for queue in queues)
    for queue in queues:
        history = o.history(queue.name)
        history.shift_ms = min(bound, max(-bound, history.shift_ms - middle))
        history.minute = None


def _surplus(o: "Oracle", queue: QueueConfig) -> float:
    level = o.history(queue.name).level()
    return 0.0 if level is None else level - queue.service_level_goal


def _a_minute(history: History) -> float:
    """Return the outcomes a minute: those of this minute and the last one in full, earlier ones faded by 1/43 for each minute."""
    past = list(reversed(history.minutes))
    faded = [(42 / 43) ** max(0, age - 1) for age in range(len(past))]
    return sum(n * weight for n, weight in zip(past, faded, strict=True)) / sum(faded)


def _step(queue: QueueConfig, history: History, common: float) -> float:
    gain = max(0.02, 1 / (4 + min(100, len(history.outcomes)) / 2))
    more = sum(history.ended) - (queue.service_level_goal + common) * len(history.ended)
    return gain * max(1_000, queue.service_level_ms) * more / max(1.0, _a_minute(history))
