"""What a person does not want to get."""

from dataclasses import dataclass
from enum import IntEnum


class OptOutScope(IntEnum):
    """Which messages a person does not want; each scope includes the ones before it. The numbers are those of the contract."""

    UNSPECIFIED = 0
    SURVEYS = 1
    PROACTIVE = 2
    ALL_BUT_REPLIES = 3


@dataclass(frozen=True, slots=True)
class OptOut:
    """One opt-out. An empty channel means all. `since_ms`: since when it holds without a break; `actor`: who set it."""

    channel: str
    scope: OptOutScope
    since_ms: int = 0
    actor: str = ""
