"""Proves a mail's author, by the account's setting `authentication`; over the raw bytes, before anything is decoded.

`none` (the default): nothing is checked. `dkim`: signatures are verified here. `trusted_results`: the result of the
mail server in front is trusted, if the mail comes from one of the operator's `smtp_upstreams` and its header has the
account's `authserv_id`. If anything fails, the mail is accepted as unproven.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from publicsuffixlist import PublicSuffixList

from services.chassis.http import TrustedProxies
from services.ingest.adapters.edges.mail_dkim import Signatures
from services.ingest.adapters.edges.mail_dns import DnsAway, TxtRecords
from services.ingest.domain.normalise.mail.headers import Headers
from services.ingest.domain.normalise.mail.origin import Authenticated
from services.ingest.domain.normalise.mail.signatures import (
    Candidate,
    OrganisationOf,
    author_of,
    candidates,
    domain_of,
    every_signature_covers,
    plain_block,
)
from services.ingest.domain.normalise.mail.trusted_results import trusted_result
from services.ingest.domain.origin import OriginProof
from services.ingest.ports import Account
from services.policy.model.mail_proof import DKIM, HOPS, NONE, ONE_HOP, TRUSTED_RESULTS

_LOOKUPS_S: Final = 10.0
_REPLY_TO: Final = "reply-to"


class MailAuthentication:
    """Checks one mail at a time."""

    def __init__(
        self,
        records: TxtRecords,
        signatures: Signatures,
        upstreams: TrustedProxies,
        lookups_s: float = _LOOKUPS_S,
    ) -> None:
        """`lookups_s`: the most seconds for all DNS look-ups of one mail."""
        self._lookups_s = lookups_s
        self._records = records
        self._signatures = signatures
        self._upstreams = upstreams
        self._organisation_of = organisations()

    async def check(self, account: Account, raw: bytes, peer: str) -> Authenticated:
        """Return the proof of this mail, which was sent by `peer`."""
        how = account.settings.get("authentication", NONE)
        if how not in (DKIM, TRUSTED_RESULTS):
            return Authenticated(evidence="not checked")
        headers = plain_block(raw)
        author = author_of(headers) if headers is not None else ""
        if headers is None or not author:
            return Authenticated(evidence="there is not exactly one plain From")
        if how == TRUSTED_RESULTS:
            return self._trusted(account, headers, author, peer)
        return await self._dkim(account.tenant, raw, headers, author)

    def _trusted(self, account: Account, headers: Headers, author: str, peer: str) -> Authenticated:
        authserv_id = account.settings.get("authserv_id", "")
        hops = account.settings.get("trusted_hops", ONE_HOP)
        if not authserv_id or hops not in HOPS or peer not in self._upstreams:
            return Authenticated(author, evidence="not from a trusted mail server")
        found = trusted_result(headers, authserv_id, int(hops), domain_of(author), self._organisation_of)
        if isinstance(found, str):
            return Authenticated(author, evidence=f"{authserv_id}: {found}")
        evidence = f"{authserv_id}: {found.method}=pass for {found.domain}"
        covered = every_signature_covers(headers, _REPLY_TO)
        return Authenticated(author, OriginProof.TRUSTED_RESULTS, evidence, covered)

    async def _dkim(self, tenant: str, raw: bytes, headers: Headers, author: str) -> Authenticated:
        keys, evidence = await self._keys(candidates(headers, author, self._organisation_of), domain_of(author))
        proven: Authenticated | None = None
        # The time-out has ended: a signature that waits for its turn among other mails loses nothing.
        for candidate, key in keys:
            evidence = f"the signature of {candidate.domain} does not hold"
            if await self._signatures.holds(tenant, raw, candidate.index, key):
                proven = Authenticated(
                    author, OriginProof.DKIM_DMARC, f"dkim d={candidate.domain}", candidate.signs_reply_to
                )
                if candidate.signs_reply_to:
                    break
        return proven or Authenticated(author, evidence=evidence)

    async def _keys(
        self, looked_at: Sequence[Candidate], author_domain: str
    ) -> tuple[list[tuple[Candidate, bytes]], str]:
        """Return the signatures with the keys that were found in time, and the evidence to report when no signature is
        valid."""
        found: list[tuple[Candidate, bytes]] = []
        evidence = "no signature by the author's domain"
        try:
            async with asyncio.timeout(self._lookups_s):
                for candidate in looked_at:
                    try:
                        key = await self._key(candidate, author_domain)
                    except DnsAway:
                        evidence = f"the key of {candidate.domain} can't be looked up"
                        continue
                    evidence = f"the signature of {candidate.domain} does not hold"
                    if key is not None:
                        found.append((candidate, key))
        except TimeoutError:
            evidence = "dkim could not be verified in time"
        return found, evidence

    async def _key(self, candidate: Candidate, author_domain: str) -> bytes | None:
        if not candidate.exact and await self._strict(author_domain):
            return None
        keys = [each for each in await self._records.txt(candidate.key_name) if b"p=" in each]
        return keys[0] if len(keys) == 1 and not _testing(keys[0]) else None

    async def _strict(self, author_domain: str) -> bool:
        """Return whether the author's domain, or its organisation, accepts only signatures of exactly its name (DMARC's
        adkim=s)."""
        for name in dict.fromkeys((author_domain, self._organisation_of(author_domain))):
            policies = [each for each in await self._records.txt(f"_dmarc.{name}") if each.startswith(b"v=DMARC1")]
            if policies:
                return any(b"adkim=s" in each.replace(b" ", b"").lower() for each in policies)
        return False


def organisations() -> OrganisationOf:
    """Return a function for organisational domains by the list of public suffixes, which is read once; empty for a
    suffix itself."""
    suffixes = PublicSuffixList()
    return lambda domain: str(suffixes.privatesuffix(domain) or "")


def _testing(key: bytes) -> bool:
    """Return whether the domain says that it only tests DKIM (t=y): its mails must be treated as unsigned."""
    tags = (part.partition(b"=") for part in key.split(b";"))
    return any(name.strip() == b"t" and b"y" in value.lower().split(b":") for name, _, value in tags)
