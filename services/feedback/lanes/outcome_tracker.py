"""Counting in the survey lane: first contacts, categories, recoveries. State and records go through the lane's own
transaction.

Its entries in the changelog begin with "f/" (series of contacts) and "r/" (recoveries). Event ids name the event: a
first contact is settled once, an invitation's recovery is due once and opened once.
"""

from collections.abc import Callable
from typing import Final, assert_never

from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.ids import derive
from services.chassis.kafka.headers import record_headers
from services.chassis.kafka.lane import InvalidRecord, Outbox
from services.chassis.keys import tenant_key
from services.chassis.metrics import Metrics
from services.feedback.domain.contacts import (
    ContactEffect,
    Contacts,
    DropContactSeries,
    KeepContactSeries,
    Outcome,
    Settled,
)
from services.feedback.domain.reasons import Reason
from services.feedback.domain.recovery import Recoveries
from services.feedback.translate import counting as translate
from services.feedback.translate import kept
from services.feedback.translate.records import Untranslatable
from services.policy.model.counting import Counting, Disposition

OUTPUT: Final = "feedback.responses.v1"
REMEMBERED_MS: Final = 90 * 86_400_000
"""How long it is remembered that an invitation has had its recovery: longer than any response may be amended."""
_COUNTED: Final = frozenset({"consider", "contact", "recovery"})
_THREAD: Final = b"f/"
_OPENED: Final = b"r/"


class OutcomeTracker:
    """Counting of one partition. `counting`: returns a tenant's configuration as it is now."""

    def __init__(self, counting: Callable[[str], Counting], metrics: Metrics) -> None:
        self._counting = counting
        self._contacts = Contacts()
        self._recoveries = Recoveries()
        self._settled = metrics.counter("chapar_feedback_first_contacts_total")
        self._recovered = metrics.counter("chapar_feedback_recoveries_total")

    def restore(self, key: bytes, value: bytes) -> bool:
        """Restore an entry; returns False for an entry that does not belong to counting."""
        if key.startswith(_THREAD):
            self._contacts.restore(kept.decode_series(value))
        elif key.startswith(_OPENED):
            self._recoveries.restore(kept.decode_opened(value))
        else:
            return False
        return True

    def handle(self, record: pb.FeedbackCommand, now_ms: int, outbox: Outbox) -> bool:
        """Handle a command. Returns True if the command was for counting alone."""
        which = record.WhichOneof("command")
        if which not in _COUNTED:
            return False
        try:
            if which == "recovery":
                self._note_opened(record, now_ms, outbox)
            else:
                window_ms = self._counting(record.tenant).first_contact_window_ms
                contact, outcome = translate.contact(record), self._outcome(record)
                self._perform(self._contacts.handle(contact, window_ms, outcome), now_ms, outbox)
        except Untranslatable as error:
            raise InvalidRecord(Reason.UNDECODABLE, str(error)) from error
        return which != "consider"

    def disposition(self, record: pb.FeedbackCommand) -> Disposition:
        """Return what the disposition of a completed interaction means."""
        return self._counting(record.tenant).disposition(record.consider.disposition)

    def end(self, record: pb.FeedbackCommand, now_ms: int, outbox: Outbox) -> None:
        """Note an interaction that ended without being completed; other commands change nothing."""
        if record.WhichOneof("command") == "interaction_end":
            ended = self._contacts.end(record.tenant, record.interaction_end.interaction_id)
            self._perform(ended, now_ms, outbox)

    def _outcome(self, record: pb.FeedbackCommand) -> Outcome:
        if record.WhichOneof("command") != "consider":
            return Outcome.OPEN
        return Outcome.NO_CONTACT if self.disposition(record).no_further_work else Outcome.ENDED

    def follow(self, record: pb.FeedbackRecord, outbox: Outbox) -> None:
        """After a record is written, open a recovery for a bad response."""
        response = translate.counted_response(record)
        if response is None:
            return
        rules = self._counting(record.tenant).recoveries
        forget_at_ms = record.occurred_at_ms + REMEMBERED_MS
        decided = self._recoveries.decide(response.invitation_id, rules, translate.judgement(response), forget_at_ms)
        if decided is None:
            return
        rule, score, opened = decided
        outbox.put(_opened_key(opened.invitation_id), kept.encode(opened))
        event_id = derive(response.invitation_id, "recovery due")
        _send(translate.recovery_due(rule, score, response, record, event_id), outbox)
        outbox.after_commit(self._recovered.labels("due").inc)

    def forget(self, tenant: str, person_id: str, now_ms: int, outbox: Outbox) -> int:
        """Remove the person's series of contacts, for an erasure; returns their number."""
        dropped = self._contacts.forget(tenant, person_id)
        self._perform(dropped, now_ms, outbox)
        return len(dropped)

    def advance(self, now_ms: int, outbox: Outbox) -> None:
        """Apply the timers that are due."""
        self._perform(self._contacts.advance(now_ms), now_ms, outbox)
        for invitation_id in self._recoveries.forget(now_ms):
            outbox.delete(_opened_key(invitation_id))

    def next_wakeup(self) -> int | None:
        """Return when `advance` should be called next."""
        wakeups = [at for at in (self._contacts.next_wakeup(), self._recoveries.next_wakeup()) if at is not None]
        return min(wakeups, default=None)

    def _perform(self, effects: list[ContactEffect], now_ms: int, outbox: Outbox) -> None:
        for effect in effects:
            match effect:
                case Settled(series, resolved):
                    event_id = derive(series.first.interaction_id, "first contact")
                    _send(translate.settled_record(effect, event_id, now_ms, self._counting(series.tenant)), outbox)
                    outbox.after_commit(self._settled.labels("resolved" if resolved else "again").inc)
                case KeepContactSeries(series):
                    outbox.put(_series_key(series.key), kept.encode(series))
                case DropContactSeries(key):
                    outbox.delete(_series_key(key))
                case _ as never:
                    assert_never(never)

    def _note_opened(self, command: pb.FeedbackCommand, now_ms: int, outbox: Outbox) -> None:
        opened = self._recoveries.note_opened(command.recovery.invitation_id)
        if opened is None:
            return
        outbox.put(_opened_key(opened.invitation_id), kept.encode(opened))
        record = pb.FeedbackRecord(
            event_id=derive(opened.invitation_id, "recovery opened"),
            tenant=command.tenant,
            person_id=command.person_id,
            occurred_at_ms=now_ms,
            recovery_opened=pb.RecoveryOpened(
                invitation_id=opened.invitation_id,
                interaction_id=command.recovery.interaction_id,
                subject=command.recovery.subject,
            ),
        )
        _send(record, outbox)
        outbox.after_commit(self._recovered.labels("opened").inc)


def _send(record: pb.FeedbackRecord, outbox: Outbox) -> None:
    key = tenant_key(record.tenant, record.person_id)
    outbox.send(OUTPUT, key, record.SerializeToString(), record_headers(OUTPUT, record.event_id, record.tenant))


def _opened_key(invitation_id: str) -> bytes:
    return _OPENED + invitation_id.encode("utf-8", "surrogatepass")


def _series_key(key: tuple[str, str, str]) -> bytes:
    return _THREAD + "/".join(f"{len(part)}:{part}" for part in key).encode("utf-8", "surrogatepass")
