"""The place of a file in the store.

    files/{tenant}/{owner}/{file id}
    thumbnails/{tenant}/{owner}/{file id}     small images that Chapar has made
    originals/{tenant}/{owner}/{file id}      messages as they arrived
    quarantine/{tenant}/{owner}/{file id}     what the scanner found

The owner is an identity, with whose key the file is sealed. Everything that an owner has is below one prefix, so an
erasure deletes by prefix. No part of a key is a name from outside: an id with unusual characters is replaced by its
hash.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

Derive = Callable[..., str]
"""See `domain.messages.Derive`, which this package does not import, because messages have files."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class Folder(StrEnum):
    """The folders of the store; each has a retention of its own."""

    FILES = "files"
    THUMBNAILS = "thumbnails"
    ORIGINALS = "originals"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class FilePlace:
    """The name of a file."""

    tenant: str
    owner_id: str
    file_id: str
    folder: Folder = Folder.FILES

    @property
    def key(self) -> str:
        """Return the key in the store."""
        return f"{self.folder}/{_segment(self.tenant)}/{_segment(self.owner_id)}/{_segment(self.file_id)}"


def prefixes_of(tenant: str, owner_id: str) -> tuple[str, ...]:
    """Return the prefixes of all keys of an owner."""
    return tuple(f"{folder}/{_segment(tenant)}/{_segment(owner_id)}/" for folder in Folder)


def file_id_of(derive: Derive, message_id: str, ordinal: int, content: str) -> str:
    """Return the id of a message's file. `content`: the hash of the bytes, or the provider's reference to them.

    A retry has the same id. Other bytes have another one: a mail that repeats a Message-ID replaces no file.
    """
    return derive(message_id, "file", str(ordinal), content)


def _segment(part: str) -> str:
    if _PLAIN.fullmatch(part):
        return part
    return "~" + hashlib.sha256(part.encode("utf-8", "surrogatepass")).hexdigest()
