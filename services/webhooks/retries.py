"""Notifies other systems until they accept a notice, or a day has passed. No notice is lost, and no other work is delayed.

    notice ──▶ an attempt ──▶ taken
                  │  └──────▶ gone, or no such webhook any more ──▶ dead letter
                  ▼ not taken
            <service>.webhooks.v1 ──after `delay`──▶ the next attempt … ──older than `give_up`──▶ dead letter

- At least once: a crash between an attempt and its commit repeats it. The receiver drops repetitions by `webhook-id`.
- The topic has one delay, so the records in it are due in their order: if a record is not due yet, no record behind it is.
- A receiver that has failed is skipped for the rest of the round: its other notices go to the next round untried, and other
  receivers do not wait for its time-outs.
- Address and secrets are looked up at each attempt, so a corrected configuration helps the notices that already wait.
  `chapar deadletters replay` puts notices back that were given up, and their day begins again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from google.protobuf.message import DecodeError

from chapar.common.v1.webhook_pb2 import WebhookNotice
from services.chassis.clock import Clock
from services.chassis.kafka.consumer import NotNow
from services.chassis.kafka.deadletters import DEAD_LETTERS, dead_letter_headers, encode
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.producer import BrokerUnavailable, DurableProducer
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.chassis.outgoing import Outgoing
from services.chassis.privacy.lanes import AwaitedKeys, when_ready
from services.chassis.privacy.sealing import DataKey, Unsealable, is_erased, seal, unseal
from services.chassis.reasons import Reason
from services.chassis.secrets import SecretReferences
from services.policy.model.webhook_keys import key_of
from services.policy.model.webhooks import Endpoint
from services.webhooks.delivery import GONE, TAKEN, attempt

_AT_ONCE: Final = 8
log = get_logger(__name__)

Endpoints = Callable[[str, str], Endpoint | None]
"""Returns the webhook of a tenant by name, as configured now."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a receiver; milliseconds."""

    delay_ms: int = 30_000
    give_up_ms: int = 86_400_000


@dataclass(frozen=True, slots=True)
class _Told:
    """A notice, and the key of its person if it was sealed. The same key seals it again: a new key would outlive an erasure."""

    notice: WebhookNotice
    key: DataKey | None


