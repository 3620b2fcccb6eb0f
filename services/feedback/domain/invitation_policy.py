"""Which customers are invited, when, and which response counts: the invitations of one partition. docs/feedback.md is the specification.

- One invitation per interaction and survey. Spam and automatic mail never get an invitation, not even by hand.
- A waiting invitation is replaced by one about a later contact of the same conversation, which takes its place in the sample.
- Minimum gap and window of a person: `domain.people`. Quiet hours: `domain.quiet`. Both are checked when the invitation is planned and
  again when it is sent.
- An invitation by hand (`Invite`) bypasses sampling, the survey's delay and, if it names the survey, that survey's filters; nothing else.
- There is one reminder, a configured time after the sending, while there is no response. A reminder at the expiry or later is left out.
- The first valid response counts and may be amended until it is closed. The same command again changes nothing.
- An invitation leaves memory a grace period after its expiry: until then a late response is EXPIRED, after that UNKNOWN_INVITATION.

`handle` and `advance` return effects in order and have already changed the state; the caller writes `Keep…` and `Drop…` to the changelog.
Commands that change nothing have no effects.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import assert_never

from services.feedback.domain import people
from services.feedback.domain.invitations import (
    MOST_REVISIONS,
    Amended,
    Command,
    Consider,
    Counted,
    Created,
    Drop,
    DropHistory,
    Due,
    Effect,
    Expired,
    Given,
    Invitation,
    Invite,
    Keep,
    KeepHistory,
    NoteSent,
    NoteUndeliverable,
    RecordResponse,
    RefusalReason,
    Refused,
    ReminderDue,
    Skipped,
    SkipReason,
    Stage,
    WithdrawalReason,
    Withdrawn,
)
from services.feedback.domain.people import Sending, SurveyHistory
from services.feedback.domain.responses import same, weigh
from services.policy.model.surveys import Programme, Subject, Survey

ProgrammeOf = Callable[[str], Programme]
"""Returns a tenant's programme as it is configured now."""


