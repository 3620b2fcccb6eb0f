"""JSON documents that are expensive to parse, each a function of its size in bytes. Some have the shape of a channel's documents."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from tests.hostile.texts import TEXTS

Document = Callable[[int], bytes]


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


def _telegram(text: str) -> Any:
    user = {"id": 7, "first_name": text, "last_name": text, "username": text, "language_code": text}
    file = {"file_id": text, "file_name": text, "mime_type": text}
    message = {"message_id": 1, "chat": {"id": 7, "type": "private"}, "from": user, "text": text, "document": file}
    return {"update_id": 1, "message": message}


def _whatsapp(count: int, text: str) -> Any:
    contacts = [{"wa_id": str(10**11 + each), "profile": {"name": text}} for each in range(count)]
    messages = [
        {"id": f"w{each}", "from": str(10**11 + count - each - 1), "type": "text", "text": {"body": text}}
        for each in range(count)
    ]
    return {"entry": [{"changes": [{"value": {"contacts": contacts, "messages": messages}}]}]}


def _webhook(text: str) -> Any:
    return {
        "message_id": "1",
        "customer": {"id": "c", "name": text},
        "text": text,
        "labels": {text: text},
        "language": text,
    }


def _frames(text: str) -> Any:
    return {"type": "hello", "token": text, "identifier": text, "name": text, "language": text}


def _said(text: str) -> Any:
    return {"type": "message", "id": "0" * 8 + "-0000-0000-0000-" + "0" * 12, "text": text, "reply_to": text}


_SHAPES: Final[Mapping[str, Callable[[str], Any]]] = MappingProxyType(
    {
        "telegram": _telegram,
        "whatsapp": lambda text: _whatsapp(1, text),
        "webhook": _webhook,
        "hello": _frames,
        "say": _said,
    }
)


def _shaped(shape: Callable[[str], Any], make: Callable[[int], str]) -> Document:
    return lambda size: _json(shape(make(size // 8)))


def _repeated(before: bytes, piece: bytes, after: bytes) -> Document:
    return lambda size: before + piece * (size // len(piece)) + after


DOCUMENTS: Final[Mapping[str, Document]] = MappingProxyType(
    {
        "whatsapp, many": lambda size: _json(_whatsapp(size // 200, "x")),
        "whatsapp, statuses": _repeated(b'{"entry":[{"changes":[{"value":{"statuses":[', b"{},", b"{}]}}]}]}"),
        "whatsapp, changes": _repeated(b'{"entry":[{"changes":[', b"1,", b"1]}]}"),
        "whatsapp, entries": _repeated(b'{"entry":[', b"1,", b"1]}"),
        "deep": lambda size: b'{"update_id":1,"message":' + b"[" * (size // 2) + b"]" * (size // 2) + b"}",
        "deep objects": _repeated(b"", b'{"a":', b"1"),
        "wide": _repeated(b'{"update_id":1,"message":[', b"[],", b"[]]}"),
        "a number": _repeated(b'{"update_id":', b"1", b"}"),
        "a number below": _repeated(b'{"update_id":1,"message":{"message_id":', b"9", b"}}"),
        "many numbers": _repeated(b'{"update_id":1,"message":[', b"1" * 499 + b",", b"1]}"),
        "exponents": _repeated(b'{"update_id":1,"message":[', b"1e9999,", b"1]}"),
        "a fraction": _repeated(b'{"update_id":0.', b"1", b"}"),
        "white space": _repeated(b'{"update_id":', b" ", b"1}"),
        "keys": lambda size: _json({"update_id": 1, "message": {str(each): 0 for each in range(size // 12)}}),
        "unknown keys": lambda size: _json({str(each): 0 for each in range(size // 12)}),
        "a long key over values": lambda size: _json({"update_id": 1, "message": {"k" * (size // 2): ["x"] * (size // 10)}}),
        "long keys in a row": lambda size: _json({"update_id": 1, "message": _nested("k" * (size // 40), 40, ["\x00"])}),
        "labels": lambda size: _json({**_webhook("x"), "labels": {str(each): "x" for each in range(size // 14)}}),
        "surrogates": _repeated(b'{"update_id":1,"message":"', b"\\ud800", b'"}'),
        "escapes": _repeated(b'{"update_id":1,"message":"', b"\\u0041", b'"}'),
        "not JSON": _repeated(b"{", b'"', b""),
        "not UTF-8": _repeated(b'{"text":"', b"\xff", b'"}'),
        **{
            f"{shape}, {name}": _shaped(made, make)
            for shape, made in _SHAPES.items()
            for name, make in TEXTS.items()
        },
    }
)  # fmt: skip


def _nested(key: str, depth: int, inside: Any) -> Any:
    for _ in range(depth):
        inside = {key: inside}
    return inside
