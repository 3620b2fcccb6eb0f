"""The model of `chapar size`: costs by rate, shares of partitions, memory, brokers, and reading figures."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.sizing.costs import PROCESSES, Costs, ProcessCost, costs_of, newest
from services.cli.sizing.model import SERVICES, Assumptions, Load, cpu_ms_per_s, plan
from services.cli.sizing.reference import REFERENCE

COST = ProcessCost(idle=20.0, at=((4.0, 20.0), (8.0, 12.0), (16.0, 8.0)), exchange=2.0)


def some_costs(**of: ProcessCost) -> Costs:
    """Return costs that are the same for every process, except those given."""
    return Costs(
        {name: of.get(name, COST) for name in PROCESSES},
        kilobytes_in=100.0,
        kilobytes_out=120.0,
        kilobyte_days=500.0,
        idle_mb=dict.fromkeys(SERVICES, 100.0),
        open_kb=dict.fromkeys(SERVICES, 10.0),
        agent_kb=4.0,
        shard_per_s=1000.0,
        source="a test",
    )


@pytest.mark.parametrize(
    ("rate", "cost"), [(1, 20.0), (4, 20.0), (6, 16.0), (8, 12.0), (12, 10.0), (16, 8.0), (500, 8.0)]
)
def test_a_cost_lies_between_measured_rates_and_stays_outside_them(rate: float, cost: float) -> None:
    """On a line between two measured rates; never below the last one, which nothing has measured."""
    assert COST.interaction(rate) == cost


def test_twice_the_processes_have_half_the_rate_each() -> None:
    """Their batches are smaller, so an interaction costs more; and each process has its idle cost."""
    assert cpu_ms_per_s(COST, 16, 1) == 20 + 16 * 8
    assert cpu_ms_per_s(COST, 16, 2) == 2 * 20 + 16 * 12
    assert cpu_ms_per_s(COST, 16, 4) == 4 * 20 + 16 * 20
    assert cpu_ms_per_s(COST, 16, 1, exchanges=4) == 20 + 16 * (8 + 3 * 2)


@given(st.floats(0.1, 5000), st.floats(1, 20))
def test_no_pod_is_planned_above_its_share_of_a_core(rate: float, exchanges: float) -> None:
    """The busiest pod has its partitions rounded up, and partitions are at least twice the pods."""
    found = plan(Load(rate, pools=10_000, exchanges=exchanges), some_costs())
    for service in found.services.values():
        assert service.pods >= 2
        assert service.partitions >= 2 * service.pods
        assert service.busiest <= Assumptions().utilisation
    assert found.brokers.brokers >= Assumptions().replication


def test_the_busiest_pod_has_its_partitions_rounded_up() -> None:
    """With twelve partitions, five pods are not enough for this rate: one of them would have three, a quarter of all."""
    flat = ProcessCost(idle=0.0, at=((1.0, 10.0),), exchange=0.0)
    service = plan(Load(285.0, pools=100), some_costs(router=flat)).services["router"]
    assert (service.pods, service.partitions) == (6, 12)
    assert service.busiest == pytest.approx(285 * 10 / 1000 * 2 / 12, abs=0.01)


@given(st.floats(0.1, 2000), st.floats(1.1, 4))
def test_more_load_never_needs_less(rate: float, factor: float) -> None:
    """Of cores, memory, network and disk."""
    less, more = (plan(Load(each, pools=100), some_costs()) for each in (rate, rate * factor))
    for name in SERVICES:
        assert more.services[name].pods >= less.services[name].pods
    assert more.brokers.in_mb_s >= less.brokers.in_mb_s
    assert more.brokers.brokers >= less.brokers.brokers


def test_one_pool_that_is_too_large_is_named() -> None:
    """One shard decides it, whatever the number of pods."""
    alone = plan(Load(900.0, pools=1), some_costs())
    assert alone.pool_share == 0.9
    assert any("make more pools" in warning for warning in alone.warnings)
    assert not any("make more pools" in each for each in plan(Load(900.0, pools=100), some_costs()).warnings)


def test_replication_multiplies_what_brokers_receive() -> None:
    """Each copy is received by one more broker and sent by the leader."""
    load = Load(1024.0, exchanges=1)
    one, three = (plan(load, some_costs(), Assumptions(replication=copies)).brokers for copies in (1, 3))
    assert (one.in_mb_s, one.out_mb_s) == (100.0, 120.0)
    assert (three.in_mb_s, three.out_mb_s) == (300.0, 320.0)


def test_memory_has_open_interactions_and_agents() -> None:
    """4 a second for 1,000 s, half of them in each of two pods; the router has the agents too; half as much again."""
    found = plan(Load(4.0, agents=1024, open_s=1000.0), some_costs(), Assumptions(memory_headroom=1.0)).services
    assert found["sla"].memory_mb == round(100 + 2000 * 10 / 1024)
    assert found["router"].memory_mb == round(100 + 2000 * 10 / 1024 + 4)


@pytest.mark.parametrize("load", [Load(0.0), Load(-1.0), Load(1.0, pools=0)])
def test_a_load_that_is_none_is_refused(load: Load) -> None:
    """Nothing can be computed for it."""
    with pytest.raises(ValueError, match="must be positive"):
        plan(load, some_costs())


def test_the_newest_value_of_each_figure_counts() -> None:
    """Lines that are cut, or not figures, are left out: benches append while this is read."""
    lines = [
        json.dumps({"figure": "a", "value": 1}),
        json.dumps({"figure": "a", "value": 2.5}),
        json.dumps({"figure": "b", "value": "text"}),
        json.dumps(["figure", "c"]),
        json.dumps({"figure": "d", "value": True}),
        '{"figure": "e", "val',
    ]
    assert newest("\n".join(lines)) == {"a": 2.5}


def test_the_reference_is_complete_and_in_order() -> None:
    """Every figure that the model reads is in it, and an interaction costs less in a busier process."""
    costs = costs_of(REFERENCE, "reference")
    for name in PROCESSES:
        cost = costs.processes[name]
        assert cost.idle > 0, name
        assert len(cost.at) >= 3, name
        assert cost.at[0][1] > cost.at[-1][1] > 0, name
    assert min(costs.kilobytes_in, costs.kilobytes_out, costs.kilobyte_days, costs.agent_kb, costs.shard_per_s) > 0
    assert all(megabytes > 50 for megabytes in costs.idle_mb.values())
