"""How this service's readers outside the lanes handle a record: the batches of the dispatchers, the records of the
views.

A record that cannot be understood raises `Untranslatable`; the readers skip such a record
(`services.chassis.kafka.poison`).
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from chapar.common.v1.webhook_pb2 import WebhookNotice
from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.clock import Clock
from services.chassis.kafka.poison import Poison
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.metrics import Metrics
from services.chassis.privacy.lanes import AwaitedKeys, when_ready
from services.chassis.privacy.sealing import DataKey, Keys, is_erased
from services.feedback.adapters import webhook_responses
from services.feedback.adapters.configuration import ConfiguredProgrammes
from services.feedback.adapters.conversation_batches import ConversationBatches, Waiting
from services.feedback.adapters.handlers import Dispatcher, due
from services.feedback.adapters.recoveries import RecoveryDispatcher
from services.feedback.adapters.scores_view import FeedbackGauges, ScoresView
from services.feedback.adapters.views import ResponsesView
from services.feedback.domain.reasons import Reason
from services.feedback.translate.records import Untranslatable, opened_record, parse_record, unsealed
from services.feedback.translate.scores import PROGRESS, parse_score, parse_score_key
from services.webhooks.retries import Webhooks

Batch = Callable[[list[Record]], Awaitable[None]]
_DAY_MS = 86_400_000


def invitations(
    dispatcher: Dispatcher,
    keys: AwaitedKeys,
    poison: Poison,
    metrics: Metrics,
    concurrency: int,
    waiting: Waiting | None = None,
) -> Batch:
    """Return a batch handler that sends the invitations that are due, those of up to `concurrency` conversations at the
    same time. An invited person first gets the key that encrypts their responses. `waiting`: shows what is not sent yet.

    This group alone writes dead letters for undecodable records of feedback.responses.v1.
    """
    outcomes = metrics.counter("chapar_feedback_invitations_total")

    async def send(parsed: pb.FeedbackRecord) -> None:
        await keys.ensure(parsed.tenant, parsed.person_id)
        outcome = await dispatcher.dispatch(parsed)
        made = due(parsed)
        if made is not None:
            outcomes.labels(parsed.tenant, made.subject.channel, outcome).inc()

    batches = ConversationBatches(send, concurrency, waiting)

    async def handle(records: list[Record]) -> None:
        found: list[tuple[Record, pb.FeedbackRecord, str]] = []
        undecodable: list[tuple[Record, InvalidRecord]] = []
        for record in records:
            try:
                parsed = parse_record(record.value)
            except Untranslatable as error:
                undecodable.append((record, InvalidRecord(Reason.UNDECODABLE, str(error))))
                continue
            made = parsed.invited if parsed.HasField("invited") else due(parsed)
            if made is not None:
                found.append((record, parsed, made.subject.conversation_id))
        await batches.handle(found)
        # Afterwards, so that a batch that comes again writes no dead letter twice.
        for record, verdict in undecodable:
            await poison.bury(record, verdict)

    return handle


def recoveries(dispatcher: RecoveryDispatcher, metrics: Metrics, concurrency: int) -> Batch:
    """Return a batch handler that opens the recoveries that are due, of up to `concurrency` conversations at the same
    time."""
    outcomes = metrics.counter("chapar_feedback_recoveries_total")

    async def open_one(parsed: pb.FeedbackRecord) -> None:
        if await dispatcher.dispatch(parsed) == "refused":
            outcomes.labels("refused").inc()

    batches = ConversationBatches(open_one, concurrency)

    async def handle(records: list[Record]) -> None:
        found: list[tuple[Record, pb.FeedbackRecord, str]] = []
        for record in records:
            try:
                parsed = parse_record(record.value)
            except Untranslatable:
                continue  # the dispatcher's group reports it
            if parsed.HasField("recovery_due"):
                found.append((record, parsed, parsed.recovery_due.subject.conversation_id))
        await batches.handle(found)

    return handle


def responses_to_webhooks(
    webhooks: Webhooks, programmes: ConfiguredProgrammes, keys: AwaitedKeys, clock: Clock
) -> Batch:
    """Return a batch handler that notifies other systems of responses."""

    async def notify(records: list[Record]) -> None:
        found: list[WebhookNotice] = []
        sealed_with: dict[str, DataKey] = {}
        await keys.ready(record.value for record in records)
        for record in records:
            try:
                parsed = parse_record(record.value)
                key = unsealed(parsed, keys, record)
            except Untranslatable:
                continue  # the dispatcher's group reports it
            # A new group does not report responses from days ago.
            if is_erased(parsed) or clock() - parsed.occurred_at_ms >= _DAY_MS:
                continue
            notices = webhook_responses.notices(
                parsed, programmes.webhooks(parsed.tenant), programmes.counting(parsed.tenant)
            )
            found += notices
            if key is not None:
                sealed_with |= {notice.message_id: key for notice in notices}
        await webhooks.tell(found, sealed_with)

    return notify


async def follow_responses(
    records: AsyncGenerator[Record, None], view: ResponsesView, keys: AwaitedKeys, poison: Poison
) -> None:
    """Put the records of feedback.responses.v1 into the view, until cancelled."""
    async with aclosing(records):
        async for record in records:
            await when_ready(keys, record)
            take_response(view, keys, poison, record)


async def follow_scores(
    records: AsyncGenerator[Record, None], view: ScoresView, gauges: FeedbackGauges, poison: Poison
) -> None:
    """Put the records of feedback.scores.v1 into the view and the gauges, until cancelled."""
    async with aclosing(records):
        async for record in records:
            take_score(view, gauges, poison, record)


def take_response(view: ResponsesView, keys: Keys, poison: Poison, record: Record) -> None:
    """Put one record of feedback.responses.v1 into the view."""
    poison.guard(record, lambda each: view.take(opened_record(each, keys)))


def take_score(view: ScoresView, gauges: FeedbackGauges, poison: Poison, record: Record) -> None:
    """Put one record of feedback.scores.v1 into the view."""

    def take(each: Record) -> None:
        if each.value is None:
            view.drop(*parse_score_key(each.key))
            return
        dimension, partition, counts = parse_score(each.value)
        if dimension != PROGRESS:
            view.take(dimension, partition, counts)
            gauges.show(view, dimension)

    poison.guard(record, take)
