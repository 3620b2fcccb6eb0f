"""Whole stories, word for word: every event with its reason and number, every notice to a desk, in their order."""

from dataclasses import replace

from services.policy.model.routing import CapacityProfile, ChannelCapacity, OverflowRule, Trigger
from services.router.domain import commands as cmd
from services.router.domain.model import AgentState
from tests.unit.router.told import told
from tests.unit.router.world import World, a_capacity, a_pool, a_queue, an_agent

LONG = 10**9


def test_an_interaction_is_offered_to_two_answered_transferred_and_completed() -> None:
    """Each step shows its notices; times in milliseconds from the beginning."""
    world = World(
        a_pool(
            an_agent("a"),
            an_agent("b"),
            queues=[a_queue(max_offers=2), a_queue("other")],
            capacity=a_capacity(3, chat=(2, 0, False)),
            lease_ms=LONG,
        )
    )
    assert told(world.sign_in("a")) == [
        "AgentStateChanged agent=a epoch=1 reason=SIGNED_IN before=OFFLINE after=AVAILABLE used=0 total=3",
        "to s-a (a): StateNotice before=OFFLINE after=AVAILABLE used=0 total=3",
        "to s-a (a): SnapshotNotice state=AVAILABLE session=s-a used=0 total=3 offers=[] assignments=[]",
    ]
    world.wait(1_000)
    world.sign_in("b")
    world.wait(1_000)
    assert told(world.enqueue("i")) == [
        "Queued i 1 ENQUEUED position=1 estimated_wait=0 again=False estimated_p90=0",
        "Offered i 2 LONGEST_IDLE agent=a offer=i.2 expires_at=+12000 eligible=2 considered=2",
        "to s-a (a): OfferNotice i offer=i.2 expires_at=+12000 offered_at=+2000 reason=LONGEST_IDLE",
        "Offered i 3 LONGEST_IDLE agent=b offer=i.3 expires_at=+12000 eligible=1 considered=2",
        "to s-b (b): OfferNotice i offer=i.3 expires_at=+12000 offered_at=+2000 reason=LONGEST_IDLE",
    ]
    world.wait(1_500)
    assert told(world.tell(cmd.AcceptOffer("a", "i.2"))) == [
        "OfferEnded i 4 ACCEPTED_BY_ANOTHER agent=b offer=i.3 end=REVOKED",
        "to s-b (b): RevokedNotice offer=i.3 reason=ACCEPTED_BY_ANOTHER",
        "Assigned i 5 LONGEST_IDLE agent=a offer=i.2 waited=1500 estimated_p50=0 estimated_p90=0 over_capacity=False",
        "to s-a (a): AssignmentNotice i assigned_at=+3500 wrapping_up=False wrap_up_until=0 parked=False customer_awaited=False",
    ]
    world.wait(500)
    assert told(world.tell(cmd.RecordReply("a", "i", "r1"))) == [
        "Replied i 6 AGENT_REPLY agent=a reply=r1 first=True awaits_outcome=False",
    ]
    assert told(world.tell(cmd.CustomerMessaged("i", "m1"))) == [
        "CustomerMessaged i 7 CUSTOMER_MESSAGE message=m1 automatic=0",
        "to s-a (a): CustomerNotice interaction=i message=m1 left=False automatic=0",
    ]
    assert told(world.tell(cmd.CustomerLeft("i"))) == [
        "CustomerLeft i 8 CUSTOMER_LEFT",
        "to s-a (a): CustomerNotice interaction=i message= left=True automatic=0",
    ]
    assert told(world.tell(cmd.UpdateInteraction("i", (("tier", "gold"),)))) == [
        "Changed i 9 UPDATED",
    ]
    assert told(world.tell(cmd.TransferInteraction("a", "i", to_agent_id="b", warm=True))) == [
        "Changed i 10 WARM_TRANSFER",
        "Offered i 11 TRANSFERRED_TO_AGENT agent=b offer=i.11 expires_at=+14000 eligible=1 considered=1",
        "to s-b (b): OfferNotice i offer=i.11 expires_at=+14000 offered_at=+4000 reason=TRANSFERRED_TO_AGENT",
    ]
    world.wait(700)
    assert told(world.tell(cmd.RecallTransfer("a", "i"))) == [
        "OfferEnded i 12 TRANSFER_RECALLED agent=b offer=i.11 end=REVOKED",
        "to s-b (b): RevokedNotice offer=i.11 reason=TRANSFER_RECALLED",
        "Changed i 13 TRANSFER_RECALLED",
    ]
    assert told(world.tell(cmd.TransferInteraction("a", "i", queue="other"))) == [
        "to s-a (a): EndedNotice interaction=i reason=TRANSFERRED",
        "Transferred i 14 TRANSFERRED from_agent=a queue=other to_agent=",
        "Queued i 15 TRANSFERRED position=1 estimated_wait=0 again=True estimated_p90=0",
        "Offered i 16 LONGEST_IDLE agent=b offer=i.16 expires_at=+14700 eligible=1 considered=2",
        "to s-b (b): OfferNotice i offer=i.16 expires_at=+14700 offered_at=+4700 reason=LONGEST_IDLE",
    ]
    world.wait(300)
    assert told(world.tell(cmd.DeclineOffer("b", "i.16", retry_after_ms=4_000))) == [
        "OfferEnded i 17 DECLINED agent=b offer=i.16 end=DECLINED",
    ]
    assert told(world.tell(cmd.SetAgentState("b", AgentState.AWAY, "LUNCH"))) == [
        "AgentStateChanged agent=b epoch=2 reason=LUNCH before=AVAILABLE after=AWAY used=0 total=3",
        "to s-b (b): StateNotice before=AVAILABLE after=AWAY used=0 total=3",
    ]
    assert told(world.wait(4_000)) == []
    assert told(world.tell(cmd.SetAgentState("b", AgentState.AVAILABLE))) == [
        "AgentStateChanged agent=b epoch=3 reason=AGENT before=AWAY after=AVAILABLE used=0 total=3",
        "to s-b (b): StateNotice before=AWAY after=AVAILABLE used=0 total=3",
        "Offered i 18 LONGEST_IDLE agent=b offer=i.18 expires_at=+19000 eligible=1 considered=2",
        "to s-b (b): OfferNotice i offer=i.18 expires_at=+19000 offered_at=+9000 reason=LONGEST_IDLE",
    ]
    assert told(world.tell(cmd.AcceptOffer("b", "i.18"))) == [
        "Assigned i 19 LONGEST_IDLE agent=b offer=i.18 waited=5800 estimated_p50=1500 estimated_p90=1500 over_capacity=False",
        "to s-b (b): AssignmentNotice i assigned_at=+9000 wrapping_up=False wrap_up_until=0 parked=False customer_awaited=False",
    ]
    world.wait(100)
    assert told(world.tell(cmd.CompleteInteraction("b", "i", "solved"))) == [
        "Completed i 20 COMPLETED agent=b disposition=solved assigned_at=+9000 wrap_up_until=0",
        "to s-b (b): EndedNotice interaction=i reason=COMPLETED",
    ]


