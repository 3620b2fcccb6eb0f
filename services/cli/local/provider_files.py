"""The files of the simulated providers: what customers sent, which is downloaded, and what we upload.

Telegram: getFile names a path for a file id, below `/file/bot<token>/`. WhatsApp: a media id names an address, and an upload
gets an id. An address of WhatsApp's serves a file only with the access token, as the provider's does.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage, MIMEPart
from email.policy import HTTP
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

TELEGRAM_MAX_BYTES: Final = 20 << 20
_GET_FILE: Final = re.compile(r"/bot[^/]+/getFile$")
_FILE: Final = re.compile(r"/file/bot[^/]+/documents/(?P<id>[^/]+)$")
_MEDIA: Final = re.compile(r"/v[\d.]+/(?P<id>[^/]+)$")
_LINK: Final = re.compile(r"/media/(?P<id>[^/]+)$")


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file at a provider."""

    content: bytes
    name: str = ""
    content_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """An answer to a GET: JSON, or the bytes of a file."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None


@dataclass(slots=True)
class HeldFiles:
    """The files of one server, by the provider's id. `link_to`: the address that a media id names, instead of its own."""

    files: dict[str, HeldFile] = field(default_factory=dict)
    link_to: str = ""
    downloads: list[str] = field(default_factory=list)
    """The ids of the files that were asked for, one for each download."""

    def upload(self, content: bytes, name: str, content_type: str) -> str:
        """Keep what we upload; returns its id."""
        media = f"{len(self.files) + 1}00"
        self.files[media] = HeldFile(content, name, content_type)
        return media

    def answer(self, target: str, headers: Mapping[str, str], base: str) -> FileAnswer:
        """Answer a GET."""
        parts = urlsplit(target)
        if _GET_FILE.search(parts.path):
            return self._path(parse_qs(parts.query).get("file_id", [""])[0])
        if found := _FILE.search(parts.path):
            return self._download(unquote(found["id"]))
        authorised = headers.get("authorization", "").startswith("Bearer ")
        if found := _LINK.search(parts.path):
            return self._download(unquote(found["id"])) if authorised else FileAnswer(401)
        if (found := _MEDIA.search(parts.path)) is not None:
            return self._link(unquote(found["id"]), base) if authorised else FileAnswer(401)
        return FileAnswer(404)

    def _path(self, file_id: str) -> FileAnswer:
        held = self.files.get(file_id)
        if held is None:
            return _bad_request("Bad Request: wrong file_id or the file is temporarily unavailable")
        if len(held.content) > TELEGRAM_MAX_BYTES:
            return _bad_request("Bad Request: file is too big")
        found = {"file_id": file_id, "file_size": len(held.content), "file_path": f"documents/{file_id}"}
        return FileAnswer(200, {"ok": True, "result": found})

    def _link(self, media: str, base: str) -> FileAnswer:
        held = self.files.get(media)
        if held is None:
            error = {"message": "Unsupported get request", "type": "GraphMethodException", "code": 100}
            return FileAnswer(400, {"error": {**error, "error_subcode": 33}})
        url = self.link_to or f"{base}/media/{media}"
        about = {"mime_type": held.content_type, "file_size": str(len(held.content)), "id": media, "url": url}
        return FileAnswer(200, {"messaging_product": "whatsapp", **about})

    def _download(self, file_id: str) -> FileAnswer:
        self.downloads.append(file_id)
        held = self.files.get(file_id)
        return FileAnswer(404) if held is None else FileAnswer(200, content=held.content)


def _bad_request(description: str) -> FileAnswer:
    return FileAnswer(400, {"ok": False, "error_code": 400, "description": description})


@dataclass(frozen=True, slots=True)
class Form:
    """A body of type multipart/form-data."""

    fields: Mapping[str, str]
    files: Mapping[str, HeldFile]


def form_of(content_type: str, raw: bytes) -> Form:
    """Read a form."""
    mail = message_from_bytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + raw, policy=HTTP)
    fields: dict[str, str] = {}
    files: dict[str, HeldFile] = {}
    assert isinstance(mail, EmailMessage)
    for part in mail.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        if part.get_filename() is None:
            fields[name] = content_of(part).decode()
        else:
            files[name] = HeldFile(content_of(part), part.get_filename() or "", part.get_content_type())
    return Form(fields, files)


def content_of(part: MIMEPart) -> bytes:
    """Return the bytes of a part that is not a multipart."""
    found = part.get_payload(decode=True)
    assert isinstance(found, bytes)
    return found


def whatsapp_text(body: Mapping[str, Any]) -> str:
    """Return the text or the caption of a call of WhatsApp's API; of a template the values of its parameters, because only the
    provider's own list has its words."""
    if body["type"] != "template":
        sent = body[body["type"]]
        return str(sent.get("body", sent.get("caption", "")))
    components = body["template"].get("components", [])
    return " ".join(str(value["text"]) for component in components for value in component["parameters"])
