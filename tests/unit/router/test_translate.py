"""Translation loses nothing and knows every kind."""

from typing import get_args

from services.router.domain import effects as fx
from services.router.domain.model import Facts, Operator, Selector
from services.router.translate.commands import to_facts
from services.router.translate.effects import FILL, from_facts


def test_every_kind_of_event_can_be_written() -> None:
    """A new event without a writer is a failing test, not a failing lane."""
    assert set(FILL) == set(get_args(fx.InteractionEvent))


def test_facts_survive_the_way_to_the_log_and_back() -> None:
    """Labels, Persian text in them, and every field of a requirement."""
    selector = Selector("city", Operator.IN, 1.5, "x", ("تهران", "قم"), 30_000, 2.0)
    facts = Facts("i", "c", "p", "d", "webchat", "main", "fa", "q", -3, (selector,), (("لایه", "طلا"),), 7, "r", True)
    assert to_facts(from_facts(facts)) == facts