def test_wrap_up_a_new_session_a_lost_one_and_its_assignments() -> None:
    """A lease of 20 s, a grace of 5 s."""
    world = World(
        a_pool(an_agent("a"), an_agent("b"), queues=[a_queue(wrap_up_ms=3_000)], capacity=a_capacity(2), grace_ms=5_000)
    )
    world.sign_in("a")
    world.holds("a", "done", "held")
    assert told(world.complete("done")) == [
        "Completed done 4 COMPLETED agent=a disposition=solved assigned_at=+0 wrap_up_until=+3000",
        "to s-a (a): AssignmentNotice done assigned_at=+0 wrapping_up=True wrap_up_until=+3000 parked=False customer_awaited=False",
    ]
    assert told(world.sign_in("a", session="s2", resumes="s-a")) == [
        "to s2 (a): SnapshotNotice state=AVAILABLE session=s2 used=2 total=2 offers=[] assignments=[\n"
        "  AssignmentNotice done assigned_at=+0 wrapping_up=True wrap_up_until=+3000 parked=False customer_awaited=False\n"
        "  AssignmentNotice held assigned_at=+0 wrapping_up=False wrap_up_until=0 parked=False customer_awaited=False]",
    ]
    assert told(world.wait(3_000)) == [
        "WrapUpEnded done 5 WRAP_UP_TIME_OVER agent=a",
        "to s2 (a): EndedNotice interaction=done reason=WRAP_UP_ENDED",
    ]
    assert told(world.sign_in("a", session="s3")) == [
        "to s2 (a): SessionEndedNotice reason=SESSION_REPLACED",
        "to s3 (a): SnapshotNotice state=AVAILABLE session=s3 used=1 total=2 offers=[] assignments=[\n"
        "  AssignmentNotice held assigned_at=+0 wrapping_up=False wrap_up_until=0 parked=False customer_awaited=False]",
    ]
    assert told(world.enqueue("i")) == [
        "Queued i 1 ENQUEUED position=1 estimated_wait=0 again=False estimated_p90=0",
        "Offered i 2 LONGEST_IDLE agent=a offer=i.2 expires_at=+13000 eligible=1 considered=2",
        "to s3 (a): OfferNotice i offer=i.2 expires_at=+13000 offered_at=+3000 reason=LONGEST_IDLE",
    ]
    assert told(world.tell(cmd.CloseSession("a", "s3"))) == [
        "OfferEnded i 3 CONNECTION_LOST agent=a offer=i.2 end=REVOKED",
        "to s3 (a): RevokedNotice offer=i.2 reason=CONNECTION_LOST",
    ]
    assert told(world.wait(20_000)) == [
        "to s3 (a): SessionEndedNotice reason=LEASE_EXPIRED",
        "AgentStateChanged agent=a epoch=2 reason=LEASE_EXPIRED before=AVAILABLE after=OFFLINE used=1 total=2",
    ]
    assert told(world.wait(5_000)) == [
        "Queued held 4 AGENT_LOST position=1 estimated_wait=-1 again=True estimated_p90=-1",
    ]
    assert told(world.sign_in("b", credits=1, state=AgentState.AWAY)) == [
        "AgentStateChanged agent=b epoch=1 reason=SIGNED_IN before=OFFLINE after=AWAY used=0 total=2",
        "to s-b (b): StateNotice before=OFFLINE after=AWAY used=0 total=2",
        "to s-b (b): SnapshotNotice state=AWAY session=s-b used=0 total=2 offers=[] assignments=[]",
    ]
    assert told(world.tell(cmd.SetAgentState("b", AgentState.AVAILABLE, supervisor=True))) == [
        "AgentStateChanged agent=b epoch=2 reason=SUPERVISOR before=AWAY after=AVAILABLE used=0 total=2",
        "to s-b (b): StateNotice before=AWAY after=AVAILABLE used=0 total=2",
        "Offered held 5 LONGEST_IDLE agent=b offer=held.5 expires_at=+38000 eligible=1 considered=2",
        "to s-b (b): OfferNotice held offer=held.5 expires_at=+38000 offered_at=+28000 reason=LONGEST_IDLE",
    ]
    assert told(world.tell(cmd.AcceptOffer("b", "held.5"))) == [
        "Assigned held 6 LONGEST_IDLE agent=b offer=held.5 waited=0 estimated_p50=-1 estimated_p90=-1 over_capacity=False",
        "to s-b (b): AssignmentNotice held assigned_at=+28000 wrapping_up=False wrap_up_until=0 parked=False customer_awaited=False",
        "Offered i 4 LONGEST_IDLE agent=b offer=i.4 expires_at=+38000 eligible=1 considered=2",
        "to s-b (b): OfferNotice i offer=i.4 expires_at=+38000 offered_at=+28000 reason=LONGEST_IDLE",
    ]
    assert told(world.complete("held")) == [
        "Completed held 7 COMPLETED agent=b disposition=solved assigned_at=+28000 wrap_up_until=+31000",
        "to s-b (b): AssignmentNotice held assigned_at=+28000 wrapping_up=True wrap_up_until=+31000 parked=False customer_awaited=False",
    ]
    assert told(world.tell(cmd.DeclineOffer("b", "i.4", "BUSY"))) == [
        "OfferEnded i 5 BUSY agent=b offer=i.4 end=DECLINED",
    ]
    assert told(world.tell(cmd.CloseSession("b", "s-b", signed_out=True))) == [
        "AgentStateChanged agent=b epoch=3 reason=SIGNED_OUT before=AVAILABLE after=OFFLINE used=1 total=2",
        "to s-b (b): StateNotice before=AVAILABLE after=OFFLINE used=1 total=2",
        "to s-b (b): SessionEndedNotice reason=SIGNED_OUT",
        "WrapUpEnded held 8 SIGNED_OUT agent=b",
    ]


