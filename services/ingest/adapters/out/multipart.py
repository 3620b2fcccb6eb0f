"""A body of type multipart/form-data (RFC 7578) with one file."""

import hashlib
from collections.abc import Mapping

from services.ingest.adapters.out.attached import OutFile


def form(fields: Mapping[str, str], name: str, file: OutFile) -> tuple[str, bytes]:
    """Return the content type and the body. `name`: of the file's field."""
    # The boundary must not be in the file: it depends on all of its bytes.
    boundary = "chapar" + hashlib.sha256(b"form" + file.sha256.encode()).hexdigest()
    parts = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode("utf-8", "replace")
        for field, value in fields.items()
    ]
    head = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"; filename="{_quoted(file.name or "file")}"\r\n'
        f"content-type: {file.content_type}\r\n\r\n"
    )
    body = b"".join((*parts, head.encode("utf-8", "replace"), file.content, f"\r\n--{boundary}--\r\n".encode()))
    return f"multipart/form-data; boundary={boundary}", body


def _quoted(name: str) -> str:
    """Return a file name for a header: quotes and line breaks are percent-encoded, as browsers do."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
