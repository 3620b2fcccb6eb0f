"""Bytes to text when mail names its charset wrongly, oddly, or not at all. Never raises.

Only charsets on the list are used: the codec registry also holds things that are no charsets and some that take quadratic
time (`punycode`). Unknown names go through aliases; what still can't be decoded is guessed from a sample.
"""

import codecs
import re

from charset_normalizer import from_bytes

_SAMPLE = 32 << 10
_PERSIAN_CODE_PAGE = "cp1256"
_ALIASES = {
    "windows-1256": "cp1256", "x-windows-1256": "cp1256", "ms-arab": "cp1256", "cp-1256": "cp1256", "win-1256": "cp1256",
    "iso-8859-6-i": "iso8859-6", "iso-8859-6-e": "iso8859-6", "iso-8859-8-i": "iso8859-8", "utf8mb4": "utf-8",
    "unicode-1-1-utf-8": "utf-8", "utf-8-bom": "utf-8-sig", "unicode": "utf-16", "x-unknown": "", "unknown-8bit": "",
    "default": "", "ansi": "cp1252", "x-gbk": "gbk", "ks_c_5601-1987": "cp949", "x-mac-farsi": "mac-farsi",
    "ascii": "utf-8", "us-ascii": "utf-8",
}  # fmt: skip
_ALLOWED = frozenset(
    {
        "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254",
        "cp1255", "cp1256", "cp1257", "cp1258", "cp437", "cp850", "cp852", "cp864", "cp866", "cp720", "cp932", "cp949",
        "cp950", "iso8859-1", "iso8859-2", "iso8859-3", "iso8859-4", "iso8859-5", "iso8859-6", "iso8859-7", "iso8859-8",
        "iso8859-9", "iso8859-10", "iso8859-13", "iso8859-14", "iso8859-15", "iso8859-16", "koi8-r", "koi8-u", "gb2312",
        "gbk", "gb18030", "big5", "euc_jp", "euc_kr", "shift_jis", "iso2022_jp", "mac-roman", "mac-farsi", "mac-arabic",
        "mac-cyrillic", "tis-620",
    }
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9_.:+-]{1,60}")


def decode(raw: bytes, charset: str) -> str:
    """The text, without NUL; what can't be read becomes U+FFFD."""
    codec = _codec(charset)
    if codec:
        try:
            return _clean(raw.decode(codec))
        except UnicodeDecodeError:
            pass  # the label is wrong
    try:
        return _clean(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return _clean(_guessed(raw, codec))


def _codec(charset: str) -> str:
    name = charset.strip().strip("\"'").lower()
    name = _ALIASES.get(name, name)
    if not name or not _NAME.fullmatch(name):
        return ""
    try:
        known = codecs.lookup(name).name
    except LookupError:
        return ""
    return known if known in _ALLOWED else ""


def _guessed(raw: bytes, labelled: str) -> str:
    best = from_bytes(raw[:_SAMPLE]).best()
    if best is not None and best.encoding.replace("_", "-") not in ("ascii", "utf-8"):
        codec = _codec(best.encoding.replace("_", "-"))
        if codec:
            return raw.decode(codec, "replace")
    return raw.decode(labelled or _PERSIAN_CODE_PAGE, "replace")


def _clean(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
