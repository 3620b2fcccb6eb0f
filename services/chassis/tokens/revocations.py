"""Tokens that are revoked before they end: by id, or all of a subject or an agent that were issued until a moment.

Pure. Entries are kept until the last token that they can cover has ended, and there are never more than `MOST`: above it, those
that end first are dropped. Their writer (`chapar token revoke`) refuses new entries long before that.
"""

from dataclasses import dataclass
from typing import Final

from services.chassis.tokens.caller import Caller

MOST: Final = 100_000


@dataclass(frozen=True, slots=True)
class Revocation:
    """One entry. Empty texts mean any, except for the text that names the entry. Times in seconds since the Unix epoch."""

    expires_s: float
    tenant: str = ""
    issuer: str = ""
    token_id: str = ""
    subject: str = ""
    agent_id: str = ""
    issued_until_s: float = 0.0
    """With `subject` or `agent_id`: tokens that were issued later are valid."""

    def covers(self, caller: Caller) -> bool:
        """Return whether this caller's token is revoked."""
        if self.tenant and caller.tenant and self.tenant != caller.tenant:
            return False
        if self.issuer and self.issuer != caller.issuer:
            return False
        if self.token_id:
            return self.token_id == caller.token_id
        return caller.issued_s <= self.issued_until_s


class Revocations:
    """All revocations in force, found by name in constant time."""

    def __init__(self) -> None:
        self._by_key: dict[str, Revocation] = {}
        self._by_name: dict[tuple[str, str], dict[str, Revocation]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def put(self, key: str, entry: Revocation, now_s: float) -> None:
        """Add an entry; an entry that has ended is ignored."""
        self.remove(key)
        if entry.expires_s <= now_s:
            return
        if len(self._by_key) >= MOST:
            self.prune(now_s)
        if len(self._by_key) >= MOST:
            self.remove(min(self._by_key, key=lambda each: self._by_key[each].expires_s))
        self._by_key[key] = entry
        self._by_name.setdefault(_name(entry), {})[key] = entry

    def remove(self, key: str) -> None:
        """Remove an entry."""
        entry = self._by_key.pop(key, None)
        if entry is None:
            return
        name = _name(entry)
        del self._by_name[name][key]
        if not self._by_name[name]:
            del self._by_name[name]

    def prune(self, now_s: float) -> None:
        """Remove the entries that have ended."""
        for key in [key for key, entry in self._by_key.items() if entry.expires_s <= now_s]:
            self.remove(key)

    def covers(self, caller: Caller) -> bool:
        """Return whether a caller's token is revoked."""
        if not self._by_key:
            return False
        names = (("token", caller.token_id), ("subject", caller.subject), ("agent", caller.agent_id))
        return any(entry.covers(caller) for name in names if name[1] for entry in self._by_name.get(name, {}).values())


def _name(entry: Revocation) -> tuple[str, str]:
    if entry.token_id:
        return "token", entry.token_id
    return ("subject", entry.subject) if entry.subject else ("agent", entry.agent_id)
