"""A queue that moves to another pool takes its work along, and a pool that is removed leaves none behind."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.domain import commands as cmd
from services.router.domain import effects as fx
from services.router.domain.changelog.snapshot import Restorer, collect
from services.router.domain.model import InteractionAttributes, Stage
from services.router.domain.pool.limits import Limits
from services.router.translate import codec
from tests.unit.router.invariants import check
from tests.unit.router.tenant import Layout, Tenant
from tests.unit.router.world import all_of, only

DAY = Layout({"sales": "day", "support": "day", "late": "night"}, {"ali": "day", "sara": "night"})
MOVED = Layout({"sales": "day", "support": "night", "late": "night"}, DAY.agents)
"""`support` is in the pool `night`."""


def a_tenant(*agents: str) -> Tenant:
    """Return a tenant with the pools `day` and `night`, whose agents are signed in."""
    tenant = Tenant(DAY)
    for agent in agents:
        tenant.sign_in(agent)
    tenant.settle()
    return tenant


def test_waiting_work_moves_with_its_queue_in_order_and_with_its_age() -> None:
    """Sara serves the oldest first; both have waited since they came, and their story goes on."""
    tenant = a_tenant()
    for name in ("z", "a"):
        tenant.enqueue(name, "support")
        tenant.settle()
        tenant.now += 1_000
    tenant.apply(MOVED)
    told = tenant.settle()
    assert [(e.attributes.interaction_id, e.epoch, e.reason) for e in all_of(told, fx.Changed)] == [
        ("z", 2, "QUEUE_MOVED"),
        ("a", 2, "QUEUE_MOVED"),
    ]
    assert [(e.attributes.interaction_id, e.epoch, e.again) for e in all_of(told, fx.Queued)] == [
        ("z", 3, True),
        ("a", 3, True),
    ]
    assert tenant.places() == {"z": [("support", "night")], "a": [("support", "night")]}
    tenant.now += 1_000
    tenant.sign_in("sara")
    offers = all_of(tenant.settle(), fx.Offered)
    assert [each.attributes.interaction_id for each in offers] == ["z", "a"]
    tenant.write("night", cmd.AcceptOffer("sara", offers[0].offer_id))
    assert only(tenant.settle(), fx.Assigned).waited_ms == 3_000


def test_assigned_work_is_taken_from_its_agent_and_routed_again_there() -> None:
    """Ali is in another pool than the queue now."""
    tenant = a_tenant("ali", "sara")
    tenant.enqueue("work", "support")
    offer = only(tenant.settle(), fx.Offered)
    tenant.write("day", cmd.AcceptOffer("ali", offer.offer_id))
    tenant.write("day", cmd.RecordReply("ali", "work", "r"))
    tenant.settle()
    tenant.apply(MOVED)
    told = tenant.settle()
    moved = only(told, fx.Transferred)
    assert (moved.from_agent_id, moved.reason, moved.queue) == ("ali", "QUEUE_MOVED", "support")
    assert only(told, fx.Offered).agent_id == "sara"
    tenant.write("night", cmd.AcceptOffer("sara", only(told, fx.Offered).offer_id))
    tenant.write("night", cmd.RecordReply("sara", "work", "r2"))
    assert not only(tenant.settle(), fx.Replied).first, "an agent has replied before"
    tallies = [tenant.engines[pool].core.count("support")[1] for pool in ("day", "night")]
    assert tallies == [1, 0], "the customer was answered, and is counted once"


def test_commands_about_moved_work_follow_it() -> None:
    """The customer's message is written to the old pool, by a caller who does not know of the move; once handled, it is not repeated."""
    tenant = a_tenant()
    tenant.enqueue("work", "support")
    early = cmd.CustomerMessaged("work", "m1", command_id="m1")
    tenant.write("day", early)
    tenant.settle()
    tenant.apply(MOVED)
    for command in (early, cmd.CustomerMessaged("work", "m2", command_id="m2"), cmd.CustomerLeft("work")):
        tenant.write("day", command)
    told = tenant.settle()
    assert [each.message_id for each in all_of(told, fx.CustomerMessaged)] == ["m2"]
    assert only(told, fx.Abandoned).attributes.queue == "support"
    assert tenant.places() == {}