def test_supervisors_reroute_raise_give_force_and_cancel() -> None:
    """The rerouted interaction is last in its new queue; the forced assignment exceeds the capacity."""
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=[a_queue(), a_queue("other")], lease_ms=LONG))
    world.sign_in("a")
    world.holds("a", "held")
    world.enqueue("one")
    world.wait(2_000)
    assert told(world.tell(cmd.Reroute("one", "other"))) == [
        "Changed one 2 REROUTED",
        "Queued one 3 REROUTED position=1 estimated_wait=-1 again=True estimated_p90=-1",
    ]
    assert told(world.tell(cmd.Reprioritise("one", 3, "SLA_WARNING"))) == [
        "Changed one 4 SLA_WARNING",
    ]
    assert told(world.tell(cmd.Reprioritise("one", 3))) == [
        "Changed one 5 REPRIORITISED",
    ]
    assert told(world.tell(cmd.AssignInteraction("one", "a", force=True))) == [
        "Assigned one 6 FORCED agent=a offer= waited=2000 estimated_p50=-1 estimated_p90=-1 over_capacity=True",
        "to s-a (a): AssignmentNotice one assigned_at=+2000 wrapping_up=False wrap_up_until=0 parked=False customer_awaited=False",
    ]
    assert told(world.tell(cmd.Reroute("held", "other", ()))) == [
        "to s-a (a): EndedNotice interaction=held reason=REROUTED",
        "Transferred held 4 REROUTED from_agent=a queue=other to_agent=",
        "Queued held 5 REROUTED position=1 estimated_wait=-1 again=True estimated_p90=-1",
    ]
    assert told(world.tell(cmd.CancelInteraction("one"))) == [
        "to s-a (a): EndedNotice interaction=one reason=CANCELLED",
        "Cancelled one 7 CANCELLED",
        "Offered held 6 LONGEST_IDLE agent=a offer=held.6 expires_at=+12000 eligible=1 considered=2",
        "to s-a (a): OfferNotice held offer=held.6 expires_at=+12000 offered_at=+2000 reason=LONGEST_IDLE",
    ]
    world.sign_in("b")
    assert told(world.tell(cmd.AssignInteraction("held", "b"))) == [
        "OfferEnded held 7 ASSIGNED agent=a offer=held.6 end=REVOKED",
        "to s-a (a): RevokedNotice offer=held.6 reason=ASSIGNED",
        "Assigned held 8 SUPERVISOR agent=b offer= waited=0 estimated_p50=-1 estimated_p90=-1 over_capacity=False",
        "to s-b (b): AssignmentNotice held assigned_at=+2000 wrapping_up=False wrap_up_until=0 parked=False customer_awaited=False",
    ]
    assert told(world.tell(cmd.TransferInteraction("", "held", "q"))) == [
        "to s-b (b): EndedNotice interaction=held reason=TRANSFERRED",
        "Transferred held 9 TRANSFERRED from_agent=b queue=q to_agent=",
        "Queued held 10 TRANSFERRED position=1 estimated_wait=0 again=True estimated_p90=0",
        "Offered held 11 LONGEST_IDLE agent=a offer=held.11 expires_at=+12000 eligible=1 considered=2",
        "to s-a (a): OfferNotice held offer=held.11 expires_at=+12000 offered_at=+2000 reason=LONGEST_IDLE",
    ]
    assert told(world.tell(cmd.CancelInteraction("held", "DUPLICATE"))) == [
        "OfferEnded held 12 DUPLICATE agent=a offer=held.11 end=REVOKED",
        "to s-a (a): RevokedNotice offer=held.11 reason=DUPLICATE",
        "Cancelled held 13 DUPLICATE",
    ]
    world.enqueue("two")
    assert told(world.tell(cmd.AssignInteraction("two", "b", picked=True))) == [
        "OfferEnded two 3 ASSIGNED agent=a offer=two.2 end=REVOKED",
        "to s-a (a): RevokedNotice offer=two.2 reason=ASSIGNED",
        "Assigned two 4 PICKED agent=b offer= waited=0 estimated_p50=0 estimated_p90=0 over_capacity=False",
        "to s-b (b): AssignmentNotice two assigned_at=+2000 wrapping_up=False wrap_up_until=0 parked=False customer_awaited=False",
    ]
    assert told(world.tell(cmd.CustomerLeft("two"))) == [
        "CustomerLeft two 5 CUSTOMER_LEFT",
        "to s-b (b): CustomerNotice interaction=two message= left=True automatic=0",
    ]


