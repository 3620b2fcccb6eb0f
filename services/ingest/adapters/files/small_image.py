"""Makes a small image of a hostile one. It runs in a process of its own only (`thumbnail_worker`), which bounds time and memory.

The number of pixels is known from the head, before anything is decoded. Of an animation, the first frame counts; the
others are not read. The result is encoded from pixels alone: no metadata, no place where the photo was taken, and no
colour profile.
"""

from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType
from typing import Final

from PIL import ExifTags, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

SIDE: Final = 320
"""The longest side of a small image, in pixels."""
MOST_PIXELS: Final = MappingProxyType({"JPEG": 80_000_000, "PNG": 16_000_000, "GIF": 16_000_000, "WEBP": 16_000_000})
"""By format. A JPEG is decoded at a fraction of its size; of the others, all pixels are in memory."""
PLUGINS: Final = (JpegImagePlugin, PngImagePlugin, GifImagePlugin, WebPImagePlugin)
"""Loaded by name: if a format were missing, Pillow would load its plugins for all formats."""
_DECODED: Final = (2 * SIDE, 2 * SIDE)
_JPEG: Final = "image/jpeg"
_PNG: Final = "image/png"
_DEEP: Final = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})
_TURNS: Final = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)


class NotAnImage(Exception):  # noqa: N818 - names what the bytes are
    """The bytes are not an image that can be made small."""


@dataclass(frozen=True, slots=True)
class SmallImage:
    """A JPEG; or a PNG, when the image has transparent parts."""

    content_type: str
    content: bytes


def small_image(content: bytes) -> SmallImage:
    """Return the small image, upright. Raises NotAnImage, and whatever the library raises for hostile bytes."""
    with Image.open(BytesIO(content), formats=tuple(MOST_PIXELS)) as image:
        # A JPEG with several images names itself MPO.
        most = MOST_PIXELS.get(image.format or "", MOST_PIXELS["JPEG"])
        if not 0 < image.width * image.height <= most:
            raise NotAnImage("too many pixels")
        image.draft(None, _DECODED)
        orientation = _orientation(image)
        plain = _plain(image)
    plain.thumbnail((SIDE, SIDE))
    if orientation in _TURNS:
        plain = plain.transpose(_TURNS[orientation])
    return _encoded(plain)


def _orientation(image: Image.Image) -> int:
    """Return how the camera was held, from 1 to 8; 1 when the image does not say so readably."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - an image may have unreadable metadata
        return 1
    return found if isinstance(found, int) else 1


def _plain(image: Image.Image) -> Image.Image:
    """Return the pixels as L, RGB or RGBA, without anything else."""
    if image.mode in _DEEP:
        plain = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    elif "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        plain = image.convert("RGBA")
    elif image.mode == "L":
        plain = image.convert("L")
    else:
        plain = image.convert("RGB")
    plain.info.clear()
    return plain


def _encoded(plain: Image.Image) -> SmallImage:
    target = BytesIO()
    if plain.mode == "RGBA" and plain.getchannel("A").getextrema() != (255, 255):
        plain.save(target, "PNG", optimize=True)
        return SmallImage(_PNG, target.getvalue())
    if plain.mode == "RGBA":
        plain = plain.convert("RGB")
    plain.save(target, "JPEG", quality=80, optimize=True)
    return SmallImage(_JPEG, target.getvalue())
