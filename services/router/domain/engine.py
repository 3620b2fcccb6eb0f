"""The engine of one pool: `handle(command, now)`, `advance(now)`, `next_wakeup()`.

Effects are ordered: what the command did, its result, then what could be offered because of it. A refusal is a result with a reason code,
never an exception.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from services.router.domain import commands as cmd
from services.router.domain.assignment import dispatch, waiting
from services.router.domain.effects import Effect, Result
from services.router.domain.handlers import activation, interactions, offers, resettling, sessions, silence, transfers
from services.router.domain.pool.limits import DEFAULT, Limits
from services.router.domain.pool.pool_state import PoolState
from services.router.domain.pool.timers import Timer
from services.router.domain.reasons import Reason

_HANDLERS: Final[dict[type[cmd.Command], tuple[str, Callable[[PoolState, Any], str]]]] = {
    cmd.Enqueue: ("enqueue", interactions.enqueue),
    cmd.UpdateInteraction: ("update_interaction", interactions.update),
    cmd.CustomerMessaged: ("customer_messaged", interactions.customer_messaged),
    cmd.CustomerLeft: ("customer_left", interactions.customer_left),
    cmd.CancelInteraction: ("cancel_interaction", interactions.cancel),
    cmd.RecordReply: ("record_reply", interactions.record_reply),
    cmd.RecordReplyOutcome: ("record_reply_outcome", interactions.record_reply_outcome),
    cmd.CompleteInteraction: ("complete_interaction", interactions.complete),
    cmd.EndWrapUp: ("end_wrap_up", interactions.end_wrap_up),
    cmd.TransferInteraction: ("transfer_interaction", transfers.transfer),
    cmd.Reroute: ("reroute", transfers.reroute),
    cmd.Reprioritise: ("reprioritise", transfers.reprioritise),
    cmd.RecallTransfer: ("recall_transfer", transfers.recall),
    cmd.AssignInteraction: ("assign_interaction", transfers.assign),
    cmd.RequestCallback: ("request_callback", interactions.request_callback),
    cmd.AcceptOffer: ("accept_offer", offers.accept),
    cmd.DeclineOffer: ("decline_offer", offers.decline),
    cmd.SignIn: ("sign_in", sessions.sign_in),
    cmd.CloseSession: ("close_session", sessions.close),
    cmd.RenewLeases: ("renew_leases", sessions.renew),
    cmd.GrantCredits: ("grant_credits", sessions.grant_credits),
    cmd.SetAgentState: ("set_agent_state", sessions.set_agent_state),
    cmd.UpsertAgent: ("upsert_agent", sessions.upsert_agent),
    cmd.ActivateConfiguration: ("activate_configuration", activation.activate),
    cmd.ReceiveInteraction: ("receive_interaction", resettling.receive),
}


class Engine:
    """The engine of one pool. `views` and `explain` read its state."""

    __slots__ = ("core",)

    def __init__(self, limits: Limits = DEFAULT, *, quiet: bool = False) -> None:
        """`quiet`: decide the same, but make nothing that only desks, callers, `explain` and the changelog read.

        Such an engine returns its events without `Queued` (except of interactions that come back) and without estimates, and the results of
        refused commands. It cannot be restored, and `changes` and `explain` have gaps.
        """
        self.core = PoolState(limits, quiet=quiet)

    def handle(self, command: cmd.Command, now: int) -> list[Effect]:
        """Decide one command at `now`, milliseconds, which never decreases."""
        core = self.core
        core.now = now
        kind, decide = _HANDLERS[type(command)]
        command_id = command.command_id
        reason = core.dedup.result(command_id) if command_id else None
        repeated = reason is not None
        if reason is None:
            reason = _stale(core, command) or decide(core, command)
            if command_id:
                core.dedup.remember(command_id, reason)
        if reason or not core.quiet:
            core.effects.append(Result(command_id, command.reply_to, not reason, reason, kind, repeated))
        dispatch.run(core)
        return self._taken()

    def moved_to(self, command: cmd.Command) -> str:
        """Return the pool that a command about a moved interaction follows it to; empty for a command that is, or was, decided here."""
        if self.core.dedup.result(command.command_id) is not None:
            return ""
        return self.core.moved.get(getattr(command, "interaction_id", ""), "")

    def take_over(self, now: int) -> list[Effect]:
        """Take over from another owner after a restore, then do what became due in between."""
        self.core.now = now
        sessions.extend(self.core)
        return self.advance(now)

    def log_returned(self, now: int) -> None:
        """Give sessions, absent agents and offers their time again: commands could not be written or read for a while."""
        self.core.now = now
        sessions.extend(self.core)

    def advance(self, now: int, until: int | None = None) -> list[Effect]:
        """Do at `now` everything that was due at `until`, or at `now` if it is None. `until`: every command that was in the log by then has been
        handled, so that what has not come will not turn up."""
        core = self.core
        core.now = now
        limit = now if until is None else until
        while True:
            # Everything that is due is done together; then interactions are offered once, in the order of service.
            while (due := core.timers.pop(limit)) is not None:
                self._due(*due)
            dispatch.run(core)  # after a restore everything may need a look, though no timer is due
            due_at = core.timers.next()
            if due_at is None or due_at > limit:
                break
        return self._taken()

    def next_wakeup(self) -> int | None:
        """Return when `advance` should be called next; None means not before another command."""
        return self.core.timers.next()

    def _due(self, kind: Timer, entity: str) -> None:
        core = self.core
        match kind:
            case Timer.LEASE:
                sessions.leases_due(core, int(entity))
            case Timer.GRACE:
                sessions.grace_due(core, core.agents[entity])
            case Timer.OFFER:
                offers.expired(core, core.interactions[entity.rpartition(".")[0]], entity)
            case Timer.WRAP_UP:
                interactions.finish_wrap_up(core, core.interactions[entity], "WRAP_UP_TIME_OVER")
            case Timer.PLACE:
                waiting.place_due(core, core.interactions[entity])
            case Timer.REST:
                core.update_rank(core.agents[entity], freed=True)
            case Timer.SILENCE:
                silence.due(core, core.interactions[entity])
            case Timer.ADAPT:
                core.adapt()

    def _taken(self) -> list[Effect]:
        effects = self.core.effects
        self.core.effects = []
        return effects


def _stale(core: PoolState, command: cmd.Command) -> str:
    """Return the reason to refuse a command that expects another number of events; empty when it may run."""
    if not command.expected_epoch:
        return ""
    interaction = core.interactions.get(getattr(command, "interaction_id", ""))
    return Reason.STALE_EPOCH if interaction is not None and interaction.epoch != command.expected_epoch else ""


def kinds() -> Iterable[str]:
    """Return the names of all commands, as metrics use them."""
    return (kind for kind, _ in _HANDLERS.values())