def test_callbacks_schedules_and_rules_on_waiting() -> None:
    """No agent is present: everything happens by itself at its time."""
    rules = (
        OverflowRule("late", Trigger.WAIT, 4_000, add_priority=2),
        OverflowRule("later", Trigger.WAIT, 6_000, queue="other"),
    )
    ends = (OverflowRule("end", Trigger.WAIT, 9_000, cancel=True),)
    world = World(a_pool(queues=[a_queue(overflow=rules), a_queue("other", overflow=ends)]))
    assert told(world.enqueue("i")) == [
        "Queued i 1 ENQUEUED position=1 estimated_wait=-1 again=False estimated_p90=-1",
    ]
    world.wait(1_000)
    assert told(world.tell(cmd.RequestCallback("i"))) == [
        "Changed i 2 CALLBACK_REQUESTED",
    ]
    assert told(world.tell(cmd.RequestCallback("i", world.now + 2_000))) == [
        "Scheduled i 3 CALLBACK_REQUESTED start_at=+3000",
    ]
    assert told(world.wait(2_000)) == [
        "Queued i 4 CALLBACK_DUE position=1 estimated_wait=-1 again=True estimated_p90=-1",
    ]
    assert told(world.enqueue("j", start_at_ms=world.now + 1_500)) == [
        "Scheduled j 1 ENQUEUED start_at=+4500",
    ]
    assert told(world.wait(1_500)) == [
        "Queued j 2 SCHEDULE_DUE position=2 estimated_wait=-1 again=False estimated_p90=-1",
    ]
    assert told(world.wait(1_500)) == [
        "Overflowed i 5 WAIT from_queue=q rule=late",
    ]
    assert told(world.wait(2_000)) == [
        "Overflowed i 6 WAIT from_queue=q rule=later",
        "Queued i 7 OVERFLOWED position=1 estimated_wait=-1 again=True estimated_p90=-1",
    ]
    assert told(world.tell(cmd.CustomerLeft("j"))) == [
        "Abandoned j 3 CUSTOMER_LEFT waited=3500",
    ]
    assert told(world.wait(9_000)) == [
        "Cancelled i 8 OVERFLOW",
    ]
    assert told(world.enqueue("k", start_at_ms=world.now + 1_500)) == [
        "Scheduled k 1 ENQUEUED start_at=+18500",
    ]
    assert told(world.tell(cmd.CustomerLeft("k"))) == [
        "Abandoned k 2 CUSTOMER_LEFT waited=0",
    ]


