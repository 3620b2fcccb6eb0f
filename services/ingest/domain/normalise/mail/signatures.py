"""Which DKIM signatures of a mail could prove its author. Reads the raw bytes; verifies nothing.

A signature counts when it is by the author's own domain, or a parent or child of it within the same organisation. DMARC
also accepts siblings. Here they don't count, because an outdated list of public suffixes would make strangers siblings.
Only input that every parser reads in the same way is accepted: one From, no bare CR, a header block of ordinary size.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from services.ingest.domain.normalise.mail.headers import Headers, canonical, sender, split

MOST_SIGNATURES: Final = 3
MAX_BLOCK_BYTES: Final = 64 << 10
_MAX_SIGNATURE_BYTES: Final = 4096
_LONG_SPACE: Final = re.compile(rb"\s{80}")
_BARE_CR: Final = re.compile(rb"\r(?!\n)")
_DOMAIN: Final = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63}){1,10}")
_ALGORITHM: Final = "rsa-sha256"

OrganisationOf = Callable[[str], str]
"""Returns the organisational domain of a domain: the name below its public suffix. Empty for a suffix itself."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A signature worth verifying: the `index`-th of the mail."""

    index: int
    domain: str
    selector: str
    signs_reply_to: bool
    exact: bool
    """Whether it is by exactly the author's domain, which also satisfies a strict policy."""

    @property
    def key_name(self) -> str:
        """Return the DNS name of its public key."""
        return f"{self.selector}._domainkey.{self.domain}"


def author_of(headers: Headers) -> str:
    """Return the one address in the one From; empty if there is not exactly one."""
    values = headers.raw("from")
    who = sender(values[0], "") if len(values) == 1 else None
    return canonical(who.address) if who is not None and who.address and not who.ambiguous else ""


def domain_of(address: str) -> str:
    """Return the part after the last @."""
    return address.rpartition("@")[2]


def plain_block(raw: bytes) -> Headers | None:
    """Return the headers if every parser must read them in the same way; otherwise None."""
    headers, body = split(raw)
    block = raw[: len(raw) - len(body)]
    if len(block) > MAX_BLOCK_BYTES or b"\0" in block or _BARE_CR.search(block):
        return None
    return headers


def candidates(headers: Headers, author: str, organisation_of: OrganisationOf) -> tuple[Candidate, ...]:
    """Return the signatures by the author's domain, at most the first few."""
    found: list[Candidate] = []
    for index, raw in enumerate(headers.raw("dkim-signature")):
        candidate = _candidate(index, raw, domain_of(author), organisation_of)
        if candidate is not None:
            found.append(candidate)
        if len(found) == MOST_SIGNATURES:
            break
    return tuple(found)


def every_signature_covers(headers: Headers, name: str) -> bool:
    """Return whether there are signatures and each of them covers this header, including those that were not verified."""
    found = headers.raw("dkim-signature")
    tags = [_tags(raw.decode("ascii", "replace")) for raw in found if len(raw) <= _MAX_SIGNATURE_BYTES]
    return bool(found) and len(tags) == len(found) and all(each and name in _signed(each) for each in tags)


def aligned(domain: str, author_domain: str, organisation_of: OrganisationOf) -> bool:
    """Return whether the domains are the same, or parent and child, within the same organisation."""
    related = domain == author_domain or author_domain.endswith(f".{domain}") or domain.endswith(f".{author_domain}")
    organisation = organisation_of(domain)
    return related and bool(organisation) and organisation == organisation_of(author_domain)


def _candidate(index: int, raw: bytes, author_domain: str, organisation_of: OrganisationOf) -> Candidate | None:
    if len(raw) > _MAX_SIGNATURE_BYTES or _LONG_SPACE.search(raw) or not raw.isascii():
        return None
    tags = _tags(raw.decode("ascii"))
    if tags is None or tags.get("v") != "1" or tags.get("a", "").lower() != _ALGORITHM:
        return None
    if "l" in tags:  # only a part of the body is signed: the rest may be an attacker's
        return None
    domain, selector = tags.get("d", "").lower(), tags.get("s", "").lower()
    if not _DOMAIN.fullmatch(domain) or not _DOMAIN.fullmatch(f"{selector}.x"):
        return None
    signed = _signed(tags)
    if "from" not in signed or not aligned(domain, author_domain, organisation_of):
        return None
    return Candidate(index, domain, selector, "reply-to" in signed, domain == author_domain)


def _signed(tags: Mapping[str, str]) -> list[str]:
    return [name.lower() for name in tags.get("h", "").split(":")]


def _tags(text: str) -> dict[str, str] | None:
    """Return the tag list, or None when a tag occurs twice."""
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals:
            continue
        if name in tags:
            return None
        tags[name] = "".join(value.split())
    return tags
