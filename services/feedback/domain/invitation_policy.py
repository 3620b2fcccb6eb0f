"""Which customers are invited, when, and which response counts: the invitations of one partition. docs/feedback.md is the specification.

- One invitation per interaction and survey. Spam and automatic mail never get an invitation, not even by hand.
- A waiting invitation is replaced by one about a later contact of the same conversation, which takes its place in the sample. One of
  another conversation is replaced if it is held back, or if the limits allow only one of both.
- No invitation and no reminder is sent while the person has a newer open interaction: it is held back until that ends.
- Minimum gap and window of a person: `domain.people`. Quiet hours: `domain.quiet`. Both are checked when the invitation is planned and
  again when it is sent.
- An invitation by hand (`Invite`) bypasses sampling, the survey's delay and, if it names the survey, that survey's filters; nothing else.
- There is one reminder, a configured time after the sending, while there is no response. A reminder at the expiry or later is left out.
- The first valid response counts and may be amended until it is closed. The same command again changes nothing.
- An invitation leaves memory a grace period after its expiry: until then a late response is EXPIRED, after that UNKNOWN_INVITATION.

`handle` and `advance` return effects in order and have already changed the state; the caller writes `Keep…` and `Drop…` to the changelog.
Commands that change nothing have no effects.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import assert_never

from services.feedback.domain import people
from services.feedback.domain.invitations import (
    Command,
    Consider,
    Created,
    Due,
    Effect,
    Expired,
    Invitation,
    Invite,
    Keep,
    NoteBegun,
    NoteEnded,
    NoteSent,
    NoteUndeliverable,
    RecordResponse,
    ReminderDue,
    Skipped,
    SkipReason,
    Stage,
    WithdrawalReason,
    Withdrawn,
)
from services.feedback.domain.people import Sending
from services.feedback.domain.response_recording import record_response
from services.feedback.domain.survey_memory import Kept, SurveyMemory
from services.policy.model.surveys import Programme, Subject, Survey

ProgrammeOf = Callable[[str], Programme]
"""Returns a tenant's programme as it is configured now."""


