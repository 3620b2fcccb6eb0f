"""Alive, started, ready: one state for every observer."""

import json
from pathlib import Path

from services.chassis.endpoints import Endpoints
from services.chassis.health import Health


def test_a_process_is_ready_when_wired_and_all_components_are() -> None:
    """The reasons name the components that it waits for."""
    health, told = Health(), list[bool]()
    health.on_change(told.append)
    lane = health.component("lane")
    assert (health.started, health.ready) == (False, False)
    health.set_wired()
    assert health.reasons() == {"lane": "starting"}
    lane.set(True)
    assert (health.started, health.ready, health.reasons()) == (True, True, {})
    lane.set(False, "restoring partition 3")
    assert (health.started, health.ready) == (True, False)
    assert health.reasons() == {"lane": "restoring partition 3"}
    assert told == [False, True, False]


def test_a_part_that_the_others_do_not_need_gates_the_start_only() -> None:
    """It must restore once; when it restores again, the process remains ready, and a failure still makes it not ready."""
    health, told = Health(), list[bool]()
    health.set_wired()
    lane = health.component("lane", ready_while_restoring=True)
    health.on_change(told.append)
    lane.set_restored(False)
    assert health.reasons() == {"lane": "restoring"}
    lane.set_restored(True)
    lane.set_restored(False)
    assert (health.ready, lane.reason) == (True, "restoring")
    lane.set(False, "fenced")
    assert (health.ready, told) == (False, [False, True, False])


def test_a_refused_partition_is_named_while_the_process_is_ready() -> None:
    """And it is the reason when the lane has no other partition."""
    health = Health()
    health.set_wired()
    lane = health.component("lane")
    lane.set_restored(True)
    lane.set_refused({3: "CHANGELOG_LOST", 1: "INPUT_TAIL_LOST"})
    said = "partition 1 is refused: INPUT_TAIL_LOST; partition 3 is refused: CHANGELOG_LOST"
    assert (health.ready, health.reasons(), health.degraded()) == (True, {}, {"lane": said})
    lane.set_restored(False)
    assert (health.ready, health.reasons()) == (False, {"lane": said})
    lane.set_refused({})
    assert (health.reasons(), health.degraded()) == ({"lane": "restoring"}, {})


def test_a_transaction_that_hangs_makes_a_lane_not_ready() -> None:
    """Also while its other partitions work; and also before it was restored, it has started."""
    health = Health()
    health.set_wired()
    lane = health.component("lane")
    lane.set_restored(False)
    lane.set_hanging({2: "state/2 cannot be read", 1: "state/1 cannot be read"})
    assert (health.started, health.ready) == (True, False)
    lane.set_restored(True)
    assert (health.ready, health.reasons()) == (False, {"lane": "state/1 cannot be read; state/2 cannot be read"})
    lane.set_hanging({})
    assert (health.ready, health.reasons()) == (True, {})


def test_a_lane_that_refuses_every_partition_has_started() -> None:
    """It is not ready; but a start-up probe that fails would end the process again and again, and its edges with it."""
    health = Health()
    health.set_wired()
    health.component("lane").set_restored(False)
    assert not health.started
    health.component("lane").set_refused({0: "CHANGELOG_LOST"})
    assert (health.started, health.ready) == (True, False)


def test_draining_is_final() -> None:
    """The states that components report afterwards do not matter."""
    health = Health()
    health.set_wired()
    health.set_draining()
    health.component("lane").set(True)
    assert not health.ready
    assert health.reasons() == {"process": "draining"}


def test_listeners_are_called_on_changes_only() -> None:
    """A report without a change is not passed on."""
    health, told = Health(), list[bool]()
    health.set_wired()
    health.on_change(told.append)
    one, other = health.component("one"), health.component("other")
    for _ in range(3):
        one.set(True)
    other.set(True)
    other.set(True, "still")
    assert told == [True, False, True]
    assert health.component("one") is one


def test_endpoints_are_a_complete_file_or_none(tmp_path: Path) -> None:
    """Each publication replaces the file at once; no other file remains beside it."""
    file = tmp_path / "endpoints.json"
    endpoints = Endpoints(file)
    endpoints.publish("grpc", "127.0.0.1:1")
    endpoints.publish("ops", "127.0.0.1:2")
    assert json.loads(file.read_text()) == dict(endpoints.known) == {"grpc": "127.0.0.1:1", "ops": "127.0.0.1:2"}
    assert [p.name for p in tmp_path.iterdir()] == ["endpoints.json"]
    assert endpoints["ops"] == "127.0.0.1:2"


def test_without_a_file_endpoints_stay_in_memory(tmp_path: Path) -> None:
    """Tests that embed a service read the endpoints directly."""
    endpoints = Endpoints()
    endpoints.publish("grpc", "127.0.0.1:1")
    assert dict(endpoints.known) == {"grpc": "127.0.0.1:1"}
