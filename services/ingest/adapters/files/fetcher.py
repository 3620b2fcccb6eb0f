"""Fetches files from their providers, until each is stored or can't be. No file is lost, and no other work is delayed.

    intake lane ──ingest.fetches.v1──▶ a few tries ──▶ stored, or refused ──▶ conversations.v1
                                          │
                                          ▼ not now
                                   ingest.waiting-fetches.v1 ──after `delay`──▶ the next tries … ──older than `give_up`──▶ refused

- At least once: a crash between storing and committing fetches the file again. Its id, its place and the record about it are
  the same again, so no reader sees a difference.
- The second topic has one delay, so the records in it are due in their order.
- An account whose provider is away, or asks to wait, rests: its other files go to the next round untried, and other accounts
  do not wait for its time-outs.
- Address and token are looked up at each try, so a corrected configuration helps the files that already wait.
- A file of a person who was erased is not fetched, and if it was being fetched, it is deleted.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from chapar.ingest.v1 import records_pb2
from services.chassis.clock import Clock
from services.chassis.errors import ChaparError
from services.chassis.ids import derive
from services.chassis.kafka.producer import DurableProducer
from services.chassis.kafka.records import InvalidRecord, Record
from services.chassis.keys import tenant_key
from services.chassis.logs import get_logger
from services.chassis.metrics import Metrics
from services.chassis.pacing import Rate
from services.chassis.privacy.lanes import AwaitedKeys, when_ready
from services.chassis.privacy.sealing import DataKey, Unsealable, seal, unseal
from services.ingest.adapters.files.sources import FetchFailed, FileSource
from services.ingest.adapters.out.account import SendingAccount, Unconfigured
from services.ingest.domain import fetching
from services.ingest.domain.channel_rules import ChannelRules, account_rate, channel_rules
from services.ingest.domain.fetching import FetchLimits, FetchOutcome, NotFetched
from services.ingest.domain.files.places import FilePlace
from services.ingest.domain.files.policy import FileRefusal
from services.ingest.domain.limits import Moments
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Files, Kept, Secrets
from services.ingest.translate import headers
from services.ingest.translate.attachments import name_thumbnail
from services.ingest.translate.fetches import settled_record
from services.ingest.translate.headers import CONVERSATIONS, FETCHES, WAITING_FETCHES
from services.policy.model.intake import Policies

GROUP: Final = "ingest-fetcher"
AGAIN_GROUP: Final = "ingest-fetcher-again"
_AT_ONCE: Final = 4
_LIMITS: Final = FetchLimits()
_Account = tuple[str, str, str]
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A file to fetch, and the key that sealed the request. The same key seals what is written about it: a new key would
    outlive an erasure."""

    fetch: records_pb2.FileFetch
    key: DataKey

    @property
    def account(self) -> _Account:
        return self.fetch.tenant, self.fetch.channel, self.fetch.account


