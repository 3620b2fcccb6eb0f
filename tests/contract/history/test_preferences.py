"""How a person wants to be reached, as history knows it, on SQLite and on PostgreSQL."""

from services.chassis.ids import derive
from services.chassis.metrics import Metrics
from services.ingest.adapters.history.database import Database
from services.ingest.adapters.history.retention import DAY_MS, Retention
from services.ingest.domain.opt_outs import OptOutScope
from services.ingest.metrics import METRICS
from tests.contract.history.records import T0, Life, as_records
from tests.contract.history.tables_as_data import everything
from tests.contract.history.test_rows import fold, reader_of

SURVEYS, PROACTIVE = OptOutScope.SURVEYS, OptOutScope.PROACTIVE


def a_person(name: str = "one") -> Life:
    """A person with a conversation; the identity is the person's home."""
    life = Life(name, person=derive("person", f"{name}-id"))
    life.opened()
    life.said("hello")
    return life


async def shown(database: Database, life: Life) -> tuple[list[tuple[str, int, int, str]], str]:
    """Return the opt-outs of a person, and their preferred channel."""
    found = await reader_of(database).preferences("acme", life.person_id)
    return [(each.channel, each.scope, each.since_ms, each.actor) for each in found.opt_outs], found.preferred_channel


async def test_the_newest_preferences_are_shown(database: Database) -> None:
    """With the time since which each opt-out holds, and who set it. A person without any has none."""
    life, other = a_person(), a_person("other")
    life.prefers(("", PROACTIVE), preferred="telegram")
    since = life.at
    life.prefers(("email", SURVEYS), ("sms", PROACTIVE), actor="shop")
    await fold(database, as_records([*life.log, *other.log]))
    assert await shown(database, life) == ([("email", 1, since, "shop"), ("sms", 2, since, "shop")], "")
    assert await shown(database, other) == ([], "")
    life.prefers(preferred="webchat")
    await fold(database, as_records(life.log))
    assert await shown(database, life) == ([], "webchat")


async def test_the_preferences_of_the_home_count(database: Database) -> None:
    """Each identity has a copy, and the home's is changed first."""
    home = a_person()
    linked = Life("linked", person=home.person_id)
    linked.opened()
    linked.prefers(("", PROACTIVE), preferred="telegram")
    home.prefers(("email", SURVEYS))
    await fold(database, as_records([*home.log, *linked.log]))
    assert await shown(database, home) == ([("email", 1, home.at - 1000, "sara")], "")


async def test_an_erasure_empties_them_whatever_comes_first(database: Database) -> None:
    """A rebuild may read the erasure before the preferences; those that the person sets later are shown."""
    life = a_person()
    life.prefers(("email", PROACTIVE), preferred="email")
    life.erased()
    records = as_records(life.log)
    await fold(database, records)
    assert await shown(database, life) == ([], "")
    kept = await everything(database, positions=False)
    assert "sara" not in str(kept["identities"])
    life.prefers(("email", SURVEYS))
    await fold(database, as_records(life.log))
    assert await shown(database, life) == ([("email", 1, life.at - 1000, "sara")], "")


async def test_opt_outs_outlive_the_conversation(database: Database) -> None:
    """They hold as long as the person is known, so they are shown when all conversations have been deleted."""
    opted_out, other = a_person(), a_person("other")
    opted_out.prefers(("", PROACTIVE))
    other.prefers(preferred="email")
    await fold(database, as_records([*opted_out.log, *other.log]))
    await Retention(database, 5, 5, lambda: T0 + 100 * DAY_MS, Metrics(METRICS)).once()
    kept = await everything(database, positions=False)
    assert kept["conversations"] == kept["messages"] == []
    assert len(kept["identities"]) == 1
    assert (await shown(database, opted_out))[0]
