"""The form of the addresses that an agent or a caller may choose for a mail."""

import re
from collections.abc import Sequence
from typing import Final

MOST_RECIPIENTS: Final = 20
"""The maximum number of addresses of a mail, To and Cc together."""
MOST_ADDRESS: Final = 254
_ADDRESS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[^\W_][\w-]{0,62}(?:\.[\w-]{1,63}){1,8}")


def is_address(text: str) -> bool:
    """Return whether the text is one plain address: no name, no brackets, a domain with a dot."""
    return len(text) <= MOST_ADDRESS and _ADDRESS.fullmatch(text) is not None


def first_wrong(to: Sequence[str], cc: Sequence[str]) -> str:
    """Return why a mail can't have these recipients, for a person; empty when it can."""
    if len(to) + len(cc) > MOST_RECIPIENTS:
        return f"a mail has at most {MOST_RECIPIENTS} recipients"
    wrong = next((each for each in (*to, *cc) if not is_address(each)), None)
    return f"{wrong[:80]!a} is not an e-mail address" if wrong is not None else ""