class Fetcher:
    """The two handlers, for GroupConsumer: `first` and `again`."""

    def __init__(
        self,
        files: Files,
        sources: Mapping[str, FileSource],
        policies: Policies,
        secrets: Secrets,
        producer: DurableProducer,
        keys: AwaitedKeys,
        metrics: Metrics,
        *,
        clock: Clock,
        limits: FetchLimits = _LIMITS,
    ) -> None:
        self._files = files
        self._sources = sources
        self._policies = policies
        self._secrets = secrets
        self._producer = producer
        self._keys = keys
        self._clock = clock
        self._limits = limits
        self._resting: dict[_Account, int] = {}
        self._moments: dict[tuple[float, float], Moments] = {}
        self._fetches = metrics.counter("chapar_file_fetches_total")
        self._total = metrics.counter("chapar_files_total")
        self._bytes = metrics.counter("chapar_files_bytes_total")

    async def first(self, records: Sequence[Record]) -> None:
        """Handle new requests. Raises InvalidRecord, and BrokerUnavailable when a result can't be stored."""
        await self._all([await self._read(record) for record in records])

    async def again(self, records: Sequence[Record]) -> None:
        """Handle requests that wait: wait until they are due. Raises as `first`."""
        waiting = [asked for record in records if (asked := await self._read(record)) is not None]
        waiting.sort(key=lambda asked: asked.fetch.due_at_ms)
        while waiting:
            await asyncio.sleep(min(max(0, waiting[0].fetch.due_at_ms - self._clock()), self._limits.delay_ms) / 1000)
            now_ms = self._clock()
            # A clock that was set back must not delay anything: no record ever waits longer than the delay.
            due = [each for each in waiting if each.fetch.due_at_ms <= now_ms] or waiting[:1]
            waiting = waiting[len(due) :]
            await self._all(due)

    async def _all(self, asked: Sequence[_Asked | None]) -> None:
        places: dict[_Account, asyncio.Semaphore] = {}
        until_ms = self._clock() + self._limits.round_ms
        wanted = [each for each in asked if each is not None]
        for each in wanted:
            places.setdefault(each.account, asyncio.Semaphore(_AT_ONCE))
        # All are awaited: a batch that is passed again must not run beside itself.
        ended = await asyncio.gather(
            *(self._one(each, places[each.account], until_ms) for each in wanted), return_exceptions=True
        )
        for error in ended:
            if error is not None:
                raise error

    async def _one(self, asked: _Asked, places: asyncio.Semaphore, until_ms: int) -> None:
        fetch = asked.fetch
        fetch.first_at_ms = fetch.first_at_ms or self._clock()
        async with places:
            found = await self._tried(asked, until_ms)
        if self._erased(asked):
            await self._files.forget(fetch.tenant, fetch.attachment.owner_id)
            self._count(fetch, "erased")
        elif isinstance(found, Kept):
            await self._settle(asked, found)
        elif found.outcome is FetchOutcome.REFUSED:
            await self._refuse(asked, found.refusal, found.reason)
        elif self._clock() - fetch.first_at_ms >= self._limits.give_up_ms:
            await self._refuse(asked, FileRefusal.NOT_FETCHED, found.reason)
        else:
            await self._wait(asked, found)

    async def _tried(self, asked: _Asked, until_ms: int) -> Kept | NotFetched:
        """Try a few times, until a time. Every failure is a result."""
        fetch, tries = asked.fetch, 0
        if self._files.policy.of_size(fetch.attachment.size):
            return fetching.TOO_LARGE
        while True:
            if self._erased(asked):
                return fetching.GONE
            now_ms = self._clock()
            if now_ms < self._resting.get(asked.account, 0) or now_ms > until_ms:
                return NotFetched(FetchOutcome.AGAIN, fetch.last_reason or Reason.ACCOUNT_RESTS)
            await self._turn(asked)
            tries += 1
            fetch.attempts += 1
            found = await self._try(asked)
            if isinstance(found, Kept):
                self._resting.pop(asked.account, None)
                return found
            failed, of_account = found
            wait_ms = fetching.wait_ms(self._limits, tries, failed)
            if wait_ms is None:
                rest_ms = fetching.rest_ms(self._limits, failed, of_account=of_account)
                if rest_ms:
                    self._resting[asked.account] = self._clock() + rest_ms
                return failed
            self._count(fetch, "again")
            await asyncio.sleep(wait_ms / 1000)

    async def _try(self, asked: _Asked) -> Kept | tuple[NotFetched, bool]:
        """Return the file, or why it was not fetched and whether the reason is the account's."""
        fetch = asked.fetch
        source, account = self._sources.get(fetch.channel), self._account(fetch)
        if source is None or account is None:
            return NotFetched(FetchOutcome.HALTED, Reason.ACCOUNT_NOT_CONFIGURED), True
        file = fetch.attachment
        place = FilePlace(fetch.tenant, file.owner_id, file.file_id)
        try:
            async with source.opened(file.reference, account) as pieces:
                return await self._files.keep(place, file.name, pieces)
        except FetchFailed as error:
            return error.failed, error.of_account
        except Unconfigured as error:
            return NotFetched(FetchOutcome.HALTED, error.reason[:60]), True
        except ChaparError as error:  # the file store, the keys, or the reference to a secret
            return NotFetched(FetchOutcome.AGAIN, error.reason), False

    async def _turn(self, asked: _Asked) -> None:
        """Wait for the account's pace."""
        account, rules = self._account(asked.fetch), channel_rules(asked.fetch.channel) or ChannelRules()
        limits = account_rate(rules, account.policy) if account is not None else (rules.per_second, rules.burst)
        moments = self._moments.setdefault(limits, Moments(Rate(*limits)))
        now_ms = self._clock()
        await asyncio.sleep((moments.reserve("/".join(asked.account), now_ms) - now_ms) / 1000)

    # ---- what is written

    async def _settle(self, asked: _Asked, kept: Kept) -> None:
        if kept.refusal is not FileRefusal.NONE:
            await self._refuse(asked, kept.refusal, kept.refusal.name, kept)
            return
        fetch = asked.fetch
        file = records_pb2.Attachment()
        file.CopyFrom(fetch.attachment)
        file.state, file.name, file.content_type = records_pb2.ATTACHMENT_STATE_STORED, kept.name, kept.content_type
        file.size, file.sha256 = kept.size, kept.sha256
        name_thumbnail(file)
        await self._publish(asked, file)
        self._count(fetch, "fetched")
        self._total.labels(fetch.tenant, fetch.channel, "stored").inc()
        self._bytes.labels(fetch.tenant, fetch.channel).inc(kept.size)

    async def _refuse(self, asked: _Asked, refusal: FileRefusal, reason: str, kept: Kept | None = None) -> None:
        fetch = asked.fetch
        file = records_pb2.Attachment()
        file.CopyFrom(fetch.attachment)
        file.state = records_pb2.ATTACHMENT_STATE_REFUSED
        file.refusal = records_pb2.AttachmentRefusal.ValueType(refusal)
        if kept is not None:
            file.content_type = kept.content_type or file.content_type
        await self._publish(asked, file)
        log.info("a file is not fetched", tenant=fetch.tenant, file_id=file.file_id, reason=reason)
        self._count(fetch, "refused" if refusal is not FileRefusal.NOT_FETCHED else "given_up")
        self._total.labels(fetch.tenant, fetch.channel, refusal.name.lower()).inc()

    async def _publish(self, asked: _Asked, file: records_pb2.Attachment) -> None:
        fetch = asked.fetch
        record = settled_record(fetch, file, self._clock(), derive)
        key = tenant_key(fetch.tenant, fetch.conversation_id)
        named = headers.of_conversation(record)
        await self._producer.publish(CONVERSATIONS, key, seal(record, asked.key, CONVERSATIONS, key), named)

    async def _wait(self, asked: _Asked, failed: NotFetched) -> None:
        waits = records_pb2.FileFetch()
        waits.CopyFrom(asked.fetch)
        waits.due_at_ms, waits.last_reason = self._clock() + self._limits.delay_ms, failed.reason
        key = tenant_key(waits.tenant, waits.conversation_id)
        named = headers.of_fetch(waits, WAITING_FETCHES)
        await self._producer.publish(WAITING_FETCHES, key, seal(waits, asked.key, WAITING_FETCHES, key), named)
        self._count(waits, "halted" if failed.outcome is FetchOutcome.HALTED else "again")

    # ---- internal

    async def _read(self, record: Record) -> _Asked | None:
        """Return the request; None when its person was erased. Raises InvalidRecord."""
        await when_ready(self._keys, record)
        try:
            fetch = records_pb2.FileFetch.FromString(record.value or b"")
            key = unseal(fetch, self._keys, record.topic, record.key or b"")
        except DecodeError as error:
            raise InvalidRecord(Reason.UNDECODABLE, "not a FileFetch") from error
        except Unsealable as error:
            raise InvalidRecord(Reason.UNSEALABLE, str(error)) from error
        if fetch.sealed:
            self._count(fetch, "erased")
            return None
        if key is None or not fetch.attachment.file_id or not fetch.message_id:
            raise InvalidRecord(Reason.INCOMPLETE, "a fetch needs its file, its message and its key")
        return _Asked(fetch, key)

    def _erased(self, asked: _Asked) -> bool:
        return self._keys.find(asked.key.key_id) is None

    def _account(self, fetch: records_pb2.FileFetch) -> SendingAccount | None:
        policy = self._policies().get(fetch.tenant)
        found = policy.accounts.get((fetch.channel, fetch.account)) if policy is not None else None
        return SendingAccount(fetch.tenant, found, self._secrets) if found is not None else None

    def _count(self, fetch: records_pb2.FileFetch, outcome: str) -> None:
        self._fetches.labels(fetch.tenant, fetch.channel, outcome).inc()


__all__ = ["AGAIN_GROUP", "FETCHES", "GROUP", "WAITING_FETCHES", "Fetcher"]
