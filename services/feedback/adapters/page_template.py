"""The page's template, and pages that are rendered once and filled in for each request.

A page of one survey in one language differs between requests only in its places: the link's token, the number of the
page view, and the time until which it can be answered. `Template.cut` renders such a page once; filling the places takes
a microsecond, rendering it 30 to 200.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.feedback.adapters.page_texts import Texts

_FOLDER: Final = Path(__file__).with_name("templates")


class Place(StrEnum):
    """A part that differs between requests for the same page."""

    TOKEN = "token"  # noqa: S105 - a name
    VIEW = "view"
    UNTIL = "until"


class CutPage:
    """A rendered page, cut at its places."""

    def __init__(self, pieces: list[bytes], places: list[Place], escape: Callable[[str], str]) -> None:
        """`pieces`: the parts before, between and after the places. `escape`: as the template escapes a text."""
        assert len(pieces) == len(places) + 1
        order = list(Place)
        self._escape = escape
        self._places = tuple(order.index(place) for place in places)
        self._parts = [b""] * (2 * len(places) + 1)
        self._parts[::2] = pieces

    def filled(self, *, token: str, view: str = "", until: str = "") -> bytes:
        """Return the page with the texts at its places, escaped."""
        texts = (token, view, until)  # in the order of `Place`
        parts = self._parts.copy()
        parts[1::2] = [_encoded(self._escape(texts[place])) for place in self._places]
        return b"".join(parts)


class Template:
    """The template of all survey pages."""

    def __init__(self) -> None:
        environment = Environment(
            loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._template = environment.get_template("survey.html")
        self._escape: Callable[[str], str] = environment.filters["escape"]
        self._css = _FOLDER.joinpath("survey.css").read_text("utf-8")
        # Random, so that no text of a configuration can contain a mark; letters and digits, so that escaping keeps it.
        self._mark = f"place{secrets.token_hex(16)}"
        self._marked = re.compile(f"{self._mark}({'|'.join(Place)})")

    @property
    def style_hash(self) -> str:
        """The style's hash for a content security policy: `sha256-…`."""
        return "sha256-" + base64.b64encode(hashlib.sha256(self._css.encode()).digest()).decode()

    def place(self, place: Place) -> str:
        """Return the text to render where `cut` shall cut."""
        return self._mark + place

    def html(self, t: Texts, **values: Any) -> bytes:
        """Render a page for one request."""
        return _encoded(self._rendered(t, values))

    def cut(self, t: Texts, **values: Any) -> CutPage:
        """Render a page with marks (`place`) among its values, and cut it there."""
        parts = self._marked.split(self._rendered(t, values))
        return CutPage([_encoded(part) for part in parts[::2]], [Place(name) for name in parts[1::2]], self._escape)

    def _rendered(self, t: Texts, values: dict[str, Any]) -> str:
        return self._template.render(t=t, css=self._css, **values)


def _encoded(html: str) -> bytes:
    return html.encode("utf-8", "replace")
