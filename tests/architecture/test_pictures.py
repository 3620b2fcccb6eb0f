"""The pictures, and the Persian first page."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.generate.picture import SOURCES, THEMES, drawn, read_picture, render_svg

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
PAGES = ("README.md", "README.fa.md")


each_picture = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)


@each_picture
@pytest.mark.parametrize("theme", THEMES)
def test_the_picture_is_current(source: Path, theme: str) -> None:
    """`make docs` was run after the last change of its source."""
    assert drawn(source, theme).read_text(encoding="utf-8") == render_svg(read_picture(source), theme)


@each_picture
def test_every_box_lies_in_the_picture_and_has_its_text_within(source: Path) -> None:
    """Texts count .62 em for each character, so that they also fit in other fonts."""
    picture = read_picture(source)
    root = ElementTree.fromstring(render_svg(picture, "light"))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = {box.title: box for box in picture.boxes}
    columns = picture.columns
    for rect in root.iter(f"{SVG}rect"):
        left, top = float(rect.attrib["x"]), float(rect.attrib["y"])
        assert 0 <= left <= left + float(rect.attrib["width"]) <= width
        assert 0 <= top <= top + float(rect.attrib["height"]) <= height
    for title, box in boxes.items():
        for text, size in ((title, 16), *((line, 12.5) for line in box.lines)):
            assert len(text) * size * 0.62 <= columns[box.column], text


@pytest.mark.parametrize("page", PAGES)
def test_the_first_pages_show_the_picture_and_lead_to_each_other(page: str) -> None:
    """Both themes are shown, files exist, and each page links the other language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    shown = re.findall(r'(?:src|srcset)="([^"]+)"', text)
    assert sorted(shown) == ["docs/pictures/path-dark.svg", "docs/pictures/path-light.svg"]
    assert all((ROOT / name).is_file() for name in shown)
    assert f"({PAGES[1 - PAGES.index(page)]})" in text


def test_the_persian_page_is_written_from_right_to_left() -> None:
    """Everything except code is in right-to-left blocks, and numbers in the prose are Persian."""
    text = (ROOT / "README.fa.md").read_text(encoding="utf-8")
    outside = re.sub(r'<div dir="rtl">.*?</div>', "", text, flags=re.DOTALL)
    assert re.sub(r"```.*?```", "", outside, flags=re.DOTALL).strip() == ""
    inside = "".join(re.findall(r'<div dir="rtl">(.*?)</div>', text, re.DOTALL))
    prose = re.sub(r'`[^`]*`|<[^>]*>|\]\([^)]*\)|"5"', "", inside)
    assert re.findall(r"[0-9]+", prose) == []