class Webhooks:
    """The notices of one service. `topic` (logical) holds those that wait."""

    def __init__(
        self,
        topic: str,
        endpoints: Endpoints,
        secrets: SecretReferences,
        client: Outgoing,
        producer: DurableProducer,
        clock: Clock,
        metrics: Metrics,
        patience: Patience = Patience(),
        keys: AwaitedKeys | None = None,
    ) -> None:
        """`keys`: of persons, for services whose notices are about a person (`WebhookNotice.person_id`)."""
        self._keys = keys
        self._topic = topic
        self._endpoints = endpoints
        self._secrets = secrets
        self._client = client
        self._producer = producer
        self._clock = clock
        self._attempts = metrics.counter("chapar_webhook_attempts_total")
        self._given_up = metrics.counter("chapar_webhook_dead_letters_total")
        self._patience = patience

    async def tell(self, notices: Iterable[WebhookNotice], keys: Mapping[str, DataKey] = MappingProxyType({})) -> None:
        """Return when each is accepted, waits durably, or is a dead letter. Raises NotNow when the broker cannot store those that must wait.

        `keys`: by message id, the keys that sealed the records that the notices repeat. A notice whose key was destroyed
        meanwhile is dropped. A notice without a key contains nothing that had to be sealed.
        """
        await self._tell(_Told(notice, keys.get(notice.message_id)) for notice in notices)

    async def _tell(self, told: Iterable[_Told]) -> None:
        by_receiver: dict[tuple[str, str], list[_Told]] = {}
        for each in told:
            notice = each.notice
            if not notice.first_at_ms:
                notice.first_at_ms = self._clock()
            by_receiver.setdefault((notice.tenant, notice.webhook), []).append(each)
        try:
            await asyncio.gather(*(self._tell_one(*names, waiting) for names, waiting in by_receiver.items()))
        except BrokerUnavailable as error:
            raise NotNow("the notices were not accepted and cannot be stored") from error

    async def again(self, records: Sequence[Record]) -> None:
        """Handle records of the topic, for GroupConsumer: wait until the records are due, and try again."""
        waiting: list[_Told] = []
        for record in records:
            told = await self._read(record)
            if told is None:
                log.error("notice not understood", partition=record.partition, offset=record.offset)
                verdict = InvalidRecord(Reason.UNDECODABLE, "not a WebhookNotice")
                await self._bury(record, verdict)
                continue
            notice = told.notice
            if is_erased(notice):
                log.info("a notice about an erased person is dropped", tenant=notice.tenant, webhook=notice.webhook)
                continue
            if any(name == "replayed" for name, _ in record.headers):
                notice.first_at_ms = self._clock()
            waiting.append(told)
        waiting.sort(key=lambda told: told.notice.due_at_ms)
        while waiting:
            wait_ms = min(waiting[0].notice.due_at_ms - self._clock(), self._patience.delay_ms)
            await asyncio.sleep(max(0, wait_ms) / 1000)
            now_ms = self._clock()
            # A clock that was set back must not delay anything: no record ever waits longer than the delay.
            due = [each for each in waiting if each.notice.due_at_ms <= now_ms] or waiting[:1]
            waiting = waiting[len(due) :]
            await self._tell(due)

    async def _tell_one(self, tenant: str, name: str, waiting: list[_Told]) -> None:
        endpoint = self._endpoints(tenant, name)
        if endpoint is None:
            for told in waiting:
                await self._give_up(told, Reason.UNKNOWN_WEBHOOK)
            return
        failed = ""
        for first in range(0, len(waiting), _AT_ONCE):
            some = waiting[first : first + _AT_ONCE]
            if failed:
                await asyncio.gather(*(self._wait(told) for told in some))
                continue
            reasons = await asyncio.gather(*(self._attempt(endpoint, told) for told in some))
            failed = next((reason for reason in reasons if reason not in (TAKEN, GONE)), "")
        if failed:
            log.warning("a webhook does not accept its notices", tenant=tenant, webhook=name, reason=failed)

    async def _attempt(self, endpoint: Endpoint, told: _Told) -> str:
        if self._erased(told):
            return TAKEN
        notice = told.notice
        keys = [key_of(self._secrets.read(notice.tenant, reference)) for reference in endpoint.secrets]
        usable = [key for key in keys if key is not None]
        reason = "SECRET_UNREADABLE"
        if usable:
            reason = await attempt(
                self._client, notice.tenant, endpoint.url, usable, notice.message_id, notice.body, self._clock()
            )
        self._attempts.labels("taken" if reason == TAKEN else "not_taken").inc()
        if reason == TAKEN:
            return reason
        notice.attempts += 1
        notice.last_reason = reason
        if reason == GONE or self._clock() - notice.first_at_ms >= self._patience.give_up_ms:
            await self._give_up(told, reason)
        else:
            await self._wait(told)
        return reason

    async def _wait(self, told: _Told) -> None:
        notice = told.notice
        notice.due_at_ms = self._clock() + self._patience.delay_ms
        if not self._erased(told):
            headers = record_headers(self._topic, notice.message_id, notice.tenant)
            await self._producer.publish(self._topic, _key(notice), self._sealed(told), headers)

    async def _give_up(self, told: _Told, reason: str) -> None:
        if self._erased(told):
            return
        notice = told.notice
        log.error("a webhook was given up", tenant=notice.tenant, webhook=notice.webhook, reason=reason)
        self._given_up.labels(reason).inc()
        notice.due_at_ms = 0  # when it is replayed it is tried at once
        origin = Record(self._topic, -1, -1, notice.first_at_ms, _key(notice), self._sealed(told), ())
        await self._bury(origin, InvalidRecord(f"WEBHOOK_{reason}", f"{notice.webhook}, {notice.attempts} attempts"))

    def _erased(self, told: _Told) -> bool:
        """Whether its person was erased while it waited here: the notice is not sent and not written again."""
        return told.key is not None and self._keys is not None and self._keys.find(told.key.key_id) is None

    def _sealed(self, told: _Told) -> bytes:
        """Return the notice for the log. Sealing removes the body, and the notice may be tried again from memory: so a copy is sealed."""
        if told.key is None:
            return told.notice.SerializeToString()
        copy = WebhookNotice()
        copy.CopyFrom(told.notice)
        return seal(copy, told.key, self._topic, _key(told.notice))

    async def _read(self, record: Record) -> _Told | None:
        key: DataKey | None = None
        try:
            notice = WebhookNotice.FromString(record.value or b"")
            if self._keys is not None:
                await when_ready(self._keys, record)
                key = unseal(notice, self._keys, self._topic, record.key or b"")
        except (DecodeError, Unsealable):
            return None
        return _Told(notice, key) if notice.webhook and notice.message_id else None

    async def _bury(self, record: Record, verdict: InvalidRecord) -> None:
        letter = encode(record, verdict, self._topic.partition(".")[0], self._clock())
        try:
            await self._producer.publish(DEAD_LETTERS, record.key or b"", letter, dead_letter_headers(record))
        except BrokerUnavailable as error:
            raise NotNow("the dead letter cannot be stored") from error


def _key(notice: WebhookNotice) -> bytes:
    return f"{notice.tenant}/{notice.webhook}".encode("utf-8", "surrogatepass")
