"""The read model of SlaService, followed from the changelog."""

from services.chassis.kafka.records import Record
from services.policy.model.sla import Target
from services.sla.adapters.read_model import FIRST, ReadModel
from services.sla.domain.facts import RoutingFactKind
from services.sla.domain.measures import Tally, TallyKey
from services.sla.translate import state
from services.sla.translate.views import cursor_of, deadline_view, place_of
from tests.unit.sla.builders import MINUTE, T0, Watched, a_policy, a_target, calendars


class Followed:
    """An engine and a read model that gets each of its changes, as the lane would write it."""

    def __init__(self) -> None:
        self.watched = Watched(a_policy(a_target(Target.PICK_UP), a_target(Target.RESOLUTION)))
        self.model = ReadModel(calendars())

    def put(self, key: bytes, value: bytes | None, partition: int = 0) -> None:
        self.model.apply(Record("sla.state.v1", partition, 0, T0, key, value, ()))

    def write(self) -> None:
        tracked, changes = self.watched.tracked, self.watched.tracked.take_changes()
        for plan_id in changes.plans:
            plan = tracked.plans.get(plan_id)
            self.put(state.plan_key(plan_id), state.encode(plan) if plan else None)
        for name in changes.interactions:
            interaction = tracked.interactions.get(name)
            self.put(state.interaction_key(name), state.encode(interaction) if interaction else None)
        for key in changes.tallies:
            self.put(state.tally_key(key), state.encode(tracked.tallies[key]))

    def at_risk(self, within: int = 3_600_000, tenant: str = "acme", queue: str = "") -> list[tuple[str, str]]:
        found = self.model.at_risk(tenant, FIRST, T0 + within, queue)
        return [(interaction.interaction_id, deadline.target.name) for _, interaction, deadline in found]


def test_the_nearest_first_and_only_running_deadlines() -> None:
    """Kept, paused, breached and cancelled deadlines are not at risk."""
    f = Followed()
    for number, name in enumerate(("b", "a", "c")):
        f.watched.happens(RoutingFactKind.QUEUED, T0 + number * MINUTE, interaction=name, arrived=T0)
    f.watched.happens(RoutingFactKind.ASSIGNED, T0 + 3 * MINUTE, interaction="b")
    f.watched.happens(RoutingFactKind.AGENT_REPLIED, T0 + 3 * MINUTE, interaction="b")
    f.watched.happens(RoutingFactKind.ABANDONED, T0 + 3 * MINUTE, interaction="c")
    f.write()
    assert f.at_risk() == [("a", "RESOLUTION"), ("a", "PICK_UP")]
    assert f.at_risk(within=20 * MINUTE) == [("a", "RESOLUTION")]
    assert f.at_risk(tenant="other") == []
    assert f.at_risk(queue="support") == []


def test_an_interaction_forgotten_by_the_lane_is_gone() -> None:
    f = Followed()
    f.watched.happens(RoutingFactKind.QUEUED)
    f.watched.happens(RoutingFactKind.COMPLETED, T0 + MINUTE)
    f.write()
    assert f.model.interaction("acme", "i1") is not None
    assert f.model.interaction("other", "i1") is None
    f.watched.clock(T0 + 60 * MINUTE)
    f.write()
    assert f.model.interaction("acme", "i1") is None
    assert f.at_risk() == []


def test_a_page_continues_where_the_last_one_ended() -> None:
    """This holds also if the deadline at which the page ended is gone meanwhile."""
    f = Followed()
    for name in ("a", "b", "c"):
        f.watched.happens(RoutingFactKind.QUEUED, interaction=name)
    f.write()
    first, *_ = f.model.at_risk("acme", FIRST, T0 + 3_600_000, "")
    f.watched.happens(RoutingFactKind.ABANDONED, T0 + 1, interaction=first[1].interaction_id)
    f.write()
    rest = f.model.at_risk("acme", place_of(cursor_of(first[0])), T0 + 3_600_000, "")
    assert [interaction.interaction_id for _, interaction, _ in rest] == ["b", "b", "c", "c"]


def test_tallies_of_all_partitions_are_added_but_not_those_of_other_tenants() -> None:
    f = Followed()
    for partition, tenant, kept in ((0, "acme", 3), (1, "acme", 4), (1, "other", 50)):
        key = TallyKey(tenant, 19_000, "sales", "webchat", Target.PICK_UP)
        f.put(state.tally_key(key), state.encode(Tally(met_desired=kept)), partition)
    f.watched.happens(RoutingFactKind.QUEUED)
    f.write()
    assert sum(tally.met_desired for _, tally in f.model.tallies("acme")) == 7
    assert f.model.open("acme", "", "", Target.PICK_UP) == 1
    assert f.model.open("acme", "support", "", Target.PICK_UP) == 0
    assert f.model.open("other", "", "", Target.PICK_UP) == 0


def test_a_deadline_as_readers_see_it() -> None:
    """Used and remaining time are calendar time, now; after a breach the remaining time is negative and the overdue
    time grows."""
    f = Followed()
    f.watched.happens(RoutingFactKind.QUEUED)
    interaction, plan = f.watched.tracked.interactions["i1"], f.watched.tracked.plans["acme/1/standard"]
    pick_up = interaction.deadlines[0]
    view = deadline_view(interaction, pick_up, plan, f.watched.tracked.time_of(interaction), T0 + 5 * MINUTE)
    assert (view.used_ms, view.remaining_ms) == (5 * MINUTE, 15 * MINUTE)
    assert view.adequate_at.ToMilliseconds() == T0 + 20 * MINUTE
    f.watched.clock(T0 + 20 * MINUTE)
    late = deadline_view(interaction, pick_up, plan, f.watched.tracked.time_of(interaction), T0 + 27 * MINUTE)
    assert (late.used_ms, late.remaining_ms) == (20 * MINUTE, -7 * MINUTE)


def test_a_paused_deadline_shows_no_due_time() -> None:
    f = Followed()
    f.watched.happens(RoutingFactKind.QUEUED)
    f.watched.happens(RoutingFactKind.AGENT_REPLIED, T0 + 4 * MINUTE)
    interaction, plan = f.watched.tracked.interactions["i1"], f.watched.tracked.plans["acme/1/standard"]
    view = deadline_view(
        interaction, interaction.deadlines[1], plan, f.watched.tracked.time_of(interaction), T0 + 90 * MINUTE
    )
    assert not view.HasField("adequate_at")
    assert (view.used_ms, view.remaining_ms) == (4 * MINUTE, 16 * MINUTE)
