"""Stored state can be read again, including state that the previous version wrote."""

from typing import Any

import msgspec
import pytest

from services.chassis.kafka.changelog_codec import ChangelogCodec, UnknownVersion
from services.policy.model.sla import Plan, Target
from services.sla.domain.measures import WHOLE_DAY, Tally, TallyKey, roll_up
from services.sla.domain.story import Sample, Story
from services.sla.translate import analytics_state, state
from tests.unit.sla.builders import T0, a_target

ENTRIES = ChangelogCodec[Any](Any)
"""Encodes an entry as it was before its newest fields."""


def test_counts_written_before_half_hours_existed_are_whole_days() -> None:
    """A key without a slot means the whole day, and is written as it was read, so that it is replaced and not
    doubled."""
    key = b"t/" + msgspec.json.encode(("acme", 19_000, "sales", "webchat", 1))
    kept = state.decode(key, ENTRIES.encode({"met_desired": 3}))
    assert kept == state.KeptTally(TallyKey("acme", 19_000, "sales", "webchat", Target.PICK_UP, WHOLE_DAY), Tally(3))
    assert state.tally_key(TallyKey("acme", 19_000, "sales", "webchat", Target.PICK_UP)) == key
    half_hour = TallyKey("acme", 19_000, "sales", "webchat", Target.PICK_UP, 17)
    assert state.tally_key_of(state.tally_key(half_hour)) == half_hour


def test_plans_and_stories_written_before_forecasts_existed_ask_for_none() -> None:
    target = msgspec.to_builtins(a_target())
    old = {name: value for name, value in target.items() if not name.startswith("predict")}
    plan = {"plan_id": "p", "policy": "p", "config_version": 1, "targets": [old]}
    kept = state.decode(state.plan_key("p"), ENTRIES.encode(plan))
    assert isinstance(kept, Plan)
    assert kept.targets[0].predict_probability == 0
    story = {
        "interaction_id": "i",
        "tenant": "acme",
        "queue": "sales",
        "channel": "webchat",
        "arrived_ms": T0,
        "queued_first_ms": T0,
        "queued_ms": T0,
    }
    found = analytics_state.decode(analytics_state.story_key("i"), ENTRIES.encode(story))
    assert found is not None


def test_an_entry_of_another_version_is_refused() -> None:
    """Neither a story without a version nor one of a newer version is guessed."""
    sample = Sample(Target.PICK_UP, 1, b"\xff\x00", 0.75)
    story = Story("i", "acme", "sales", "webchat", T0, T0, T0, samples=(sample,))
    key, value = analytics_state.story_key("i"), analytics_state.encode(story)
    assert analytics_state.decode(key, value) == story
    for other in (value[1:], b"\x02" + value[1:]):
        with pytest.raises(UnknownVersion):
            analytics_state.decode(key, other)


def test_a_key_of_another_kind_is_ignored() -> None:
    assert analytics_state.decode(b"w/i1", b"") is None


def test_roll_up_loses_no_count() -> None:
    """The half hours of the oldest day become one entry for each queue, channel and target; those of the newest day
    never do."""
    tallies = {
        TallyKey("acme", day, queue, "webchat", Target.PICK_UP, slot): Tally(met_desired=1, breached=slot)
        for day in (1, 2)
        for queue in ("sales", "support")
        for slot in (3, 4)
    }
    touched = roll_up(tallies, 2)
    assert {(k.day, k.slot) for k in tallies} == {(1, WHOLE_DAY), (2, 3), (2, 4)}
    assert tallies[TallyKey("acme", 1, "sales", "webchat", Target.PICK_UP)] == Tally(met_desired=2, breached=7)
    assert set(touched) >= {k for k in tallies if k.day == 1}
    assert roll_up(tallies, 2) == []
