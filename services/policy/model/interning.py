"""Keep values that many entities have in common once: names, labels, requirements, skills.

Ten thousand interactions of two hundred queues need the names of the queues once. A rare value falls out of the cache and is kept where it is
used.
"""

from functools import lru_cache
from sys import intern
from typing import Final, Protocol, TypeVar, cast

_Value = TypeVar("_Value", bound=tuple[object, ...])


class _Whole(Protocol):
    def __call__(self, value: _Value, /) -> _Value: ...


def _same(value: tuple[object, ...]) -> tuple[object, ...]:
    return value


name: Final = intern
"""Return one shared copy of a short text out of a small set: channel, account, language, queue, rule, skill."""

whole: Final = cast("_Whole", lru_cache(maxsize=65_536)(_same))
"""Return the first tuple that was equal to this one."""
