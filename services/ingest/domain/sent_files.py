"""What each channel carries of files that we send, as data; and how they are divided into parts.

Sources: the providers' documentation. Whatever their limits, a file is stored first, so it is never larger than
`files_max_bytes`.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from services.ingest.domain.channel_rules import ChannelRules, parts_of
from services.ingest.domain.messages import Attachment
from services.ingest.domain.reasons import Reason

MOST_FILES: Final = 10
_MB: Final = 1 << 20
_PHOTOS: Final = frozenset({"image/jpeg", "image/png"})
_PHOTO_BYTES: Final = 10 * _MB
_DIGEST_CHARS: Final = 32


@dataclass(frozen=True, slots=True)
class FileRules:
    """The rules of one channel. Sizes in bytes, 0: no limit. `types`: the largest size by type or family; empty: all types."""

    carries: bool = True
    largest: int = 0
    together: int = 0
    types: Mapping[str, int] = field(default_factory=dict)
    each_alone: bool = False
    """Whether each file is a message of its own at the provider."""


@dataclass(frozen=True, slots=True)
class FileProblem:
    """Why files can't be sent by a channel, and the limit that says so, for people."""

    reason: str
    limit: str


_NONE: Final = FileRules(carries=False)
_OFFICE: Final = "application/vnd.openxmlformats-officedocument"
_RULES: Final[Mapping[str, FileRules]] = MappingProxyType(
    {
        # 25 MB is what many mail servers accept, and base64 makes a third more of the bytes.
        "email": FileRules(largest=18 * _MB, together=18 * _MB),
        "telegram": FileRules(largest=50 * _MB, each_alone=True),
        "whatsapp": FileRules(
            each_alone=True,
            types=MappingProxyType(
                {
                    "image/jpeg": 5 * _MB,
                    "image/png": 5 * _MB,
                    "audio/aac": 16 * _MB,
                    "audio/amr": 16 * _MB,
                    "audio/mpeg": 16 * _MB,
                    "audio/mp4": 16 * _MB,
                    "audio/ogg": 16 * _MB,
                    "video/mp4": 16 * _MB,
                    "video/3gpp": 16 * _MB,
                    "text/plain": 100 * _MB,
                    "application/pdf": 100 * _MB,
                    "application/msword": 100 * _MB,
                    "application/vnd.ms-excel": 100 * _MB,
                    "application/vnd.ms-powerpoint": 100 * _MB,
                    f"{_OFFICE}.wordprocessingml.document": 100 * _MB,
                    f"{_OFFICE}.spreadsheetml.sheet": 100 * _MB,
                    f"{_OFFICE}.presentationml.presentation": 100 * _MB,
                }
            ),
        ),
        # The customer, or the other system, follows a link.
        "webchat": FileRules(),
        "webhook": FileRules(),
    }
)


def file_rules(channel: str) -> FileRules:
    """Return the rules of a channel."""
    return _RULES.get(channel, _NONE)


def problem_of(channel: str, files: Sequence[tuple[str, int]]) -> FileProblem | None:
    """Return why files of these types and sizes can't be sent by a channel; None when they can."""
    rules = file_rules(channel)
    if not files:
        return None
    if not rules.carries:
        return FileProblem(Reason.CHANNEL_CARRIES_NO_FILES, f"{channel} carries no files")
    if len(files) > MOST_FILES:
        return FileProblem(Reason.TOO_MANY_FILES, f"at most {MOST_FILES} files")
    for content_type, size in files:
        largest = rules.types.get(content_type, rules.largest) if rules.types else rules.largest
        if rules.types and content_type not in rules.types:
            return FileProblem(Reason.FILE_TYPE_NOT_SENDABLE, f"{channel} takes no {content_type}")
        if largest and size > largest:
            return FileProblem(
                Reason.FILE_TOO_LARGE_FOR_CHANNEL, f"{channel} takes at most {largest >> 20} MB of {content_type}"
            )
    if rules.together and sum(size for _, size in files) > rules.together:
        return FileProblem(
            Reason.FILE_TOO_LARGE_FOR_CHANNEL, f"{channel} takes at most {rules.together >> 20} MB in one message"
        )
    return None


def upload_id(interaction_id: str, owner_id: str, nonce: str) -> str:
    """Return the id of a file that an agent uploads for a reply: it can be sent in this interaction to this owner only."""
    bound = hashlib.sha256("\x00".join((interaction_id, owner_id, nonce)).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{nonce}.{bound[:_DIGEST_CHARS]}"


def belongs(file: Attachment, interaction_id: str) -> bool:
    """Return whether a file was uploaded for this interaction. That its bytes exist is known when it is opened."""
    nonce = file.file_id.rpartition(".")[0]
    return bool(nonce) and file.file_id == upload_id(interaction_id, file.owner_id, nonce)


def problem_of_reply(channel: str, files: Sequence[Attachment], interaction_id: str) -> str:
    """Return why a reply with these files can't be sent, or an empty string."""
    if not all(belongs(each, interaction_id) for each in files):
        return Reason.FILE_OF_OTHERS
    found = problem_of(channel, [(each.content_type, each.size) for each in files])
    return found.reason if found is not None else ""


def is_photo(content_type: str, size: int) -> bool:
    """Return whether Telegram shows the file as a photo; other files are documents."""
    return content_type in _PHOTOS and size <= _PHOTO_BYTES


def whatsapp_kind(content_type: str) -> str:
    """Return WhatsApp's kind of message for a file of this type."""
    family = content_type.partition("/")[0]
    return family if family in ("image", "audio", "video") else "document"


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """One message at the provider: a text, with or without files."""

    text: str
    files: tuple[Attachment, ...] = ()


def planned(text: str, files: Iterable[Attachment], rules: ChannelRules, channel: str) -> tuple[PlannedPart, ...]:
    """Divide a reply into the messages that its channel carries, in order: always in the same way, so that an attempt can
    continue where the one before ended."""
    files = tuple(files)
    texts = parts_of(text, rules.part_chars) if text.strip() or not files else ()
    if files and not file_rules(channel).each_alone:
        return (PlannedPart(text, files),)
    return (*(PlannedPart(each) for each in texts), *(PlannedPart("", (each,)) for each in files))
