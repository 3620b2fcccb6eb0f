"""Images of all kinds for tests, also ones that no camera makes."""

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image

RED, BLUE = (200, 30, 30), (30, 30, 200)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The image as a file."""
    target = BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def two_halves(width: int = 800, height: int = 400) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def of_mode(mode: str, width: int = 800, height: int = 400) -> Image.Image:
    """Two halves in another mode."""
    return Image.new(mode, (width, height), 30_000) if mode.startswith("I") else two_halves(width, height).convert(mode)


def turned(orientation: int) -> bytes:
    """A photo whose camera was held like this, which also says where it was taken."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "SECRET CAMERA"
    exif.get_ifd(0x8825)[1] = "SECRET PLACE"
    return encoded(two_halves(), "JPEG", exif=exif, comment=b"SECRET COMMENT")


def animation(frames: int, kind: str = "GIF") -> bytes:
    """An animation that begins red."""
    first = Image.new("RGB", (40, 30), RED)
    others = [Image.new("RGB", (40, 30), (number % 256, number // 256, 200)) for number in range(frames - 1)]
    return encoded(first, kind, save_all=True, append_images=others)


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has this many pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1 << 16))
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def read(content: bytes) -> Image.Image:
    """A file as an image."""
    return Image.open(BytesIO(content))


def is_near(image: Image.Image, at: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    """Whether the pixel has this colour, but for losses of the format."""
    found = image.convert("RGB").getpixel(at)
    assert isinstance(found, tuple)
    return all(abs(one - other) < 30 for one, other in zip(found, colour, strict=True))
