"""The place of a file in the store.

    files/{shard}/{tenant}/{owner}/{file id}
    thumbnails/{shard}/{tenant}/{owner}/{file id}     small images that Chapar has made; the id is that of the image
    originals/{shard}/{tenant}/{owner}/{file id}      messages as they arrived
    quarantine/{shard}/{tenant}/{owner}/{file id}     what the scanner found
    sweeps/{shard}                                    empty; its time says when old files of the shard were deleted last

The owner is an identity, with whose key the file is sealed. Everything that an owner has in a folder is below one prefix,
so an erasure deletes by prefix. The shard is a hash of tenant and owner: old files are looked for in one shard after
another. No part of a key is a name from outside: an id with unusual characters is replaced by its hash.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

Derive = Callable[..., str]
"""See `domain.messages.Derive`, which this package does not import, because messages have files."""
WITH_THUMBNAIL: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class Folder(StrEnum):
    """The folders of the store; each has a retention of its own."""

    FILES = "files"
    THUMBNAILS = "thumbnails"
    ORIGINALS = "originals"
    QUARANTINE = "quarantine"


_IN_ORDER: Final = (*(each for each in Folder if each is not Folder.THUMBNAILS), Folder.THUMBNAILS)


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
        return f"{self.folder}/{_of_owner(self.tenant, self.owner_id)}{_segment(self.file_id)}"

    @property
    def thumbnail(self) -> "FilePlace":
        """Return the place of this image's thumbnail."""
        return replace(self, folder=Folder.THUMBNAILS)


def prefixes_of(tenant: str, owner_id: str) -> tuple[str, ...]:
    """Return the prefixes of all keys of an owner, in the order in which they are to be deleted.

    Images go before thumbnails: a thumbnail that is made meanwhile is either found behind its image, or its maker misses
    the image and deletes it.
    """
    return tuple(f"{folder}/{_of_owner(tenant, owner_id)}" for folder in _IN_ORDER)


def thumbnail_key(key: str) -> str:
    """Return the key of the thumbnail of the file with this key; empty when the key is not one of a customer's file."""
    folder, slash, rest = key.partition("/")
    return f"{Folder.THUMBNAILS}{slash}{rest}" if folder == Folder.FILES and rest else ""


def file_id_of(derive: Derive, message_id: str, ordinal: int, content: str) -> str:
    """Return the id of a message's file. `content`: the hash of the bytes, or the provider's reference to them.

    A retry has the same id. Other bytes have another one: a mail that repeats a Message-ID replaces no file.
    """
    return derive(message_id, "file", str(ordinal), content)


def thumbnail_id_of(derive: Derive, file_id: str, content_type: str) -> str:
    """Return the id of a stored file's thumbnail; empty for a type that has none."""
    return derive(file_id, "thumbnail") if content_type in WITH_THUMBNAIL else ""


def _of_owner(tenant: str, owner_id: str) -> str:
    owner = f"{_segment(tenant)}/{_segment(owner_id)}/"
    return f"{hashlib.sha256(owner.encode()).hexdigest()[:2]}/{owner}"


def _segment(part: str) -> str:
    if _PLAIN.fullmatch(part):
        return part
    return "~" + hashlib.sha256(part.encode("utf-8", "surrogatepass")).hexdigest()