def test_new_work_for_a_moved_queue_goes_there_although_its_caller_does_not_know() -> None:
    tenant = a_tenant("sara")
    tenant.apply(MOVED)
    tenant.settle()
    tenant.enqueue("work", "support", pool="day")
    tenant.write("day", tenant.logs["day"][0])  # and twice
    told = tenant.settle()
    queued = only(told, fx.Queued)
    assert (queued.epoch, queued.reason, queued.again, queued.attributes.queue) == (1, "ENQUEUED", False, "support")
    assert only(told, fx.Offered).agent_id == "sara"
    assert tenant.places() == {"work": [("support", "night")]}


def test_a_removed_pool_leaves_no_work_behind() -> None:
    """Its queues are gone too, so the tenant's first queue takes the work; the agents are signed out."""
    tenant = a_tenant("ali", "sara")
    tenant.enqueue("held", "late")
    offer = only(tenant.settle(), fx.Offered)
    tenant.write("night", cmd.AcceptOffer("sara", offer.offer_id))
    tenant.settle()
    tenant.apply(Layout({"sales": "day"}, {"ali": "day"}))
    told = tenant.settle()
    assert only(told, fx.AgentStateChanged).reason == "AGENT_REMOVED"
    assert only(told, fx.Changed).reason == "QUEUE_REMOVED"
    assert only(told, fx.Offered).agent_id == "ali"
    assert tenant.places() == {"held": [("sales", "day")]}
    tenant.enqueue("next", "late", pool="night")
    assert only(tenant.settle(), fx.Queued).reason == "UNKNOWN_QUEUE"
    assert tenant.places()["next"] == [("sales", "day")]


def test_scheduled_work_keeps_its_time_in_the_other_pool() -> None:
    """A callback is due ten seconds later, and has waited two seconds in all: those before the request and those after its time."""
    tenant = a_tenant()
    tenant.enqueue("call", "support")
    tenant.settle()
    tenant.now += 1_000
    tenant.write("day", cmd.RequestCallback("call", tenant.now + 10_000))
    tenant.settle()
    tenant.now += 4_000
    tenant.apply(MOVED)
    assert only(tenant.settle(), fx.Scheduled).start_at_ms == tenant.now + 6_000
    night = tenant.engines["night"]
    assert night.core.interactions["call"].stage is Stage.SCHEDULED
    tenant.now += 6_000
    assert only(night.advance(tenant.now), fx.Queued).reason == "CALLBACK_DUE"
    interaction = night.core.interactions["call"]
    tenant.now += 1_000
    assert (interaction.waited_ms(tenant.now), tenant.now - interaction.enqueued_at) == (2_000, 2_000)


def test_wrap_up_ends_where_it_began() -> None:
    """The customer has been served: nothing is routed again."""
    tenant = a_tenant("ali")
    tenant.enqueue("served", "support")
    tenant.write("day", cmd.AcceptOffer("ali", only(tenant.settle(), fx.Offered).offer_id))
    tenant.settle()
    tenant.engines["day"].core.interactions["served"].stage = Stage.WRAP_UP
    tenant.engines["day"].core.interactions["served"].wrap_until = tenant.now + 9_000
    tenant.apply(MOVED)
    assert all_of(tenant.settle(), fx.HandedOver) == []
    tenant.write("day", cmd.EndWrapUp("ali", "served"))
    assert only(tenant.settle(), fx.WrapUpEnded).agent_id == "ali"


def test_a_pool_that_has_not_taken_the_version_keeps_what_it_gets() -> None:
    """Two pools that read different versions would pass it to each other for ever."""
    tenant = a_tenant()
    tenant.enqueue("work", "support")
    tenant.settle()
    tenant.apply(MOVED)
    tenant.logs["night"].clear()  # as if `night` had refused the version
    tenant.settle()
    assert tenant.places() == {"work": [("late", "night")]}


def test_the_next_owner_of_the_pool_knows_what_has_moved() -> None:
    """It sends commands after the work, and new work to the right pool."""
    tenant = a_tenant()
    tenant.enqueue("work", "support")
    tenant.settle()
    tenant.apply(MOVED)
    tenant.settle()
    restorer = Restorer()
    for (kind, name), value in collect(tenant.engines["day"], tenant.now):
        if value is not None:
            restorer.add(name, codec.decode(kind, codec.encode(value)))
    tenant.engines["day"] = restorer.engine(tenant.now)
    tenant.write("day", cmd.CustomerMessaged("work", "m"))
    tenant.enqueue("new", "support", pool="day")
    told = tenant.settle()
    assert only(told, fx.CustomerMessaged).message_id == "m"
    assert tenant.places()["new"] == [("support", "night")]


