"""Convert requirements to plain tuples for the changelog, and back."""

from functools import lru_cache
from typing import Any, Final

from services.policy.model.interning import name
from services.policy.model.routing import Operator, Selector

_OPERATORS: Final = {operator.value: operator for operator in Operator}


@lru_cache(maxsize=65_536)
def dump_selectors(selectors: tuple[Selector, ...]) -> tuple[Any, ...]:
    """Return selectors as tuples. Fields that few selectors have are at the end, and only where they are set."""
    return tuple(
        (s.attribute, int(s.operator), s.number, s.text, s.texts, s.expires_after_ms, s.weight)
        + ((s.steps, dump_selectors(s.any_of), dump_selectors(s.all_of)) if s.steps or s.any_of or s.all_of else ())
        for s in selectors
    )


def load_selectors(raw: Any) -> tuple[Selector, ...]:
    """Build selectors from what `dump_selectors` returned. Equal selectors of many interactions are built once and shared."""
    if not raw:
        return ()
    written = repr(raw)
    found = _selectors.get(written)
    if found is None:
        if len(_selectors) >= _SELECTORS_KEPT:
            _selectors.clear()
        found = _selectors[written] = tuple(_load_selector(s) for s in raw)
    return found


_selectors: Final[dict[str, tuple[Selector, ...]]] = {}
_SELECTORS_KEPT: Final = 65_536


def _load_selector(s: Any) -> Selector:
    more = (tuple((at, float(n)) for at, n in s[7]), load_selectors(s[8]), load_selectors(s[9])) if len(s) > 7 else ()
    return Selector(name(s[0]), _OPERATORS[s[1]], float(s[2]), s[3], tuple(s[4]), s[5], float(s[6]), *more)
