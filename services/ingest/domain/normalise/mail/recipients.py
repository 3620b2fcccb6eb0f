"""The addresses in To and Cc, as a list that a person can be shown and answer to: without names, in lower case."""

import re
from typing import Final

from services.ingest.domain.normalise.mail.charsets import labelled
from services.ingest.domain.normalise.mail.headers import MAX_HEADER_BYTES, Headers, canonical

MOST: Final = 50
"""The maximum number of addresses of one kind."""
_LISTED: Final = re.compile(
    r'"[^"]{0,500}"'  # a name
    r"|<\s{0,20}([^\s<>@\"]{1,128}@[^\s<>@\"]{1,255})\s{0,20}>"
    r"|(?<![^\s,;:(])([^\s<>@\",;:()\[\]]{1,128}@[^\s<>@\",;:()]{1,255})(?![^\s,;)])"
)


def addresses(headers: Headers, name: str) -> tuple[str, ...]:
    """Return the addresses in all headers of this name, in order, each once."""
    found: dict[str, None] = {}
    for value in headers.raw(name)[:MOST]:
        for each in _LISTED.finditer(labelled(value[:MAX_HEADER_BYTES], "")):
            address = each.group(1) or each.group(2)
            if address:
                found[canonical(address)] = None
            if len(found) >= MOST:
                return tuple(found)
    return tuple(found)