class InvitationPolicy:
    """The invitations and the contact history of persons of one partition."""

    def __init__(self, derive: Callable[..., str]) -> None:
        """`derive(*parts)` derives an id from its parts, always the same one (UUIDv5)."""
        self._derive = derive
        self._memory = SurveyMemory()

    def restore(self, kept: Kept) -> None:
        """Restore an entry from the changelog."""
        self._memory.restore(kept)

    def handle(self, command: Command, programme: Programme, now_ms: int) -> list[Effect]:
        """Decide one command."""
        match command:
            case Consider():
                return self._consider(command, programme, now_ms)
            case Invite():
                return self._invite(command, programme, now_ms)
            case RecordResponse():
                return record_response(self._memory, command, programme, now_ms)
            case NoteSent():
                return self._note_sent(command)
            case NoteUndeliverable():
                return self._note_undeliverable(command, programme, now_ms)
            case NoteBegun():
                return self._note_begun(command, now_ms)
            case NoteEnded(_, tenant, person_id, interaction_id, at_ms):
                return self._end(tenant, person_id, interaction_id, at_ms, programme, now_ms)
            case _ as never:
                assert_never(never)

    def advance(self, now_ms: int, programme_of: ProgrammeOf) -> list[Effect]:
        """Apply every timer that is due, in order of time."""
        effects: list[Effect] = []
        while (timer := self._memory.take_due(now_ms)) is not None:
            at_ms, what, key = timer
            if what == "asked":
                effects += self._memory.forget_history((key[0], key[1]), at_ms)
                continue
            if what == "open":
                forgotten = self._memory.forget_open((key[0], key[1]), now_ms)
                effects += forgotten
                if forgotten:
                    effects += self._release(key[0], key[1], now_ms, programme_of(key[0]), now_ms)
                continue
            invitation = self._memory.invitations.get(key[0])
            # A timer that a response or a later stage has overtaken no longer belongs to this invitation.
            if invitation is not None and invitation.wakes_at_ms == at_ms:
                effects += self._step(invitation, programme_of(invitation.tenant), now_ms)
        return effects

    def forget(self, tenant: str, person_id: str) -> tuple[list[Effect], dict[str, int]]:
        """Remove the person's invitations with their responses, the times of invitations and the open interactions, for
        an erasure. Also returns the number of removed entries, by kind."""
        mine = [
            each
            for each in self._memory.invitations.values()
            if (each.tenant, each.subject.person_id) == (tenant, person_id)
        ]
        counts = {"invitations": len(mine), "responses": sum(each.given is not None for each in mine)}
        return self._memory.forget(tenant, person_id), counts

    def next_wakeup(self) -> int | None:
        """Return when `advance` should be called next; it may then have nothing to do."""
        return self._memory.next_wakeup()

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of invitations, of persons with a history, and of persons with an open interaction in memory."""
        return self._memory.size

    def kept(self) -> Iterator[Kept]:
        """Yield everything in memory, as `restore` accepts it."""
        return self._memory.kept()

    # Open interactions

    def _note_begun(self, command: NoteBegun, now_ms: int) -> list[Effect]:
        about = command.subject
        if about.never_asked:
            return []
        known = self._memory.open_of(command.tenant, about.person_id)
        return self._memory.set_open(known.with_one(about.interaction_id, command.at_ms).remembered(now_ms))

    def _end(
        self, tenant: str, person_id: str, interaction_id: str, at_ms: int, programme: Programme, now_ms: int
    ) -> list[Effect]:
        effects = self._memory.set_open(self._memory.open_of(tenant, person_id).without(interaction_id))
        return effects + self._release(tenant, person_id, at_ms, programme, now_ms) if effects else []

    def _interrupts(self, invitation: Invitation) -> bool:
        about = invitation.subject
        others = self._memory.open_of(invitation.tenant, about.person_id)
        return others.newer(about.interaction_id, invitation.began_at_ms)

    def _hold(self, invitation: Invitation) -> list[Effect]:
        held = replace(invitation, held=True)
        self._memory.keep(held)
        return [Keep(held)]

    def _release(
        self, tenant: str, person_id: str, ended_at_ms: int, programme: Programme, now_ms: int
    ) -> list[Effect]:
        """Let the invitations go that were held back only by what has ended. The survey's delay counts from that end."""
        effects: list[Effect] = []
        for held in list(self._memory.held(tenant, person_id)):
            if self._interrupts(held):
                continue
            survey = programme.named(held.survey)
            at_ms = ended_at_ms + (survey.delay_ms if survey is not None else 0)
            if held.stage is Stage.WAITING and at_ms >= held.expires_at_ms:
                effects += self._withdraw(held, WithdrawalReason.HELD_BACK, programme, now_ms)
                continue
            freed = (
                replace(held, held=False, not_before_ms=at_ms)
                if held.stage is Stage.WAITING
                else replace(held, held=False, remind_at_ms=at_ms)
            )
            self._memory.keep(freed)
            effects.append(Keep(freed))
            if freed.wakes_at_ms <= now_ms:
                effects += self._step(freed, programme, now_ms)
        return effects

    # Invitations

    def _consider(self, command: Consider, programme: Programme, now_ms: int) -> list[Effect]:
        about = command.subject
        known = self._memory.open_of(command.tenant, about.person_id)
        began_at_ms = command.began_at_ms or known.began_at(about.interaction_id) or command.completed_at_ms
        # The end comes last: an invitation that it would let go may be replaced by the one about this contact.
        return [
            *self._consider_survey(command, began_at_ms, programme, now_ms),
            *self._end(
                command.tenant, about.person_id, about.interaction_id, command.completed_at_ms, programme, now_ms
            ),
        ]

    def _consider_survey(self, command: Consider, began_at_ms: int, programme: Programme, now_ms: int) -> list[Effect]:
        if command.no_further_work and not command.subject.never_asked:
            # The survey about the contact before it, if one waits, remains.
            return self._skip(command.subject, SkipReason.NO_FURTHER_WORK)
        survey = programme.choose(command.subject)
        if survey is None:
            return self._skip(command.subject, SkipReason.NO_SURVEY)
        planned_ms = command.completed_at_ms + survey.delay_ms
        silent = self._memory.person(command.tenant, command.subject.person_id).silent(survey.silent_after_ms, now_ms)
        sampled = survey.samples(command.subject.interaction_id, silent=silent)
        return self._decide(command, survey, programme, planned_ms, now_ms, began_at_ms, sampled=sampled)

    def _invite(self, command: Invite, programme: Programme, now_ms: int) -> list[Effect]:
        survey = programme.choose(command.subject, command.survey)
        if survey is None:
            return self._skip(command.subject, SkipReason.NO_SURVEY)
        about = command.subject
        began_at_ms = self._memory.open_of(command.tenant, about.person_id).began_at(about.interaction_id)
        return self._decide(command, survey, programme, now_ms, now_ms, began_at_ms, sampled=True)

    def _decide(
        self,
        command: Consider | Invite,
        survey: Survey,
        programme: Programme,
        planned_ms: int,
        now_ms: int,
        began_at_ms: int,
        *,
        sampled: bool,
    ) -> list[Effect]:
        subject = command.subject
        invitation_id = self._derive(command.tenant, subject.interaction_id, survey.name)
        known = self._memory.invitations.get(invitation_id)
        if known is not None:
            if known.made_by == command.command_id:
                return []
            return self._skip(subject, SkipReason.ALREADY_INVITED)
        if subject.never_asked:
            effects: list[Effect] = []
            for each in self._waiting_in(command.tenant, subject):
                effects += self._withdraw(each, WithdrawalReason.NOT_ASKED, programme, now_ms)
            return [*effects, *self._skip(subject, SkipReason.NOT_ASKED)]
        older = self._older(command.tenant, subject, began_at_ms)
        waiting = _each_once([*self._waiting_in(command.tenant, subject), *(each for each in older if each.held)])
        if not (sampled or waiting):
            return self._skip(subject, SkipReason.SAMPLED_OUT)
        if planned_ms + survey.expires_after_ms <= now_ms:
            return self._skip(subject, SkipReason.TOO_LATE)
        send_at_ms = programme.after_quiet(survey, max(planned_ms, now_ms))
        sending = Sending(invitation_id, send_at_ms, survey.least_gap_ms, survey.window_ms, survey.most_in_window)
        fatigue = self._objection(sending, command.tenant, subject, waiting)
        if fatigue is not None:
            # Of two contacts of which one survey is allowed, the newer one is asked about.
            waiting = _each_once([*waiting, *older])
            if self._objection(sending, command.tenant, subject, waiting) is not None:
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
            began_at_ms=began_at_ms,
        )
        effects = []
        for each in waiting:
            effects += self._withdraw(each, WithdrawalReason.REPLACED, programme, now_ms)
        self._memory.keep(invitation)
        effects += [Created(invitation), Keep(invitation)]
        effects += self._memory.note(
            self._memory.person(command.tenant, subject.person_id).having(sending), programme, now_ms
        )
        if send_at_ms <= now_ms:
            effects += self._step(invitation, programme, now_ms)
        return effects

    def _objection(
        self, sending: Sending, tenant: str, subject: Subject, without: list[Invitation]
    ) -> people.Fatigue | None:
        person = self._memory.person(tenant, subject.person_id)
        for each in without:
            person = person.without(each.invitation_id)
        return people.objection(person.known, sending)

    def _withdraw(
        self, invitation: Invitation, reason: WithdrawalReason, programme: Programme, now_ms: int
    ) -> list[Effect]:
        withdrawn = replace(invitation, stage=Stage.WITHDRAWN)
        self._memory.keep(withdrawn)
        return [Withdrawn(withdrawn, reason), Keep(withdrawn), *self._memory.unplan(withdrawn, programme, now_ms)]

    def _waiting_in(self, tenant: str, subject: Subject) -> list[Invitation]:
        """Return the person's waiting invitations in this conversation."""
        return [
            each
            for each in self._memory.waiting(tenant, subject.person_id)
            if subject.conversation_id and each.subject.conversation_id == subject.conversation_id
        ]

    def _older(self, tenant: str, subject: Subject, began_at_ms: int) -> list[Invitation]:
        """Return the person's waiting invitations about contacts that began before this one, in all conversations."""
        return [each for each in self._memory.waiting(tenant, subject.person_id) if each.began_at_ms < began_at_ms]

    # Deliveries

    def _note_sent(self, command: NoteSent) -> list[Effect]:
        invitation = self._memory.invitations.get(command.invitation_id)
        if invitation is None or invitation.tenant != command.tenant or invitation.delivery_id == command.delivery_id:
            return []
        noted = replace(invitation, delivery_id=command.delivery_id)
        # Stage and times stay the same, so its timer is still right.
        self._memory.invitations[noted.invitation_id] = noted
        return [Keep(noted)]

    def _note_undeliverable(self, command: NoteUndeliverable, programme: Programme, now_ms: int) -> list[Effect]:
        invitation = self._memory.invitations.get(command.invitation_id)
        if invitation is None or invitation.tenant != command.tenant or invitation.stage is not Stage.DUE:
            return []
        of_reminder = invitation.delivery_id not in ("", command.delivery_id)
        return [] if of_reminder else self._withdraw(invitation, WithdrawalReason.UNDELIVERABLE, programme, now_ms)

    # Time

    def _step(self, invitation: Invitation, programme: Programme, now_ms: int) -> list[Effect]:
        match invitation.stage:
            case Stage.ANSWERED | Stage.EXPIRED | Stage.WITHDRAWN:
                return [self._memory.drop(invitation)]
            case Stage.WAITING | Stage.DUE if invitation.expires_at_ms <= now_ms:
                if invitation.held and invitation.stage is Stage.WAITING:
                    return self._withdraw(invitation, WithdrawalReason.HELD_BACK, programme, now_ms)
                expired = replace(invitation, stage=Stage.EXPIRED)
                self._memory.keep(expired)
                unsent = invitation.stage is Stage.WAITING
                gone = self._memory.unplan(expired, programme, now_ms) if unsent else []
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
        if self._interrupts(invitation):
            return self._hold(invitation)
        person = self._memory.person(invitation.tenant, invitation.subject.person_id)
        own = Sending(
            invitation.invitation_id, now_ms, survey.least_gap_ms, survey.window_ms, survey.most_in_window, sent=True
        )
        # It was planned at a permitted time, but this may be much later, after an outage.
        at_ms = programme.after_quiet(survey, people.earliest(person.known, own, now_ms))
        if at_ms > now_ms:
            put_off = replace(invitation, not_before_ms=at_ms)
            self._memory.keep(put_off)
            planned = replace(own, at_ms=at_ms, sent=False)
            return [Keep(put_off), *self._memory.note(person.having(planned), programme, now_ms)]
        due = replace(invitation, stage=Stage.DUE, remind_at_ms=_reminder(survey, programme, now_ms))
        self._memory.keep(due)
        return [Due(due), Keep(due), *self._memory.note(person.having(own), programme, now_ms)]

    def _remind(self, invitation: Invitation, programme: Programme, now_ms: int) -> list[Effect]:
        survey = programme.named(invitation.survey)
        at_ms = now_ms if survey is None else programme.after_quiet(survey, now_ms)
        if survey is None or at_ms >= invitation.expires_at_ms:
            silent = replace(invitation, remind_at_ms=0)
            self._memory.keep(silent)
            return [Keep(silent)]
        if self._interrupts(invitation):
            return self._hold(invitation)
        reminded = replace(invitation, remind_at_ms=at_ms if at_ms > now_ms else 0)
        self._memory.keep(reminded)
        return [Keep(reminded)] if at_ms > now_ms else [ReminderDue(reminded), Keep(reminded)]

    @staticmethod
    def _skip(subject: Subject, reason: SkipReason) -> list[Effect]:
        return [Skipped(subject.interaction_id, reason)]


def _each_once(invitations: list[Invitation]) -> list[Invitation]:
    return list({each.invitation_id: each for each in invitations}.values())


def _reminder(survey: Survey, programme: Programme, sent_at_ms: int) -> int:
    """Return when to remind; 0 for never. A reminder at the expiry or later is never sent: the expiry comes first."""
    return programme.after_quiet(survey, sent_at_ms + survey.remind_after_ms) if survey.remind_after_ms > 0 else 0
