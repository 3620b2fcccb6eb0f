"""Reads what a trusted mail server reports about a mail: its Authentication-Results header (RFC 8601).

Every sender may write such a header. Only the topmost one with our server's name is trusted, and only above the
Received header of the trusted servers: everything below came with the mail. A server with that name must remove forged
headers (RFC 8601, 5), but we do not rely on it. The mail must come from that server's address, which the edge checks
before.
"""

import re
from dataclasses import dataclass
from typing import Final

from services.ingest.domain.normalise.mail.headers import Headers
from services.ingest.domain.normalise.mail.signatures import OrganisationOf, aligned

_MAX_BYTES: Final = 4096
_RESULT: Final = re.compile(r"\s*([a-z0-9-]{1,30})\s*=\s*([a-z]{1,20})\b")
_PROPERTY: Final = re.compile(r"(?<!\S)([a-z]{1,12}\.[a-z-]{1,20})=([^\s;\"]{1,320})")


@dataclass(frozen=True, slots=True)
class TrustedResult:
    """The mail's author is proven, by `method` ("dmarc" or "dkim") for `domain`."""

    method: str
    domain: str


def trusted_result(
    headers: Headers, authserv_id: str, hops: int, author_domain: str, organisation_of: OrganisationOf
) -> TrustedResult | str:
    """Return the proof, or the reason why there is none, as text for people."""
    found = _topmost(headers, authserv_id.lower(), hops)
    if found is None:
        return "no results from the trusted server"
    results = [part for part in (_result(each) for each in found.split(";")[1:]) if part is not None]
    dmarc = [(value, facts) for method, value, facts in results if method == "dmarc"]
    if len(dmarc) > 1:
        return "several results for dmarc"
    if dmarc:
        value, facts = dmarc[0]
        said = facts.get("header.from", "").lower()
        if value == "pass" and said == author_domain:
            return TrustedResult("dmarc", author_domain)
        return f"dmarc={value}" if value != "pass" else "dmarc passed for another domain"
    for method, value, facts in results:
        domain = facts.get("header.d", "").lower()
        if method == "dkim" and value == "pass" and domain and aligned(domain, author_domain, organisation_of):
            return TrustedResult("dkim", domain)
    return "neither dmarc nor an aligned dkim passed"


def _topmost(headers: Headers, authserv_id: str, hops: int) -> str | None:
    """Return the topmost results by our server, if they are above the last Received header of the trusted servers."""
    received = 0
    found: str | None = None
    for name, raw in headers.items:
        if name == "received":
            received += 1
            if received == hops:
                return found
        elif name == "authentication-results" and found is None and len(raw) <= _MAX_BYTES:
            text = _plain(raw.decode("ascii", "replace").lower())
            if text.partition(";")[0].split()[:1] == [authserv_id]:
                found = text
    # Fewer Received headers than trusted servers: the mail did not come by the trusted path.
    return None


def _plain(text: str) -> str:
    """Remove comments and quoted strings: both may contain text that looks like a result. An unterminated one removes
    the rest."""
    kept: list[str] = []
    depth, quoted, escaped = 0, False, False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\" and (depth or quoted):
            escaped = True
        elif quoted:
            quoted = char != '"'
        elif char == "(":
            depth += 1
        elif char == ")" and depth:
            depth -= 1
            kept.append(" ")
        elif depth:
            continue
        elif char == '"':
            quoted = True
            kept.append("_")
        else:
            kept.append(char)
    return "".join(kept)


def _result(text: str) -> tuple[str, str, dict[str, str]] | None:
    found = _RESULT.match(text)
    if found is None:
        return None
    facts: dict[str, str] = {}
    for name, value in _PROPERTY.findall(text[found.end() :]):
        if name in facts:
            return None  # it is ambiguous
        facts[name] = value
    return found[1], found[2], facts