def test_a_call_parks_mails_which_are_resumed() -> None:
    """Voice takes everything and may interrupt e-mail."""
    voice = ChannelCapacity("voice", 100, exclusive=True, interrupts=("email",))
    profile = CapacityProfile("", 100, (voice, ChannelCapacity("email", 25)), 0)
    world = World(a_pool(an_agent("a"), capacity=profile, queues=[a_queue(wrap_up_ms=1_000)], lease_ms=LONG))
    world.sign_in("a")
    world.enqueue("m1", channel="email")
    world.accept("m1")
    world.wait(1_000)
    world.enqueue("m2", channel="email")
    world.accept("m2")
    world.wait(1_000)
    assert told(world.enqueue("call", channel="voice")) == [
        "Queued call 1 ENQUEUED position=1 estimated_wait=0 again=False estimated_p90=0",
        "Parked m2 4 INTERRUPTED agent=a by=call",
        "to s-a (a): AssignmentNotice m2 assigned_at=+1000 wrapping_up=False wrap_up_until=0 parked=True customer_awaited=False",
        "Parked m1 4 INTERRUPTED agent=a by=call",
        "to s-a (a): AssignmentNotice m1 assigned_at=+0 wrapping_up=False wrap_up_until=0 parked=True customer_awaited=False",
        "Offered call 2 INTERRUPTS agent=a offer=call.2 expires_at=+12000 eligible=1 considered=1",
        "to s-a (a): OfferNotice call offer=call.2 expires_at=+12000 offered_at=+2000 reason=INTERRUPTS",
    ]
    assert told(world.tell(cmd.CompleteInteraction("a", "m1", "solved"))) == [
        "Completed m1 5 COMPLETED agent=a disposition=solved assigned_at=+0 wrap_up_until=0",
        "to s-a (a): EndedNotice interaction=m1 reason=COMPLETED",
    ]
    assert told(world.tell(cmd.DeclineOffer("a", "call.2"))) == [
        "OfferEnded call 3 DECLINED agent=a offer=call.2 end=DECLINED",
        "Resumed m2 5 RESUMED agent=a",
        "to s-a (a): AssignmentNotice m2 assigned_at=+1000 wrapping_up=False wrap_up_until=0 parked=False customer_awaited=False",
    ]
    assert told(world.enqueue("second", channel="voice")) == [
        "Queued second 1 ENQUEUED position=1 estimated_wait=0 again=False estimated_p90=0",
        "Parked m2 6 INTERRUPTED agent=a by=second",
        "to s-a (a): AssignmentNotice m2 assigned_at=+1000 wrapping_up=False wrap_up_until=0 parked=True customer_awaited=False",
        "Offered second 2 INTERRUPTS agent=a offer=second.2 expires_at=+12000 eligible=1 considered=1",
        "to s-a (a): OfferNotice second offer=second.2 expires_at=+12000 offered_at=+2000 reason=INTERRUPTS",
    ]
    assert told(world.tell(cmd.AcceptOffer("a", "second.2"))) == [
        "Assigned second 3 INTERRUPTS agent=a offer=second.2 waited=0 estimated_p50=0 estimated_p90=0 over_capacity=False",
        "to s-a (a): AssignmentNotice second assigned_at=+2000 wrapping_up=False wrap_up_until=0 parked=False customer_awaited=False",
    ]
    world.wait(1_000)
    assert told(world.complete("second")) == [
        "Completed second 4 COMPLETED agent=a disposition=solved assigned_at=+2000 wrap_up_until=+4000",
        "to s-a (a): AssignmentNotice second assigned_at=+2000 wrapping_up=True wrap_up_until=+4000 parked=False customer_awaited=False",
    ]
    assert told(world.tell(cmd.EndWrapUp("a", "second"))) == [
        "WrapUpEnded second 5 AGENT agent=a",
        "to s-a (a): EndedNotice interaction=second reason=WRAP_UP_ENDED",
        "Resumed m2 7 RESUMED agent=a",
        "to s-a (a): AssignmentNotice m2 assigned_at=+1000 wrapping_up=False wrap_up_until=0 parked=False customer_awaited=False",
    ]


