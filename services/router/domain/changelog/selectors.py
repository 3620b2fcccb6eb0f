"""Convert requirements to entries of the changelog, and back."""

from functools import lru_cache

from services.policy.model.interning import name
from services.policy.model.routing import Selector
from services.router.domain.entries import SelectorEntry


@lru_cache(maxsize=65_536)
def dump_selectors(selectors: tuple[Selector, ...]) -> tuple[SelectorEntry, ...]:
    """Return the entries of selectors."""
    return tuple(
        SelectorEntry(
            attribute=s.attribute,
            operator=s.operator,
            number=s.number,
            text=s.text,
            texts=s.texts,
            expires_after_ms=s.expires_after_ms,
            weight=s.weight,
            steps=s.steps,
            any_of=dump_selectors(s.any_of),
            all_of=dump_selectors(s.all_of),
        )
        for s in selectors
    )


@lru_cache(maxsize=65_536)
def load_selectors(entries: tuple[SelectorEntry, ...]) -> tuple[Selector, ...]:
    """Return the selectors of entries. Equal selectors of many interactions are built once and shared."""
    return tuple(
        Selector(
            attribute=name(entry.attribute),
            operator=entry.operator,
            number=entry.number,
            text=entry.text,
            texts=entry.texts,
            expires_after_ms=entry.expires_after_ms,
            weight=entry.weight,
            steps=entry.steps,
            any_of=load_selectors(entry.any_of),
            all_of=load_selectors(entry.all_of),
        )
        for entry in entries
    )