def test_a_second_command_that_opens_moved_work_does_not_double_it() -> None:
    """It names another queue, and has another id."""
    tenant = a_tenant()
    tenant.enqueue("work", "support")
    tenant.settle()
    tenant.apply(MOVED)
    tenant.settle()
    attributes = InteractionAttributes("work", "c-work", channel="chat", queue="sales")
    tenant.write("day", cmd.Enqueue(attributes, command_id="again"))
    assert only(tenant.settle(), fx.Result).reason == "ALREADY_OPEN"
    assert tenant.places() == {"work": [("support", "night")]}


def test_a_queue_that_comes_back_brings_its_work_back() -> None:
    """The first pool decides about it again, so no command is sent after it any more."""
    tenant = a_tenant()
    tenant.enqueue("work", "support")
    for layout in (MOVED, DAY):
        tenant.apply(layout)
        tenant.settle()
    assert tenant.places() == {"work": [("support", "day")]}
    tenant.write("day", cmd.CustomerMessaged("work", "m"))
    assert only(tenant.settle(), fx.CustomerMessaged).epoch == 6


def test_rules_that_have_fired_do_not_fire_again_in_the_other_pool() -> None:
    tenant = a_tenant()
    tenant.enqueue("work", "support")
    tenant.settle()
    tenant.engines["day"].core.interactions["work"].overflowed = ("support/late",)
    tenant.apply(MOVED)
    tenant.settle()
    assert tenant.engines["night"].core.interactions["work"].overflowed == ("support/late",)


def test_the_oldest_moves_are_forgotten() -> None:
    """The memory of a pool is bounded; a command about forgotten work is refused."""
    tenant = a_tenant()
    core = tenant.engines["day"].core
    core.limits = Limits(moves_kept=1)
    for name in ("old", "new"):
        tenant.enqueue(name, "support")
        tenant.settle()
        tenant.now += 1
    tenant.apply(MOVED)
    tenant.settle()
    assert core.moved == {"new": "night"}
    assert core.dirty["m", "old"] is None
    tenant.write("day", cmd.CustomerLeft("old"))
    assert only(tenant.settle(), fx.Result).reason == "UNKNOWN_INTERACTION"


POOLS, QUEUES = ("a", "b", "c"), ("q", "r", "s", "t")
LAYOUTS = st.builds(
    Layout,
    st.dictionaries(st.sampled_from(QUEUES), st.sampled_from(POOLS), min_size=1),
    st.dictionaries(st.sampled_from(("x", "y")), st.sampled_from(POOLS)),
)
STEPS = st.lists(
    st.one_of(
        LAYOUTS,
        st.tuples(st.just("enqueue"), st.sampled_from(QUEUES), st.integers(0, 9)),
        st.tuples(st.just("read"), st.sampled_from(POOLS), st.integers(1, 3)),
        st.tuples(st.sampled_from(("leave", "message", "cancel", "accept", "sign in")), st.just(""), st.integers(0, 9)),
    ),
    max_size=40,
)


