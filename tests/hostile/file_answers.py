"""Feeds text to what reads the answers of providers about files, and to what sends files."""

from typing import Final

from services.chassis.ids import derive
from services.ingest.adapters.files import small_image
from services.ingest.adapters.files.links import FileLinks
from services.ingest.adapters.files.uploads import UploadReceipts
from services.ingest.adapters.out import multipart
from services.ingest.adapters.out.attached import OutFile
from services.ingest.adapters.out.http import json_object
from services.ingest.domain import channel_rules, fetching, retry_after, sent_files
from services.ingest.domain.files import places, sniffing
from services.ingest.domain.messages import Attachment
from tests.hostile.entry import Entry, all_of, named, refusing

_FILE_RECEIPTS: Final = UploadReceipts([b"k" * 32], lambda: 0, 60)
_FILE_LINKS: Final = FileLinks([b"k" * 32], str, lambda: 0, 60)


def answers(given: str) -> None:
    """Answers of providers about files, whose texts are all the given one."""
    body = {
        "description": given,
        "error": {"code": given},
        "url": given,
        "file_size": given,
        "ok": True,
        "result": {"file_path": given},
    }
    for found in (fetching.telegram(400, body, given), fetching.whatsapp(400, body, given)):
        assert found is not None
    fetching.telegram_download(503, given)
    fetching.whatsapp_download(503, given)
    fetching.telegram_path(body)
    fetching.allowed(fetching.whatsapp_media(body)[0] or given, "https://a.example", ("b.example",))
    retry_after.milliseconds(given)


def sent(given: str) -> None:
    """A file of a reply, whose names are all the given one."""
    file = Attachment(given, given, 7, "", file_id=given, owner_id=given, sha256=given)
    sent_files.upload_id(given, given, given)
    sent_files.problem_of_reply("whatsapp", (file,), given)
    sent_files.planned(given, (file,), channel_rules.ChannelRules(part_chars=4_096), "telegram")
    sent_files.is_photo(given, 1)
    sent_files.whatsapp_kind(given)
    multipart.form({"caption": given}, "file", OutFile(places.FilePlace("t", "o", "f"), given, "text/plain", "", b""))


ENTRIES: Final = (
    Entry(named("services.ingest.adapters.out.http", "json_object"), json_object, "bytes", most=1 << 16),
    Entry(named("services.ingest.domain.fetching", "telegram", "telegram_download", "whatsapp", "whatsapp_download", "allowed"),
          all_of(answers), most=1 << 16),
    Entry((*named("services.ingest.domain.sent_files", "file_rules", "problem_of", "upload_id", "belongs", "problem_of_reply", "is_photo",
                  "whatsapp_kind", "planned"), *named("services.ingest.adapters.out.multipart", "form")),
          all_of(sent), most=1 << 16),
    Entry(named("services.ingest.domain.files.sniffing", "sniffed"), sniffing.sniffed, "bytes"),
    Entry(named("services.ingest.domain.files.places", "prefixes_of", "file_id_of", "thumbnail_id_of", "thumbnail_key"),
          all_of(lambda given: places.prefixes_of(given, given), lambda given: places.file_id_of(derive, given, 0, given),
                 lambda given: places.thumbnail_id_of(derive, given, given), places.thumbnail_key)),
    # Whatever the library raises for bytes that are not an image is an answer: the process catches it.
    Entry(named("services.ingest.adapters.files.small_image", "small_image"), refusing(small_image.small_image, Exception), "bytes", on_loop=False),
    Entry(named("services.ingest.adapters.files.links", "FileLinks.read", "SignedTexts.body"), _FILE_LINKS.read),
    Entry(named("services.ingest.adapters.files.uploads", "UploadReceipts.read"), lambda given: _FILE_RECEIPTS.read(given, given, given)),
)  # fmt: skip
