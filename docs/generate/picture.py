"""The pictures: each docs/pictures/*.yaml drawn as two SVG files, for light and for dark pages.

`python -m docs.generate.picture` writes them; a test compares. A drawing is a function of its source alone: no fonts are measured and
no browser is needed.
"""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

from docs.generate.contract import ROOT

SOURCES: Final = tuple(sorted((ROOT / "docs/pictures").glob("*.yaml")))
THEMES: Final = ("light", "dark")
_GAP, _MARGIN = 46, 12
_HEIGHT, _SPACE = 100, 40
_RADIUS, _BEND = 10, 12
_BELOW: Final = 46
"""Room under the boxes for arrows that bend through it."""
_FONT: Final = "-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"

Kind = Literal["people", "edge", "service", "log", "store"]
Side = Literal["left", "right", "top", "bottom"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Box(_Strict):
    """A box of the grid."""

    id: str
    column: int
    row: int
    rows: Annotated[int, Field(ge=1)] = 1
    kind: Kind
    title: str
    lines: tuple[str, ...] = ()


class Arrow(_Strict):
    """An arrow between the sides of two boxes, written `box.side`. `from_row` and `to_row` place an end beside a row of a tall box."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    start: Annotated[str, Field(alias="from")]
    end: Annotated[str, Field(alias="to")]
    both: bool = False
    label: str = ""
    from_row: int | None = None
    to_row: int | None = None
    via: Literal["", "bottom"] = ""


class Picture(_Strict):
    """The source. `columns` are widths in pixels."""

    title: str
    description: str
    columns: tuple[int, ...]
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


@dataclass(frozen=True, slots=True)
class Colours:
    """Colours of one theme; `fill` and `stroke` by kind of box."""

    text: str
    faint: str
    line: str
    label_back: str
    fill: dict[Kind, str]
    stroke: dict[Kind, str]


_COLOURS: Final = {
    "light": Colours(
        text="#1f2328",
        faint="#59636e",
        line="#6e7781",
        label_back="#ffffff",
        fill={"people": "#e9f7ec", "edge": "#f6f8fa", "service": "#e8f1fd", "log": "#fff5e0", "store": "#f3eefc"},
        stroke={"people": "#2f9e4f", "edge": "#8c959f", "service": "#2f74d0", "log": "#c98a1b", "store": "#7d5bbe"},
    ),
    "dark": Colours(
        text="#e6edf3",
        faint="#9ba6b2",
        line="#8b949e",
        label_back="#0d1117",
        fill={"people": "#12261a", "edge": "#161b22", "service": "#121d2f", "log": "#2b2111", "store": "#1f1830"},
        stroke={"people": "#3fb950", "edge": "#6e7681", "service": "#4d8fe8", "log": "#d29922", "store": "#a078e8"},
    ),
}


def read_picture(source: Path) -> Picture:
    """The source. Raises pydantic's ValidationError for a key that is not known."""
    return Picture.model_validate(YAML(typ="safe").load(source.read_text(encoding="utf-8")))


def render_svg(picture: Picture, theme: str) -> str:
    """The picture as SVG, `theme` one of THEMES."""
    return _Drawing(picture, _COLOURS[theme]).svg()


class _Drawing:
    def __init__(self, picture: Picture, colours: Colours) -> None:
        self._picture = picture
        self._colours = colours
        self._boxes = {box.id: box for box in picture.boxes}
        self._rows = max(box.row + box.rows for box in picture.boxes)
        self._width = 2 * _MARGIN + sum(picture.columns) + _GAP * (len(picture.columns) - 1)
        bent = any(arrow.via for arrow in picture.arrows)
        self._bottom = _MARGIN + self._rows * _HEIGHT + (self._rows - 1) * _SPACE
        self._height = self._bottom + (_BELOW if bent else 0) + _MARGIN

    def svg(self) -> str:
        c = self._colours
        size = f'width="{self._width}" height="{self._height}" viewBox="0 0 {self._width} {self._height}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title description" font-family="{_FONT}">',
            f'<title id="title">{escape(self._picture.title)}</title>',
            f'<desc id="description">{escape(self._picture.description)}</desc>',
            '<defs><marker id="head" viewBox="0 0 10 10" refX="8.5" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
            f'<path d="M0.5 0.8 9 5 0.5 9.2Z" fill="{c.line}"/></marker></defs>',
        ]
        for arrow in self._picture.arrows:
            lines += self._arrow(arrow)
        for box in self._picture.boxes:
            lines += self._box(box)
        return "\n".join([*lines, "</svg>"]) + "\n"

    def _area(self, box: Box) -> tuple[int, int, int, int]:
        """(left, top, width, height)."""
        left = _MARGIN + sum(self._picture.columns[: box.column]) + _GAP * box.column
        top = _MARGIN + box.row * (_HEIGHT + _SPACE)
        return left, top, self._picture.columns[box.column], box.rows * _HEIGHT + (box.rows - 1) * _SPACE

    def _box(self, box: Box) -> list[str]:
        c = self._colours
        left, top, width, height = self._area(box)
        lines = [
            f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="{_RADIUS}" '
            f'fill="{c.fill[box.kind]}" stroke="{c.stroke[box.kind]}" stroke-width="1.5"/>'
        ]
        middle = left + width // 2
        first = top + (height - 21 - 17 * len(box.lines)) // 2 + 16
        lines.append(_text(middle, first, box.title, 16, c.text, weight=600))
        lines += [_text(middle, first + 21 + 17 * at, line, 12.5, c.faint) for at, line in enumerate(box.lines) if line]
        return lines

    def _arrow(self, arrow: Arrow) -> list[str]:
        c = self._colours
        (x1, y1), (x2, y2) = self._end(arrow.start, arrow.from_row), self._end(arrow.end, arrow.to_row)
        x, y = (x1 + x2) // 2, (y1 + y2) // 2
        path = f"M{x1} {y1}L{x2} {y2}"
        if arrow.via:
            y = self._bottom + _BELOW // 2 + 6
            turn = -_BEND if x2 < x1 else _BEND
            path = f"M{x1} {y1}V{y - _BEND}Q{x1} {y} {x1 + turn} {y}H{x2 - turn}Q{x2} {y} {x2} {y - _BEND}V{y2}"
        marks = 'marker-end="url(#head)"' + (' marker-start="url(#head)"' if arrow.both else "")
        lines = [f'<path d="{path}" fill="none" stroke="{c.line}" stroke-width="1.6" {marks}/>']
        if arrow.label and x1 == x2:
            lines.append(_text(x + 10, y + 4, arrow.label, 12.5, c.faint, anchor="start"))
        elif arrow.label:
            width = round(len(arrow.label) * 6.4) + 12
            lines.append(f'<rect x="{x - width // 2}" y="{y - 9}" width="{width}" height="18" fill="{c.label_back}"/>')
            lines.append(_text(x, y + 4, arrow.label, 12.5, c.faint))
        return lines

    def _end(self, place: str, row: int | None) -> tuple[int, int]:
        name, _, side = place.partition(".")
        box = self._boxes[name]
        left, top, width, height = self._area(box)
        across = top + height // 2 if row is None else _MARGIN + row * (_HEIGHT + _SPACE) + _HEIGHT // 2
        match side:
            case "left":
                return left - 3, across
            case "right":
                return left + width + 3, across
            case "top":
                return left + width // 2, top - 3
            case "bottom":
                return left + width // 2, top + height + 3
        raise ValueError(f"{place}: write box.left, box.right, box.top or box.bottom")


def _text(x: int, y: int, text: str, size: float, colour: str, weight: int = 400, anchor: str = "middle") -> str:
    style = f'font-size="{size}" font-weight="{weight}" fill="{colour}" text-anchor="{anchor}"'
    return f'<text x="{x}" y="{y}" {style}>{escape(text)}</text>'


def drawn(source: Path, theme: str) -> Path:
    """Return the file of a drawing."""
    return source.with_name(f"{source.stem}-{theme}.svg")


if __name__ == "__main__":
    for source in SOURCES:
        for name in THEMES:
            drawn(source, name).write_text(render_svg(read_picture(source), name), encoding="utf-8")
