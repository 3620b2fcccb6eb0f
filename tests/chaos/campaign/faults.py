"""The table of all faults."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from tests.chaos.campaign.fault import Fault
from tests.chaos.campaign.proxy import Mode
from tests.chaos.campaign.stage import Processes
from tests.chaos.campaign.strikes import (
    clocks,
    disk,
    lost_logs,
    network,
    processes,
    providers,
    records,
    retention,
    upgrades,
)
from tests.chaos.campaign.version_before import missing

EVERY_PROCESS: Final = ("router", "router-2", "ingest", "sla", "feedback")
POINTS: Final = (
    ("router", "after_send"),
    ("router", "inside_commit"),
    ("router", "after_commit"),
    ("ingest", "before_commit"),
    ("ingest", "before_reply"),
    ("sla", "after_commit"),
    ("feedback", "inside_commit"),
)
"""Where a process kills itself: a service, and a point of `services.chassis.kafka.faults`."""


def _all() -> Iterator[Fault]:
    yield Fault("none", processes.nothing)
    for name in ("router", "ingest", "sla", "feedback"):
        yield Fault(f"kill {name}", processes.kill(name))
        yield Fault(f"stop {name}", processes.stop(name), late_s=20)
    yield Fault("kill everything", processes.kill(*EVERY_PROCESS), late_s=20)
    yield Fault("rolling restart", processes.rolling_restart, late_s=20)
    yield Fault("rolling upgrade", upgrades.rolling_upgrade, late_s=20, processes=Processes(upgraded=True))
    for service, point in POINTS:
        strike, variables = processes.kill_at(point, service)
        # The transaction of a process that dies in it holds the readers of its topics back until a successor fences it. Only
        # the router has a second process; the others have to start again, which takes long on a busy machine.
        late_s = 15 if service == "router" else 30
        yield Fault(f"kill {service} {point.replace('_', ' ')}", strike, late_s, variables)
    yield Fault("kill broker", processes.kill_broker(2), late_s=25)
    # Longer than the time-out of transactions (15 s): the broker aborts those that were open.
    yield Fault("kill broker for long", processes.kill_broker(16), late_s=60)
    yield Fault("pause broker", processes.pause_broker, late_s=25)
    yield Fault("full disk", disk.full_disk, late_s=40, small_disk=True)
    for mode in (Mode.SLOW, Mode.BLACK_HOLE, Mode.HALF_OPEN):
        strike = network.between_services_and_broker(mode, 9)
        yield Fault(f"broker {mode.value}", strike, late_s=30)
    yield Fault("broker resets", network.resets_at_the_broker, late_s=20)
    for mode in (Mode.SLOW, Mode.BLACK_HOLE, Mode.HALF_OPEN):
        strike = network.between_clients_and_services(mode, 7)
        yield Fault(f"edges {mode.value}", strike)
    yield Fault("edges resets", network.resets_at_the_edges)
    yield Fault("providers away", providers.spoiled(Mode.REFUSE, 7))
    yield Fault("providers slow", providers.spoiled(Mode.SLOW, 10))
    yield Fault("providers half open", providers.spoiled(Mode.HALF_OPEN, 10))
    yield Fault("providers cut after they accepted", providers.cut_after_accepted)
    yield Fault("providers refuse", providers.refusals)
    yield Fault("poison on every topic", records.poison_everywhere)
    yield Fault("rebalance storm", records.rebalance_storm, late_s=30)
    yield Fault("overload", records.overload, late_s=20)
    # The lane waits for the operator, who waits for the neighbours.
    yield Fault("input recreated", lost_logs.input_recreated, late_s=60, alone=True)
    yield Fault("input shortened", lost_logs.input_shortened, late_s=60, alone=True)
    yield Fault("history shortened by retention", retention.history_shortened, late_s=40, alone=True)
    strike, variables = clocks.step_in_python(3600, "ingest")
    yield Fault("clock of ingest an hour ahead", strike, 20, variables)
    for service in ("router", "sla"):
        strike, variables = clocks.step(3600, service)
        yield Fault(f"clock of {service} an hour ahead", strike, 20, variables)
    strike, variables = clocks.step(-3600, "router", "sla")
    yield Fault("clocks of router and sla an hour behind", strike, 20, variables)


FAULTS: Final[Mapping[str, Fault]] = MappingProxyType({fault.name: fault for fault in _all()})


def cannot(fault: Fault) -> str:
    """Return why this machine cannot inject a fault; empty when it can."""
    if fault.processes.upgraded and (why := missing()):
        return why
    if fault.small_disk and not disk.may_mount():
        return "only root may mount a small disk"
    if fault.name.startswith("clock") and "ingest" not in fault.of_service and clocks.library() is None:
        return "the library of the package `faketime` is not installed"
    return ""