class InvitationPolicy:
    """The invitations and the contact history of persons of one partition."""

    def __init__(self, derive: Callable[..., str]) -> None:
        """`derive(*parts)` derives an id from its parts, always the same one (UUIDv5)."""
        self._derive = derive
        self._invitations: dict[str, Invitation] = {}
        self._waiting: dict[tuple[str, str], set[str]] = {}
        """Invitations not sent yet, by tenant and conversation."""
        self._histories: dict[tuple[str, str], SurveyHistory] = {}
        self._timers: list[tuple[int, str, tuple[str, ...]]] = []

    def restore(self, kept: Invitation | SurveyHistory) -> None:
        """Restore an entry from the changelog."""
        if isinstance(kept, Invitation):
            self._keep(kept)
        else:
            self._keep_history(kept)

    def handle(self, command: Command, programme: Programme, now_ms: int) -> list[Effect]:
        """Decide one command."""
        match command:
            case Consider():
                return self._consider(command, programme, now_ms)
            case Invite():
                return self._invite(command, programme, now_ms)
            case RecordResponse():
                return self._record_response(command, programme, now_ms)
            case NoteSent():
                return self._note_sent(command)
            case NoteUndeliverable():
                return self._note_undeliverable(command, programme, now_ms)
            case _ as never:
                assert_never(never)

    def advance(self, now_ms: int, programme_of: ProgrammeOf) -> list[Effect]:
        """Apply every timer that is due, in order of time."""
        effects: list[Effect] = []
        while self._timers and self._timers[0][0] <= now_ms:
            at_ms, what, key = heapq.heappop(self._timers)
            if what == "asked":
                effects += self._forget_asked((key[0], key[1]), at_ms)
                continue
            invitation = self._invitations.get(key[0])
            # A timer that a response or a later stage has overtaken no longer belongs to this invitation.
            if invitation is not None and invitation.wakes_at_ms == at_ms:
                effects += self._step(invitation, programme_of(invitation.tenant), now_ms)
        return effects

    def forget(self, tenant: str, person_id: str) -> tuple[list[Effect], dict[str, int]]:
        """Remove the person's invitations with their responses, and the times of invitations, for an erasure. Also
        returns the number of removed entries, by kind."""
        mine = [
            each for each in self._invitations.values() if (each.tenant, each.subject.person_id) == (tenant, person_id)
        ]
        effects: list[Effect] = []
        for each in mine:
            del self._invitations[each.invitation_id]
            waiting = self._waiting.get((tenant, each.subject.conversation_id))
            if waiting is not None:
                waiting.discard(each.invitation_id)
                if not waiting:
                    del self._waiting[tenant, each.subject.conversation_id]
            effects.append(Drop(each.invitation_id))
        if self._histories.pop((tenant, person_id), None) is not None:
            effects.append(DropHistory(tenant, person_id))
        return effects, {"invitations": len(mine), "responses": sum(each.given is not None for each in mine)}

    def next_wakeup(self) -> int | None:
        """Return when `advance` should be called next; it may then have nothing to do."""
        return self._timers[0][0] if self._timers else None

    @property
    def size(self) -> tuple[int, int]:
        """Number of invitations and of persons in memory."""
        return len(self._invitations), len(self._histories)

    def kept(self) -> Iterator[Invitation | SurveyHistory]:
        """Yield everything in memory, as `restore` accepts it."""
        yield from self._invitations.values()
        yield from self._histories.values()

    # Invitations

    def _consider(self, command: Consider, programme: Programme, now_ms: int) -> list[Effect]:
        survey = programme.choose(command.subject)
        if survey is None:
            return self._skip(command.subject, SkipReason.NO_SURVEY)
        planned_ms = command.completed_at_ms + survey.delay_ms
        silent = self._person(command.tenant, command.subject.person_id).silent(survey.silent_after_ms, now_ms)
        sampled = survey.samples(command.subject.interaction_id, silent=silent)
        return self._decide(command, survey, programme, planned_ms, now_ms, sampled=sampled)

    def _invite(self, command: Invite, programme: Programme, now_ms: int) -> list[Effect]:
        survey = programme.choose(command.subject, command.survey)
        if survey is None:
            return self._skip(command.subject, SkipReason.NO_SURVEY)
        return self._decide(command, survey, programme, now_ms, now_ms, sampled=True)

    def _decide(
        self,
        command: Consider | Invite,
        survey: Survey,
        programme: Programme,
        planned_ms: int,
        now_ms: int,
        *,
        sampled: bool,
    ) -> list[Effect]:
        subject = command.subject
        invitation_id = self._derive(command.tenant, subject.interaction_id, survey.name)
        known = self._invitations.get(invitation_id)
        if known is not None:
            if known.made_by == command.command_id:
                return []
            return self._skip(subject, SkipReason.ALREADY_INVITED)
        waiting = list(self._waiting_in(command.tenant, subject))
        if subject.never_asked:
            effects: list[Effect] = []
            for each in waiting:
                effects += self._withdraw(each, WithdrawalReason.NOT_ASKED, programme, now_ms)
            return [*effects, *self._skip(subject, SkipReason.NOT_ASKED)]
        if not (sampled or waiting):
            return self._skip(subject, SkipReason.SAMPLED_OUT)
        if planned_ms + survey.expires_after_ms <= now_ms:
            return self._skip(subject, SkipReason.TOO_LATE)
        send_at_ms = programme.after_quiet(survey, max(planned_ms, now_ms))
        person = self._person(command.tenant, subject.person_id)
        for each in waiting:
            person = person.without(each.invitation_id)
        sending = Sending(invitation_id, send_at_ms, survey.least_gap_ms, survey.window_ms, survey.most_in_window)
        fatigue = people.objection(person.known, sending)
        if fatigue is not None:
            return self._skip(subject, SkipReason(fatigue.value))
        invitation = Invitation(
            invitation_id=invitation_id,
            tenant=command.tenant,
            survey=survey.name,
            kind=survey.kind,
            subject=subject,
            question=programme.question(survey, subject.language),
            day=programme.day(send_at_ms),
            send_at_ms=send_at_ms,
            expires_at_ms=send_at_ms + survey.expires_after_ms,
            made_by=command.command_id,
            more=tuple(replace(question, texts={}) for question in survey.more),
            amend_for_ms=survey.amend_for_ms,
        )
        effects = []
        for each in waiting:
            effects += self._withdraw(each, WithdrawalReason.REPLACED, programme, now_ms)
        self._keep(invitation)
        effects += [Created(invitation), Keep(invitation)]
        effects += self._note(self._person(command.tenant, subject.person_id).having(sending), programme, now_ms)
        if send_at_ms <= now_ms:
            effects += self._step(invitation, programme, now_ms)
        return effects

    def _withdraw(
        self, invitation: Invitation, reason: WithdrawalReason, programme: Programme, now_ms: int
    ) -> list[Effect]:
        withdrawn = replace(invitation, stage=Stage.WITHDRAWN)
        self._keep(withdrawn)
        return [Withdrawn(withdrawn, reason), Keep(withdrawn), *self._unplan(withdrawn, programme, now_ms)]

    def _waiting_in(self, tenant: str, subject: Subject) -> Iterator[Invitation]:
        """Yield the waiting invitations of this person in this conversation."""
        for invitation_id in sorted(self._waiting.get((tenant, subject.conversation_id), ())):
            invitation = self._invitations[invitation_id]
            if subject.conversation_id and invitation.subject.person_id == subject.person_id:
                yield invitation

    # Responses

    def _record_response(self, command: RecordResponse, programme: Programme, now_ms: int) -> list[Effect]:
        invitation = self._invitations.get(command.invitation_id)
        # Another tenant's invitation does not exist for this tenant; nor does an invitation that was withdrawn.
        if (
            invitation is None
            or invitation.tenant != command.tenant
            or invitation.stage is Stage.WITHDRAWN
            or command.person_id not in ("", invitation.subject.person_id)
        ):
            return [Refused(command.invitation_id, RefusalReason.UNKNOWN_INVITATION)]
        if command.command_id in (invitation.answered_by, *invitation.counted_commands):
            return []
        counted = _weigh(invitation, command, now_ms)
        if isinstance(counted, RefusalReason):
            return [Refused(command.invitation_id, counted, invitation.subject.channel)]
        unsent = invitation.stage is Stage.WAITING
        answered = replace(
            invitation,
            stage=Stage.ANSWERED,
            answered_by=command.command_id,
            answered_at_ms=invitation.answered_at_ms or now_ms,
            counted_commands=(*invitation.counted_commands, command.command_id),
            given=counted,
        )
        self._keep(answered)
        before = invitation.given
        event: Effect = (
            Counted(answered, counted.score, counted.comment, counted.source, counted.answers, counted.categories)
            if before is None
            else Amended(answered, counted, before)
        )
        person = replace(self._person(invitation.tenant, invitation.subject.person_id), responded_at_ms=now_ms)
        if unsent:
            person = person.without(invitation.invitation_id)
        return [event, Keep(answered), *self._note(person, programme, now_ms)]

    def _note_sent(self, command: NoteSent) -> list[Effect]:
        invitation = self._invitations.get(command.invitation_id)
        if invitation is None or invitation.tenant != command.tenant or invitation.delivery_id == command.delivery_id:
            return []
        noted = replace(invitation, delivery_id=command.delivery_id)
        # Stage and times stay the same, so its timer is still right.
        self._invitations[noted.invitation_id] = noted
        return [Keep(noted)]

    def _note_undeliverable(self, command: NoteUndeliverable, programme: Programme, now_ms: int) -> list[Effect]:
        invitation = self._invitations.get(command.invitation_id)
        if invitation is None or invitation.tenant != command.tenant or invitation.stage is not Stage.DUE:
            return []
        of_reminder = invitation.delivery_id not in ("", command.delivery_id)
        return [] if of_reminder else self._withdraw(invitation, WithdrawalReason.UNDELIVERABLE, programme, now_ms)

    # Time

    def _step(self, invitation: Invitation, programme: Programme, now_ms: int) -> list[Effect]:
        match invitation.stage:
            case Stage.ANSWERED | Stage.EXPIRED | Stage.WITHDRAWN:
                del self._invitations[invitation.invitation_id]
                return [Drop(invitation.invitation_id)]
            case Stage.WAITING | Stage.DUE if invitation.expires_at_ms <= now_ms:
                expired = replace(invitation, stage=Stage.EXPIRED)
                self._keep(expired)
                unsent = invitation.stage is Stage.WAITING
                gone = self._unplan(expired, programme, now_ms) if unsent else []
                return [Expired(expired), Keep(expired), *gone]
            case Stage.WAITING:
                return self._send(invitation, programme, now_ms)
            case Stage.DUE:
                return self._remind(invitation, programme, now_ms)
            case _ as never:
                assert_never(never)

    def _send(self, invitation: Invitation, programme: Programme, now_ms: int) -> list[Effect]:
        survey = programme.named(invitation.survey)
        if survey is None:
            return self._withdraw(invitation, WithdrawalReason.SURVEY_REMOVED, programme, now_ms)
        person = self._person(invitation.tenant, invitation.subject.person_id)
        own = Sending(
            invitation.invitation_id, now_ms, survey.least_gap_ms, survey.window_ms, survey.most_in_window, sent=True
        )
        # It was planned at a permitted time, but this may be much later, after an outage.
        at_ms = programme.after_quiet(survey, people.earliest(person.known, own, now_ms))
        if at_ms > now_ms:
            put_off = replace(invitation, not_before_ms=at_ms)
            self._keep(put_off)
            planned = replace(own, at_ms=at_ms, sent=False)
            return [Keep(put_off), *self._note(person.having(planned), programme, now_ms)]
        due = replace(invitation, stage=Stage.DUE, remind_at_ms=_reminder(survey, programme, now_ms))
        self._keep(due)
        return [Due(due), Keep(due), *self._note(person.having(own), programme, now_ms)]

    def _remind(self, invitation: Invitation, programme: Programme, now_ms: int) -> list[Effect]:
        survey = programme.named(invitation.survey)
        at_ms = now_ms if survey is None else programme.after_quiet(survey, now_ms)
        if survey is None or at_ms >= invitation.expires_at_ms:
            silent = replace(invitation, remind_at_ms=0)
            self._keep(silent)
            return [Keep(silent)]
        reminded = replace(invitation, remind_at_ms=at_ms if at_ms > now_ms else 0)
        self._keep(reminded)
        return [Keep(reminded)] if at_ms > now_ms else [ReminderDue(reminded), Keep(reminded)]

    # Memory

    def _person(self, tenant: str, person_id: str) -> SurveyHistory:
        return self._histories.get((tenant, person_id)) or SurveyHistory(tenant, person_id)

    def _note(self, history: SurveyHistory, programme: Programme, now_ms: int) -> list[Effect]:
        """Keep what still matters of a person's history; drop the entry if nothing does."""
        history = history.remembered(now_ms, programme.longest_memory_ms, programme.longest_silence_ms)
        if history.forget_at_ms > now_ms:
            if history == self._histories.get(history.key):
                return []
            self._keep_history(history)
            return [KeepHistory(history)]
        return [DropHistory(*history.key)] if self._histories.pop(history.key, None) is not None else []

    def _unplan(self, invitation: Invitation, programme: Programme, now_ms: int) -> list[Effect]:
        key = (invitation.tenant, invitation.subject.person_id)
        known = self._histories.get(key)
        if known is None:
            return []
        return self._note(known.without(invitation.invitation_id), programme, now_ms)

    def _forget_asked(self, key: tuple[str, str], at_ms: int) -> list[Effect]:
        history = self._histories.get(key)
        if history is None or history.forget_at_ms != at_ms:
            return []
        del self._histories[key]
        return [DropHistory(*key)]

    def _keep(self, invitation: Invitation) -> None:
        self._invitations[invitation.invitation_id] = invitation
        heapq.heappush(self._timers, (invitation.wakes_at_ms, "invitation", (invitation.invitation_id,)))
        conversation = (invitation.tenant, invitation.subject.conversation_id)
        if invitation.stage is Stage.WAITING:
            self._waiting.setdefault(conversation, set()).add(invitation.invitation_id)
        elif conversation in self._waiting:
            self._waiting[conversation].discard(invitation.invitation_id)
            if not self._waiting[conversation]:
                del self._waiting[conversation]

    def _keep_history(self, history: SurveyHistory) -> None:
        self._histories[history.key] = history
        heapq.heappush(self._timers, (history.forget_at_ms, "asked", history.key))

    @staticmethod
    def _skip(subject: Subject, reason: SkipReason) -> list[Effect]:
        return [Skipped(subject.interaction_id, reason)]


def _weigh(invitation: Invitation, command: RecordResponse, now_ms: int) -> Given | RefusalReason:
    """Return what counts from now on, or why nothing new does."""
    before = invitation.given
    if invitation.stage is Stage.ANSWERED:
        if now_ms >= invitation.closes_at_ms or before is None or before.revision >= MOST_REVISIONS:
            return RefusalReason.ALREADY_ANSWERED
    elif invitation.stage is Stage.EXPIRED or invitation.expires_at_ms <= now_ms:
        return RefusalReason.EXPIRED
    given = weigh(invitation, command)
    if isinstance(given, Given) and before is not None and same(given, before):
        return RefusalReason.REPEATED
    return given


def _reminder(survey: Survey, programme: Programme, sent_at_ms: int) -> int:
    """Return when to remind; 0 for never. A reminder at the expiry or later is never sent: the expiry comes first."""
    return programme.after_quiet(survey, sent_at_ms + survey.remind_after_ms) if survey.remind_after_ms > 0 else 0
