"""The limits on a message's files: their size, their number, their types."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

EXECUTABLES: Final = (
    "application/vnd.microsoft.portable-executable",
    "application/x-msdownload",
    "application/x-executable",
    "application/x-mach-binary",
    "application/java-vm",
    "text/x-script",
)


class FileState(IntEnum):
    """The state of a file's bytes. The numbers are those of the contract."""

    DESCRIBED = 0
    STORED = 1
    TO_FETCH = 2
    REFUSED = 3


class FileRefusal(IntEnum):
    """Why a file's bytes can't be downloaded. The numbers are those of the contract."""

    NONE = 0
    TOO_LARGE = 1
    TYPE_NOT_ALLOWED = 2
    INFECTED = 3
    GONE = 4
    TOO_MANY = 5
    NOT_FETCHED = 6


@dataclass(frozen=True, slots=True)
class FilePolicy:
    """Limits on files. `types`, `types_refused`: patterns such as "image/*"; a refused type counts more."""

    max_bytes: int = 25 << 20
    per_message: int = 20
    message_bytes: int = 50 << 20
    types: tuple[str, ...] = ("*/*",)
    types_refused: tuple[str, ...] = EXECUTABLES

    def of_size(self, size: int) -> FileRefusal:
        """Return why a file of this size is refused; NONE when it is accepted."""
        return FileRefusal.TOO_LARGE if size > self.max_bytes else FileRefusal.NONE

    def of_type(self, content_type: str) -> FileRefusal:
        """Return why a file of this detected type is refused; NONE when it is accepted."""
        if _among(content_type, self.types_refused) or not _among(content_type, self.types):
            return FileRefusal.TYPE_NOT_ALLOWED
        return FileRefusal.NONE

    def of_message(self, sizes: tuple[int, ...]) -> tuple[FileRefusal, ...]:
        """Return the verdict on each file of a message by its size, in order: the first ones are kept."""
        verdicts: list[FileRefusal] = []
        count = total = 0
        for size in sizes:
            verdict = self.of_size(size)
            if verdict is FileRefusal.NONE:
                if count >= self.per_message or total + size > self.message_bytes:
                    verdict = FileRefusal.TOO_MANY
                else:
                    count += 1
                    total += size
            verdicts.append(verdict)
        return tuple(verdicts)


def is_pattern(text: str) -> bool:
    """Return whether the text is a pattern of types."""
    kind, slash, sub = text.partition("/")
    return bool(
        slash and kind and sub and "/" not in sub and (kind != "*" or sub == "*") and text == text.strip().lower()
    )


def _among(content_type: str, patterns: tuple[str, ...]) -> bool:
    family = content_type.partition("/")[0]
    return any(pattern in ("*/*", content_type, f"{family}/*") for pattern in patterns)