class Life:
    """The life of a tenant: each step writes commands, by what its callers believe."""

    def __init__(self, first: Layout) -> None:
        self.tenant = Tenant(first)
        self.origin: dict[str, str] = {}
        """The pool to which each interaction was written: its callers write there as long as it is open."""
        self.messages: list[str] = []
        """The interaction of each message."""

    def step(self, step: Layout | tuple[str, str, int]) -> None:
        """Carry out one step."""
        tenant = self.tenant
        tenant.now += 1_000
        if isinstance(step, Layout):
            tenant.apply(step)
            return
        what, name, n = step
        pool, known = POOLS[n % len(POOLS)], sorted(self.origin)
        one = known[n % len(known)] if known else ""
        match what:
            case "enqueue" if pool in tenant.logs:
                self.origin[f"i{len(self.origin)}"] = pool
                tenant.enqueue(f"i{len(self.origin) - 1}", name, pool)
            case "read":
                for _ in range(min(n, len(tenant.logs.get(name, ())))):
                    tenant.read(name)
            case "message" if one:
                self.messages.append(one)
                tenant.write(self.origin[one], cmd.CustomerMessaged(one, str(len(self.messages) - 1)))
            case "leave" if one:
                tenant.write(self.origin[one], cmd.CustomerLeft(one))
            case "cancel" if one:
                tenant.write(self.origin[one], cmd.CancelInteraction(one))
            case "sign in" if tenant.layout.agents:
                tenant.sign_in(sorted(tenant.layout.agents)[n % len(tenant.layout.agents)])
            case "accept":
                offers = [
                    (where, offer.agent_id, offer.offer_id)
                    for where, engine in tenant.engines.items()
                    for interaction in engine.core.interactions.values()
                    for offer in interaction.offers.values()
                ]
                if offers:
                    where, agent, offer_id = offers[n % len(offers)]
                    tenant.write(where, cmd.AcceptOffer(agent, offer_id))

    def closed(self) -> set[str]:
        """Return the interactions whose end was published."""
        ends = (fx.Abandoned, fx.Cancelled)
        return {e.attributes.interaction_id for _, e in self.tenant.effects if isinstance(e, ends)}


@settings(max_examples=300)
@given(LAYOUTS, STEPS)
def test_no_work_is_lost_doubled_or_left_in_a_queue_that_does_not_exist(
    first: Layout, steps: list[Layout | tuple[str, str, int]]
) -> None:
    """Whatever versions come, however far each pool has read, and whatever callers believe: in the end each open interaction is in one pool, in a
    queue that the newest version has there, and its events are numbered without a gap."""
    life = Life(first)
    for step in steps:
        life.step(step)
    life.tenant.settle()
    tenant = life.tenant
    places = tenant.places()
    assert set(places) == set(life.origin) - life.closed()
    for name, found in places.items():
        ((queue, pool),) = found
        assert tenant.layout.queues.get(queue) == pool, name
    for engine in tenant.engines.values():
        check(engine.core)
    numbers: dict[str, list[int]] = {}
    for _, effect in tenant.effects:
        if isinstance(effect, fx.Event):
            numbers.setdefault(effect.attributes.interaction_id, []).append(effect.epoch)
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())
    told = [e.message_id for _, e in tenant.effects if isinstance(e, fx.CustomerMessaged)]
    assert len(told) == len(set(told))
    assert {str(n) for n, name in enumerate(life.messages) if name in places} <= set(told)


def naive_home(queue: str, pool: str, layout: Layout) -> tuple[str, str]:
    """Return where work of a queue belongs under a version, said once more in plain words."""
    if queue in layout.queues:
        return queue, layout.queues[queue]
    for name, where in layout.queues.items():
        if where == pool:
            return name, pool
    return next(iter(layout.queues.items()))


@settings(max_examples=200)
@given(LAYOUTS, st.lists(st.one_of(LAYOUTS, st.tuples(st.sampled_from(QUEUES), st.integers(0, 2))), max_size=30))
def test_the_naive_rule_agrees_about_every_place(first: Layout, steps: list[Layout | tuple[str, int]]) -> None:
    """Where every pool has read everything before the next version, each interaction is where the rule alone puts it, and the oldest are first."""
    tenant = Tenant(first)
    expected: dict[str, tuple[str, str]] = {}
    for step in steps:
        tenant.now += 1_000
        if isinstance(step, Layout):
            tenant.apply(step)
            expected = {name: naive_home(*place, step) for name, place in expected.items()}
        else:
            queue, n = step
            pool = tenant.layout.pools[n % len(tenant.layout.pools)]
            name = f"i{99 - len(expected)}"  # the order of ids is not that of arrival
            expected[name] = naive_home(queue, pool, tenant.layout)
            tenant.enqueue(name, queue, pool)
        tenant.settle()
        assert tenant.places() == {name: [place] for name, place in expected.items()}
    for engine in tenant.engines.values():
        for line in engine.core.lines.all():
            waiting = [engine.core.interactions[interaction_id] for _, _, interaction_id in line.ranks]
            arrived = [each.attributes.arrived_at_ms for each in waiting]
            assert arrived == sorted(arrived)
