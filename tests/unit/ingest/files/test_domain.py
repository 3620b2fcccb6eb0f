"""Places, types and limits of files."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.files.places import FilePlace, Folder, file_id_of, prefixes_of, thumbnail_key
from services.ingest.domain.files.policy import FilePolicy, FileRefusal, is_pattern
from services.ingest.domain.files.sniffing import sniffed

NOTHING = FileRefusal.NONE


def derive(*parts: str) -> str:
    """An id of parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@given(st.text(), st.text(), st.text())
def test_a_key_stays_in_its_folder(tenant: str, owner: str, file: str) -> None:
    """Whatever the ids contain: five parts, none of them special, below the owner's prefix."""
    place = FilePlace(tenant, owner, file)
    parts = place.key.split("/")
    assert len(parts) == 5
    assert all(
        part and not part.startswith(".") and part.isascii() and part.isprintable() and len(part) <= 100
        for part in parts
    )
    assert place.key.startswith(prefixes_of(tenant, owner)[0])


@given(st.tuples(st.text(max_size=5), st.text(max_size=5)), st.tuples(st.text(max_size=5), st.text(max_size=5)))
def test_owners_share_no_prefix(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Different owners have different prefixes, and none is the beginning of another."""
    if one != other:
        assert not prefixes_of(*one)[0].startswith(prefixes_of(*other)[0])


@given(st.text(), st.text(), st.text(), st.sampled_from(Folder))
def test_the_key_of_a_file_gives_that_of_its_thumbnail(tenant: str, owner: str, file: str, folder: Folder) -> None:
    """Only customers' files have thumbnails, and an owner's thumbnails are deleted last."""
    place = FilePlace(tenant, owner, file, folder)
    assert thumbnail_key(place.key) == (place.thumbnail.key if folder is Folder.FILES else "")
    assert place.thumbnail.key.startswith(prefixes_of(tenant, owner)[-1])
    assert len(set(prefixes_of(tenant, owner))) == len(Folder)


def test_a_retry_is_the_same_file_and_other_bytes_are_another() -> None:
    """A mail that repeats a Message-ID with another file replaces nothing."""
    assert file_id_of(derive, "m", 0, "aa") == file_id_of(derive, "m", 0, "aa")
    assert (
        len({file_id_of(derive, "m", 0, "aa"), file_id_of(derive, "m", 1, "aa"), file_id_of(derive, "m", 0, "bb")}) == 3
    )


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"%PDF-1.4 ...", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "image/png"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "image/jpeg"),
        (b"OggS" + bytes(30), "audio/ogg"),
        (b"PK\x03\x04" + bytes(40), "application/zip"),
        (b"MZ\x90\x00", "application/vnd.microsoft.portable-executable"),
        (b"#!/bin/sh\n", "text/x-script"),
        ("سلام، سفارش من نرسیده است".encode(), "text/plain"),
        ("سلام".encode("windows-1256"), "text/plain"),
        ("سلام".encode("utf-16"), "text/plain"),
        (b"a,b\r\n1,2\r\n", "text/plain"),
        (b"  <!DOCTYPE html><p>", "text/html"),
        (b"hello <script>alert(1)</script>", "text/html"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg">', "image/svg+xml"),
        (b'<?xml version="1.0"?><order/>', "application/xml"),
        (bytes(range(256)), "application/octet-stream"),
        (b"", "application/octet-stream"),
        (("a" * 8191 + "س").encode(), "text/plain"),
    ],
)
def test_types_come_from_the_bytes(head: bytes, kind: str) -> None:
    """What a browser could run is never called a text or an image that is safe."""
    assert sniffed(head) == kind


@given(st.binary(max_size=9000))
def test_every_beginning_has_a_type(head: bytes) -> None:
    """No bytes raise, and bytes beyond the head do not count."""
    kind = sniffed(head)
    assert kind.count("/") == 1
    assert kind == sniffed(head[:8192] + b"")


def test_the_first_files_of_a_message_are_kept() -> None:
    """A file that is too large does not use up the place of the next ones."""
    policy = FilePolicy(max_bytes=10, per_message=2, message_bytes=15)
    assert policy.of_message((11, 8, 8, 7, 0)) == (
        FileRefusal.TOO_LARGE,
        NOTHING,
        FileRefusal.TOO_MANY,
        NOTHING,
        FileRefusal.TOO_MANY,
    )


@given(st.lists(st.integers(0, 30)))
def test_what_is_kept_is_within_the_limits(sizes: list[int]) -> None:
    """Whatever comes: the kept files are within all three limits."""
    policy = FilePolicy(max_bytes=20, per_message=3, message_bytes=40)
    kept = [size for size, verdict in zip(sizes, policy.of_message(tuple(sizes)), strict=True) if verdict is NOTHING]
    assert len(kept) <= 3
    assert sum(kept) <= 40
    assert all(size <= 20 for size in kept)


@pytest.mark.parametrize(
    ("types", "refused", "kind", "verdict"),
    [
        (("*/*",), (), "application/pdf", NOTHING),
        (("image/*", "application/pdf"), (), "application/pdf", NOTHING),
        (("image/*",), (), "application/pdf", FileRefusal.TYPE_NOT_ALLOWED),
        (("image/*",), ("image/svg+xml",), "image/svg+xml", FileRefusal.TYPE_NOT_ALLOWED),
        ((), (), "image/png", FileRefusal.TYPE_NOT_ALLOWED),
    ],
)
def test_types_are_allowed_by_pattern(
    types: tuple[str, ...], refused: tuple[str, ...], kind: str, verdict: FileRefusal
) -> None:
    """A refused type counts more than an allowed one."""
    assert FilePolicy(types=types, types_refused=refused).of_type(kind) is verdict


@pytest.mark.parametrize(
    ("text", "good"),
    [("image/*", True), ("*/*", True), ("*/png", False), ("image", False), ("a/b/c", False), ("Image/*", False)],
)
def test_patterns_are_checked(text: str, good: bool) -> None:
    """A pattern that could never match is an error of the settings."""
    assert is_pattern(text) is good
