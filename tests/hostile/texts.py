"""Texts that are expensive to process, each a function of its number of characters."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

Text = Callable[[int], str]
_ZWJ: Final = "\u200d"


def _filled(piece: str, before: str = "", after: str = "") -> Text:
    def made(size: int) -> str:
        return before + piece * max(1, (size - len(before) - len(after)) // len(piece)) + after

    return made


TEXTS: Final[Mapping[str, Text]] = MappingProxyType(
    {
        "letters": _filled("a"),
        "Persian": _filled("سلام "),
        "spaces": _filled(" "),
        "kinds of space": _filled("\u00a0\u2003\t"),
        "lines": _filled("\n"),
        "lines with spaces": _filled("\n ", "x"),
        "carriage returns": _filled("\r"),
        "marks": _filled("\u0301\u0323\u031b", "a"),
        "marks of one class": _filled("\u0301", "a"),
        "marks of descending classes": _filled("\u0301\u0323\u0327\u05b0", "a"),
        "marks between joiners": _filled(f"\u0301{_ZWJ}\u0323{_ZWJ}", "a"),
        "marks between spaces that vanish": _filled("\u0323\u2066\u0301\u202e", "a"),
        "spacing marks with a class": _filled("\u302e\u302f", "a"),
        "spacing marks between joiners": _filled(f"\u302f{_ZWJ}\u302e{_ZWJ}", "a"),
        "musical marks": _filled("\U0001d165\U0001d16d", "a"),
        "vowel signs": _filled("\u064b\u0651\u0650", "ب"),
        "letters with marks": _filled("\u1e69\u0323"),
        "marks that fall apart": _filled("\u0344\u0323"),
        "zalgo": _filled("a" + "\u0300\u0316\u0334\u0358\u035c" * 6),
        "enclosing marks": _filled("\u20dd", "a"),
        "ligatures of eighteen": _filled("\ufdfa"),
        "Hangul": _filled("\u1100\u1161\u11a8"),
        "compatibility capitals": _filled("\U0001f130\u2100"),
        "letters that grow": _filled("\u0130\u1e9e\ufb03"),
        "emoji chains": _filled(f"\U0001f468{_ZWJ}\U0001f469{_ZWJ}\U0001f467\U0001f3fd"),
        "variation selectors": _filled("\ufe0f\U000e0100", "a"),
        "tags": _filled("\U000e0061", "\U0001f3f4"),
        "flags": _filled("\U0001f1ee\U0001f1f7"),
        "keycaps": _filled("5\ufe0f\u20e3"),
        "overrides": _filled("\u202e\u2066\u2069"),
        "isolates": _filled("\u2067"),
        "surrogates": _filled("\ud800"),
        "broken pairs": _filled("\udc00\ud800"),
        "NUL": _filled("\x00"),
        "controls": _filled("\x1b[0m"),
        "digits": _filled("9"),
        "regional digits": _filled("۹٩९९𝟗"),
        "a number": _filled("1", "-"),
        "quotes": _filled("> "),
        "angles": _filled(">"),
        "quoted lines": _filled("> x\n"),
        "attributions": _filled("On x wrote\n"),
        "attributions at length": _filled("On wrote: "),
        "Persian attributions": _filled("در تاریخ نوشت "),
        "rules": _filled("-", "x\n"),
        "tags of HTML": _filled("<div>"),
        "open tags": _filled("<"),
        "comments": _filled("<!--"),
        "entities": _filled("&amp;"),
        "numeric references": _filled("9", "&#"),
        "encoded words": _filled("=?x?b?gQ==?= "),
        "open encoded words": _filled("=?x?b?"),
        "addresses": _filled("a@b.example, "),
        "at signs": _filled("a@"),
        "many at signs": _filled("@"),
        "commas": _filled(","),
        "quotation marks": _filled('"'),
        "parentheses": _filled("(a "),
        "open parentheses": _filled("("),
        "backslashes": _filled("\\"),
        "links": _filled("https://a.example/"),
        "schemes": _filled("https://"),
        "paths": _filled("../"),
        "percent": _filled("%41"),
        "dots": _filled("."),
        "hyphens": _filled("-"),
        "equals": _filled("="),
        "base64": _filled("QUFB"),
        "JSON, deep": _filled("["),
        "JSON, wide": _filled("[],"),
        "JSON, keys": _filled('{"a":'),
        "semicolons": _filled("; "),
        "words": _filled("not good no problem "),
        "denials": _filled("راضی نبودم "),
        "spoken prefixes": _filled("می "),
        "full stops": _filled("no. "),
        "random-looking": lambda size: "".join(chr(0x4E00 + index * 7919 % 20000) for index in range(size)),
    }
)
