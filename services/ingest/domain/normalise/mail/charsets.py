"""Decodes bytes when a mail names its charset wrongly, unusually, or not at all. Never raises.

The order is: UTF-8, the label, plausible code pages with the account's language first, a guess from a sample (in
bodies only and a few times per mail). A Western label is not believed for words that no Western language has.

Only charsets on the list are used: the codec registry also holds codecs that are not charsets and some that take
quadratic time (`punycode`). A name that is not on the list costs one look-up: the registry would search the disk for
it, and would keep the result for ever.
"""

import re
from encodings.aliases import aliases

from charset_normalizer import from_bytes

from services.ingest.domain.normalise.mail.plausible import code_page, looks_foreign

_SAMPLE = 4 << 10
_GUESSES = 8
_PERSIAN_CODE_PAGE = "cp1256"
_ALIASES = {
    "windows-1256": "cp1256", "x-windows-1256": "cp1256", "ms-arab": "cp1256", "cp-1256": "cp1256", "win-1256": "cp1256",
    "iso-8859-6-i": "iso8859_6", "iso-8859-6-e": "iso8859_6", "iso-8859-8-i": "iso8859_8", "utf8mb4": "utf-8",
    "unicode-1-1-utf-8": "utf-8", "utf-8-bom": "utf-8-sig", "unicode": "utf-16", "x-unknown": "", "unknown-8bit": "",
    "default": "", "ansi": "cp1252", "x-gbk": "gbk", "ks_c_5601-1987": "cp949", "x-mac-farsi": "mac-farsi",
    "ascii": "utf-8", "us-ascii": "utf-8",
}  # fmt: skip
_ALLOWED = frozenset(
    {
        "utf_8", "utf_8_sig", "utf_16", "utf_16_le", "utf_16_be", "utf_32", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254",
        "cp1255", "cp1256", "cp1257", "cp1258", "cp437", "cp850", "cp852", "cp864", "cp866", "cp720", "cp932", "cp949",
        "cp950", "latin_1", "iso8859_2", "iso8859_3", "iso8859_4", "iso8859_5", "iso8859_6", "iso8859_7", "iso8859_8",
        "iso8859_9", "iso8859_10", "iso8859_13", "iso8859_14", "iso8859_15", "iso8859_16", "koi8_r", "koi8_u", "gb2312",
        "gbk", "gb18030", "big5", "euc_jp", "euc_kr", "shift_jis", "iso2022_jp", "mac_roman", "mac_farsi", "mac_arabic",
        "mac_cyrillic", "tis_620",
    }
)  # fmt: skip
_WESTERN = frozenset(
    {"latin_1", "cp1252", "iso8859_15", "cp1250", "iso8859_2", "iso8859_9", "cp1254", "utf_8", "utf_8_sig"}
)
_SEVEN_BITS = frozenset({"iso2022_jp"})
_WIDE = frozenset({"utf_16", "utf_16_le", "utf_16_be", "utf_32"})
_UTF8_LETTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH = re.compile(rb"[\x80-\xff]+")
_ENOUGH_LETTERS = 4
_NAME = re.compile(r"[A-Za-z0-9_.:+-]{1,60}")
_NO_LETTER = re.compile(r"[^a-z0-9]+")


def labelled(raw: bytes, charset: str, language: str = "") -> str:
    """Decode the text: as UTF-8, by its label, in a plausible code page, in Persian's usual one. Guesses nothing more.
    For headers. `language`: the account's, which decides between plausible code pages."""
    codec = codec_of(charset)
    return _sure(raw, codec, language) or _clean(raw.decode(codec or _PERSIAN_CODE_PAGE, "replace"))


class Charsets:
    """Decodes the parts of one mail, and guesses the charset for a few of them. `language`: the account's (BCP 47), the
    prior for guesses."""

    def __init__(self, language: str = "") -> None:
        self._guesses = _GUESSES
        self._language = language

    def text(self, raw: bytes, charset: str) -> str:
        """Return the text without NUL; bytes that can't be decoded become U+FFFD."""
        codec = codec_of(charset)
        sure = _sure(raw, codec, self._language)
        if sure or not raw:
            return sure
        return _clean(raw.decode(self._guessed(raw) or codec or _PERSIAN_CODE_PAGE, "replace"))

    def _guessed(self, raw: bytes) -> str:
        if not self._guesses:
            return ""
        self._guesses -= 1
        best = from_bytes(raw[:_SAMPLE]).best()
        found = codec_of(best.encoding) if best is not None else ""
        return "" if found in ("utf_8", "utf_8_sig") else found


def codec_of(charset: str) -> str:
    """Return the codec of a charset's name, or an empty string for a name that is not on the list."""
    name = charset[:80].strip().strip("\"'").lower()
    name = _ALIASES.get(name, name)
    if not name or not _NAME.fullmatch(name):
        return ""
    plain = _NO_LETTER.sub("_", name)
    codec = aliases.get(plain, plain)
    return codec if codec in _ALLOWED else ""


def _sure(raw: bytes, codec: str, language: str) -> str:
    """Return the text if there is good evidence for a charset; otherwise an empty string.

    Text that is valid UTF-8 by accident is very rare, so UTF-8 comes before the label. Charsets of 7 bits, and those
    with NUL between ASCII letters, are valid UTF-8 too: for them the label or the escape sequence counts first.
    """
    if b"\x1b$" in raw[:_SAMPLE] and codec not in _SEVEN_BITS:
        codec = "iso2022_jp"
    first = (codec, "utf_8") if codec in _SEVEN_BITS or codec in _WIDE else ("utf_8",)
    for each in first:
        try:
            return _clean(raw.decode(each))
        except UnicodeDecodeError:
            continue
    if _nearly_utf8(raw):
        return _clean(raw.decode("utf_8", "replace"))
    if codec in _WESTERN or not codec:
        page = code_page(raw, language) if not codec or looks_foreign(raw) else ""
        if page or not codec:
            return _clean(raw.decode(page, "replace")) if page else ""
    try:
        return _clean(raw.decode(codec))
    except UnicodeDecodeError:
        page = code_page(raw, language)
        return _clean(raw.decode(page, "replace")) if page else ""


def _nearly_utf8(raw: bytes) -> bool:
    """Return whether this is UTF-8 with a few broken letters, as in a text that was cut."""
    letters = len(_UTF8_LETTER.findall(raw[:_SAMPLE]))
    if letters < _ENOUGH_LETTERS:
        return False
    broken = len(_HIGH.findall(_UTF8_LETTER.sub(b"", raw[:_SAMPLE])))
    return broken * 20 <= letters


def _clean(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