def test_a_removed_queue_passes_its_interactions_on() -> None:
    """Waiting interactions are queued in the pool's first queue, the oldest first; offers are made again; held ones belong to that queue."""
    world = World(a_pool(an_agent("a"), an_agent("b"), queues=[a_queue(), a_queue("old")], lease_ms=LONG))
    world.sign_in("a", "b")
    world.enqueue("held", queue="old")
    world.accept("held")
    world.enqueue("offered", queue="old")
    world.enqueue("waiting", queue="old")
    assert told(
        world.tell(cmd.ActivateConfiguration(replace(a_pool(an_agent("a"), an_agent("b"), lease_ms=LONG), version=2)))
    ) == [
        "Changed held 4 QUEUE_REMOVED",
        "OfferEnded offered 3 QUEUE_REMOVED agent=b offer=offered.2 end=REVOKED",
        "to s-b (b): RevokedNotice offer=offered.2 reason=QUEUE_REMOVED",
        "Queued offered 4 QUEUE_REMOVED position=1 estimated_wait=0 again=True estimated_p90=0",
        "Queued waiting 2 QUEUE_REMOVED position=1 estimated_wait=-1 again=True estimated_p90=-1",
        "Offered offered 5 LONGEST_IDLE agent=b offer=offered.5 expires_at=+10000 eligible=1 considered=2",
        "to s-b (b): OfferNotice offered offer=offered.5 expires_at=+10000 offered_at=+0 reason=LONGEST_IDLE",
    ]
    assert told(world.tell(cmd.AcceptOffer("b", "offered.5"))) == [
        "Assigned offered 6 LONGEST_IDLE agent=b offer=offered.5 waited=0 estimated_p50=0 estimated_p90=0 over_capacity=False",
        "to s-b (b): AssignmentNotice offered assigned_at=+0 wrapping_up=False wrap_up_until=0 parked=False customer_awaited=False",
    ]
