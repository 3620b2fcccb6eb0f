"""Measures: exact, counted once, at the time of the event; a contact is repeated if the person comes back within the
window."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from services.sla.domain.analytics import Analytics, who
from services.sla.domain.facts import RoutingFact, RoutingFactKind
from services.sla.domain.flow import Contact, Flow, FlowKey, Times, bucket_of, middle_of, repeats, together
from services.sla.domain.measures import DAY_MS, SLOT_MS, WHOLE_DAY
from services.sla.domain.report import MeasuresQuery, backlog, measured
from services.sla.domain.tracked_interactions import TrackedInteractions
from tests.unit.sla.builders import FORGET_AFTER, MINUTE, T0, a_fact, calendars

DAY0 = T0 // DAY_MS * DAY_MS


def new_analytics() -> Analytics:
    return Analytics(TrackedInteractions(calendars(), FORGET_AFTER), FORGET_AFTER)


def observed(analytics: Analytics, *facts: RoutingFact) -> Analytics:
    for fact in facts:
        analytics.observe(fact, [], fact.occurred_at_ms)
    return analytics


def test_an_interaction_is_measured_from_contact_to_completion() -> None:
    """It came at 0, was queued at 10 s, picked up at 40 s and answered at 1 min; the customer wrote again at 5 and 6
    min; it was answered at 8 min and completed at 20 min."""
    analytics = observed(
        new_analytics(),
        a_fact(RoutingFactKind.QUEUED, T0 + 10_000, arrived=T0, epoch=1),
        a_fact(RoutingFactKind.ASSIGNED, T0 + 40_000, epoch=2),
        a_fact(RoutingFactKind.AGENT_REPLIED, T0 + MINUTE, epoch=3),
        a_fact(RoutingFactKind.CUSTOMER_MESSAGED, T0 + 5 * MINUTE, epoch=4),
        a_fact(RoutingFactKind.CUSTOMER_MESSAGED, T0 + 6 * MINUTE, epoch=5),
        a_fact(RoutingFactKind.AGENT_REPLIED, T0 + 8 * MINUTE, epoch=6),
        a_fact(RoutingFactKind.AGENT_REPLIED, T0 + 9 * MINUTE, epoch=7),
        a_fact(RoutingFactKind.COMPLETED, T0 + 20 * MINUTE, epoch=8),
    )
    flow = together(analytics.flows.values())
    assert (flow.contacts, flow.completed, flow.abandoned, flow.cancelled) == (1, 1, 0, 0)
    assert (flow.pick_up.n, flow.pick_up.sum_ms) == (1, 30_000)
    assert (flow.first_response.n, flow.first_response.sum_ms) == (1, MINUTE)
    assert (flow.response.n, flow.response.sum_ms) == (2, 4 * MINUTE), "a second reply in a row answers nothing"
    assert (flow.resolution.n, flow.resolution.sum_ms) == (1, 20 * MINUTE)


def test_nothing_is_counted_twice() -> None:
    """A repeated event, or any event after the end, changes nothing."""
    life = [
        a_fact(RoutingFactKind.QUEUED, T0, epoch=1),
        a_fact(RoutingFactKind.AGENT_REPLIED, T0 + MINUTE, epoch=2),
        a_fact(RoutingFactKind.CUSTOMER_MESSAGED, T0 + 2 * MINUTE, epoch=3),
        a_fact(RoutingFactKind.AGENT_REPLIED, T0 + 3 * MINUTE, epoch=4),
        a_fact(RoutingFactKind.COMPLETED, T0 + 4 * MINUTE, epoch=5),
    ]
    once, twice = observed(new_analytics(), *life), observed(new_analytics(), *life[:4], *life[:4], *life, *life)
    assert once.flows == twice.flows
    assert len(twice.contacts) == 1


def test_a_reopened_interaction_is_counted_once_and_open_again() -> None:
    """Completed, queued again, answered, completed: one contact, one resolution, two responses. In between it is in
    the backlog, and it is not forgotten when the first end is long past."""
    again = replace(a_fact(RoutingFactKind.QUEUED, T0 + 5 * MINUTE, epoch=4), again=True)
    analytics = observed(
        new_analytics(),
        a_fact(RoutingFactKind.QUEUED, T0, epoch=1),
        a_fact(RoutingFactKind.AGENT_REPLIED, T0 + MINUTE, epoch=2),
        a_fact(RoutingFactKind.COMPLETED, T0 + 2 * MINUTE, epoch=3),
        again,
    )
    [row] = backlog(analytics.stories.values(), T0 + 6 * MINUTE).values()
    assert (row.open, row.unanswered) == (1, 1)
    analytics.advance(T0 + 3 * FORGET_AFTER, T0 + 3 * FORGET_AFTER)
    observed(
        analytics,
        a_fact(RoutingFactKind.AGENT_REPLIED, T0 + 4 * FORGET_AFTER, epoch=5),
        a_fact(RoutingFactKind.COMPLETED, T0 + 4 * FORGET_AFTER + 1, epoch=6),
    )
    flow = together(analytics.flows.values())
    assert (flow.contacts, flow.completed, flow.resolution.n, flow.first_response.n, flow.response.n) == (1, 1, 1, 1, 2)
    analytics.advance(T0 + 9 * FORGET_AFTER, T0 + 9 * FORGET_AFTER)
    assert not analytics.stories


def test_events_count_for_the_queue_at_their_time() -> None:
    """It moved to support before the reply: the contact counts for sales, the reply for support; half hours are
    counted separately."""
    analytics = observed(
        new_analytics(),
        a_fact(RoutingFactKind.QUEUED, DAY0, epoch=1),
        a_fact(RoutingFactKind.MOVED, DAY0 + MINUTE, epoch=2, queue="support"),
        a_fact(RoutingFactKind.AGENT_REPLIED, DAY0 + 31 * MINUTE, epoch=3, queue="support"),
    )
    found = {(key.slot, key.queue): flow for key, flow in analytics.flows.items()}
    assert found[0, "sales"].contacts == 1
    assert found[1, "support"].first_response.sum_ms == 31 * MINUTE
    assert found[0, "support"] == Flow()


def test_interactions_without_a_policy_are_measured_too() -> None:
    analytics = observed(
        new_analytics(), a_fact(RoutingFactKind.QUEUED), a_fact(RoutingFactKind.ABANDONED, T0 + MINUTE, epoch=2)
    )
    assert together(analytics.flows.values()).abandoned == 1
    analytics.advance(T0 + 2 * FORGET_AFTER, T0 + 2 * FORGET_AFTER)
    assert not analytics.stories, "a closed interaction is forgotten after its retention time"


@dataclass
class Naive:
    """All measures from a list of facts, calculated the slow and simple way."""

    flows: dict[FlowKey, dict[str, list[int]]] = field(default_factory=dict)

    def note(self, fact: RoutingFact, queue: str, name: str, ms: int = 0) -> None:
        at = fact.occurred_at_ms
        key = FlowKey(fact.tenant, at // DAY_MS, at % DAY_MS // SLOT_MS, queue, fact.channel)
        self.flows.setdefault(key, {}).setdefault(name, []).append(ms)

    def count(self, facts: Iterable[RoutingFact]) -> "Naive":
        by_interaction: dict[str, list[RoutingFact]] = {}
        for fact in facts:
            by_interaction.setdefault(fact.interaction_id, []).append(fact)
        for life in by_interaction.values():
            begun = next((at for at, f in enumerate(life) if f.kind is RoutingFactKind.QUEUED and not f.again), None)
            if begun is None:
                continue
            self._live(life[begun], _taken(life[begun + 1 :]))
        return self

    def _live(self, first: RoutingFact, rest: Iterable[RoutingFact]) -> None:
        self.note(first, first.queue, "contacts")
        messages: list[int] = [first.arrived_at_ms]
        picked = answered = completed = closed = False
        for fact in rest:
            at = fact.occurred_at_ms
            if closed:
                messages, closed = [at], False
            match fact.kind:
                case RoutingFactKind.ASSIGNED if not picked:
                    picked = True
                    self.note(fact, fact.queue, "pick_up", at - first.occurred_at_ms)
                case RoutingFactKind.CUSTOMER_MESSAGED:
                    messages.append(at)
                case RoutingFactKind.CUSTOMER_LEFT:
                    messages = []
                case RoutingFactKind.REPLY_FAILED:
                    messages = messages or [at]
                case RoutingFactKind.AGENT_REPLIED | RoutingFactKind.REPLY_WRITTEN:
                    if not answered:
                        answered = True
                        self.note(fact, fact.queue, "first_response", at - first.arrived_at_ms)
                    if messages:
                        self.note(fact, fact.queue, "response", at - messages[0])
                        messages = []
                case RoutingFactKind.COMPLETED:
                    if not completed:
                        self.note(fact, fact.queue, "completed")
                        self.note(fact, fact.queue, "resolution", at - first.arrived_at_ms)
                    completed = closed = True
                case RoutingFactKind.ABANDONED | RoutingFactKind.CANCELLED:
                    self.note(fact, fact.queue, fact.kind.name.lower())
                case _:
                    pass


def _taken(rest: list[RoutingFact]) -> list[RoutingFact]:
    """Of the facts after the first, return those that happen while the interaction is open. A completed interaction
    is open again when it is queued again."""
    found: list[RoutingFact] = []
    closed: RoutingFactKind | None = None
    for fact in rest:
        if closed is not None and not (
            closed is RoutingFactKind.COMPLETED and fact.kind is RoutingFactKind.QUEUED and fact.again
        ):
            continue
        closed = (
            fact.kind
            if fact.kind in (RoutingFactKind.COMPLETED, RoutingFactKind.ABANDONED, RoutingFactKind.CANCELLED)
            else None
        )
        found.append(fact)
    return found


steps = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(RoutingFactKind),
        st.integers(0, 40 * MINUTE),
        st.sampled_from(["sales", "support"]),
        st.integers(0, MINUTE),
        st.booleans(),
    ),
    max_size=60,
)


def lives(drawn: list[tuple[str, RoutingFactKind, int, str, int, bool]]) -> list[RoutingFact]:
    now, found = T0, []
    for epoch, (name, kind, later, queue, before, again) in enumerate(drawn, 1):
        now += later
        fact = a_fact(kind, now, interaction=name, epoch=epoch, queue=queue, arrived=now - before, again=again)
        found.append(replace(fact, person_id=f"p-{name}"))
    return found


@settings(max_examples=200)
@given(steps)
def test_measures_equal_a_naive_count_of_the_facts(
    drawn: list[tuple[str, RoutingFactKind, int, str, int, bool]],
) -> None:
    facts = lives(drawn)
    analytics = Analytics(TrackedInteractions(calendars(), 10 * DAY_MS), 10 * DAY_MS)
    observed(analytics, *facts)
    naive = Naive().count(facts).flows
    assert {key for key, flow in analytics.flows.items() if flow != Flow()} == set(naive)
    for key, by_name in naive.items():
        flow = analytics.flows[key]
        for name in ("contacts", "completed", "abandoned", "cancelled"):
            assert getattr(flow, name) == len(by_name.get(name, []))
        for name in ("pick_up", "first_response", "response", "resolution"):
            times: Times = getattr(flow, name)
            wanted = by_name.get(name, [])
            assert (times.n, times.sum_ms) == (len(wanted), sum(wanted))
            assert times.buckets == {b: sum(bucket_of(ms) == b for ms in wanted) for b in map(bucket_of, wanted)}


@given(st.lists(st.integers(0, 10**9), min_size=1), st.lists(st.integers(0, 10**9)), st.floats(0.01, 1))
def test_durations_merge_exactly_and_quantiles_are_near(one: list[int], other: list[int], share: float) -> None:
    """The sum of two equals noting all durations in one; a quantile is within one part in sixteen of the true one."""
    left, right, both = Times(), Times(), Times()
    for ms in one:
        left.note(ms)
        both.note(ms)
    for ms in other:
        right.note(ms)
        both.note(ms)
    left.add(right)
    assert (left.n, left.sum_ms, left.buckets) == (both.n, both.sum_ms, both.buckets)
    ordered = sorted(one + other)
    real = next(ms for at, ms in enumerate(ordered, 1) if at >= share * len(ordered))
    assert abs(both.quantile_ms(share) - real) <= real / 16 + 0.5
    mean, low, high = both.mean_ms()
    assert low <= mean <= high


@given(st.integers(0, 10**12))
def test_buckets_are_in_order(ms: int) -> None:
    assert bucket_of(ms) <= bucket_of(ms + 1) <= bucket_of(ms) + 1
    assert bucket_of(round(middle_of(bucket_of(ms)) - 0.25)) == bucket_of(ms)


def test_a_contact_within_the_window_is_repeated() -> None:
    """Three contacts of one person, at day 0, 6 and 14: the second is repeated, the third is not. Another person and
    the same person at another tenant do not count."""
    contacts = [
        Contact(name, tenant, person, T0 + day * DAY_MS, "sales", "webchat")
        for name, tenant, person, day in (
            ("1", "acme", 1, 0),
            ("2", "acme", 1, 6),
            ("3", "acme", 1, 14),
            ("4", "acme", 2, 6),
            ("5", "other", 1, 7),
        )
    ]
    week = 7 * DAY_MS
    assert repeats(contacts, 0, T0 + 99 * DAY_MS, week) == {"1": False, "2": True, "3": False, "4": False, "5": False}
    assert repeats(contacts, T0 + DAY_MS, T0 + 7 * DAY_MS, week) == {"2": True, "4": False}


def test_a_person_is_the_same_in_every_conversation() -> None:
    """If the person is not known, the conversation is counted in their place."""
    one = replace(a_fact(RoutingFactKind.QUEUED), person_id="p")
    assert who(one) == who(replace(one, conversation_id="another"))
    assert who(one) != who(replace(one, tenant="other"))
    assert who(replace(one, person_id="")) != who(replace(one, person_id="", conversation_id="another"))


def test_groups_add_up_to_the_total() -> None:
    """By queue and by any period, the counts of the rows add up to the total; a range that begins later leaves out
    earlier counts."""
    facts = lives([("a", RoutingFactKind.QUEUED, 0, "sales", 0, False), ("b", RoutingFactKind.QUEUED, 45 * MINUTE, "support", 0, False),
                   ("a", RoutingFactKind.AGENT_REPLIED, MINUTE, "sales", 0, False)])  # fmt: skip
    analytics = observed(new_analytics(), *facts)

    def ask(query: MeasuresQuery) -> dict[tuple[int, str, str], tuple[int, int]]:
        rows = measured(query, [], analytics.flows.items(), analytics.new_contacts.values(), 7 * DAY_MS, 0)
        return {group: (row.flow.contacts, row.contacts) for group, row in rows.items() if row.flow.contacts}

    far = T0 + DAY_MS
    assert ask(MeasuresQuery(0, far)) == {(0, "", ""): (2, 2)}
    assert ask(MeasuresQuery(0, far, by_queue=True)) == {(0, "sales", ""): (1, 1), (0, "support", ""): (1, 1)}
    slot = T0 // SLOT_MS * SLOT_MS
    by_slot = ask(MeasuresQuery(0, far, period=lambda at: at // SLOT_MS * SLOT_MS))
    assert by_slot == {(slot, "", ""): (1, 1), (slot + SLOT_MS, "", ""): (1, 1)}
    assert ask(MeasuresQuery(slot + SLOT_MS, far)) == {(0, "", ""): (1, 1)}
    assert ask(MeasuresQuery(0, far, queue="support")) == {(0, "", ""): (1, 1)}


def test_state_is_bounded() -> None:
    """After 31 days counts are gone; with too many entries the oldest days become whole days, and no count is lost."""
    analytics = Analytics(TrackedInteractions(calendars(), FORGET_AFTER), FORGET_AFTER, most_flows=10)
    for number in range(40):
        at = DAY0 + number * 3 * SLOT_MS
        observed(analytics, a_fact(RoutingFactKind.QUEUED, at, interaction=f"i{number}", epoch=1))
    assert len(analytics.flows) <= 20
    assert together(analytics.flows.values()).contacts == 40
    assert any(key.slot == WHOLE_DAY for key in analytics.flows)
    observed(analytics, a_fact(RoutingFactKind.QUEUED, DAY0 + 40 * DAY_MS, interaction="late", epoch=1))
    assert together(analytics.flows.values()).contacts == 1


def test_the_backlog_by_age() -> None:
    """A new interaction, an old one that waits for the customer, and one with an agent; a closed one is not in the
    backlog."""
    analytics = observed(
        new_analytics(),
        a_fact(RoutingFactKind.QUEUED, T0, interaction="old", epoch=1),
        a_fact(RoutingFactKind.ASSIGNED, T0 + MINUTE, interaction="old", epoch=2),
        a_fact(RoutingFactKind.AGENT_REPLIED, T0 + MINUTE, interaction="old", epoch=3),
        a_fact(RoutingFactKind.QUEUED, T0 + MINUTE, interaction="gone", epoch=1),
        a_fact(RoutingFactKind.ABANDONED, T0 + 2 * MINUTE, interaction="gone", epoch=2),
        a_fact(RoutingFactKind.QUEUED, T0 + 119 * MINUTE, interaction="new", epoch=1),
    )
    [row] = backlog(analytics.stories.values(), T0 + 120 * MINUTE).values()
    assert (row.open, row.waiting, row.unanswered, row.oldest_ms) == (2, 1, 1, T0)
    assert [tuple(age) for age in row.ages][:5] == [(1, 1), (0, 0), (0, 0), (1, 0), (0, 0)]
