"""Effects as lines of text with every field, so that a test can show a whole story: what happened, in what order, and which notices were sent.

`Offered i 2 LONGEST_IDLE agent=a offer=i.2 expires_at=+10000 eligible=1 considered=2`: kind, interaction, number of the event, reason, then the
other fields. Times count from the story's beginning. A notice to a desk begins with `to <session> (<agent>):`.
"""

from collections.abc import Iterable
from dataclasses import fields
from enum import IntEnum
from typing import Any

from services.router.domain import effects as fx
from services.router.domain.model import InteractionAttributes
from tests.unit.router.world import GATEWAY, START

_BELOW = "\n  "


def told(effects: Iterable[fx.Effect], results: bool = False) -> list[str]:
    """Return effects as lines; the commands' own results only if they are asked for."""
    return [line(effect) for effect in effects if results or not isinstance(effect, fx.Result)]


def line(effect: fx.Effect) -> str:
    """Return one effect as a line."""
    if isinstance(effect, fx.ToDesk):
        assert effect.gateway == GATEWAY
        return f"to {effect.session_id} ({effect.agent_id}): {_line(effect.notice)}"
    return _line(effect)


def _line(value: Any) -> str:
    words = [type(value).__name__]
    for f in fields(value):
        held = getattr(value, f.name)
        if isinstance(held, InteractionAttributes):
            words.append(held.interaction_id)
        elif isinstance(value, fx.Event) and f.name in ("epoch", "reason"):
            words.append(str(held))
        else:
            words.append(f"{f.name.removesuffix('_ms').removesuffix('_id')}={_told(f.name, held)}")
    return " ".join(words)


def _told(name: str, value: Any) -> str:
    if isinstance(value, IntEnum):
        return value.name
    if isinstance(value, tuple):
        return f"[{''.join(_BELOW + _line(v) for v in value)}]"
    if name.endswith(("at_ms", "until_ms")) and value > START // 2:
        return f"{value - START:+d}"
    return str(value)
