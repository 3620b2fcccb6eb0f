"""Small images of what customers send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from services.ingest.adapters.files.small_image import MOST_PIXELS, SIDE, NotAnImage, small_image
from tests.unit.ingest.files import images
from tests.unit.ingest.files.images import BLUE, RED

MODES = [("JPEG", "L"), ("JPEG", "CMYK"), ("JPEG", "RGB"), ("GIF", "P"), ("WEBP", "RGB"), ("WEBP", "RGBA")]
MODES += [("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]


@pytest.mark.parametrize(("kind", "mode"), MODES)
def test_every_kind_of_image_gets_a_small_one(kind: str, mode: str) -> None:
    """The shape remains, and the longest side is small. Without transparent parts it is a JPEG."""
    made = small_image(images.encoded(images.of_mode(mode), kind))
    small = images.read(made.content)
    assert (made.content_type, small.format, small.size) == ("image/jpeg", "JPEG", (SIDE, SIDE // 2))
    if mode in ("RGB", "RGBA", "CMYK"):
        assert images.is_near(small, (20, 80), RED)
        assert images.is_near(small, (300, 80), BLUE)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_transparent_parts_remain_transparent(kind: str) -> None:
    """Such an image becomes a PNG."""
    image = Image.new("RGBA", (700, 700), (*RED, 255))
    image.paste((0, 0, 0, 0), (0, 0, 350, 700))
    made = small_image(images.encoded(image, kind))
    small = images.read(made.content)
    assert (made.content_type, small.mode, small.size) == ("image/png", "RGBA", (SIDE, SIDE))
    assert small.getpixel((10, 10)) == (0, 0, 0, 0)
    assert images.is_near(small, (300, 10), RED)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_upright_and_says_nothing_else(orientation: int) -> None:
    """The camera, the place and comments are not in it; as viewers show the photo, so is the small one."""
    made = small_image(images.turned(orientation))
    small = images.read(made.content)
    assert small.size == ((320, 160) if orientation < 5 else (160, 320))
    begins_red = {1: (10, 10), 2: (310, 10), 3: (310, 150), 4: (10, 150), 5: (10, 10), 6: (150, 10), 7: (150, 310)}
    assert images.is_near(small, begins_red.get(orientation, (10, 310)), RED)
    assert b"SECRET" not in made.content
    assert not small.getexif()
    assert set(small.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_a_colour_profile_is_not_passed_on(kind: str) -> None:
    """It is hostile bytes too, and an agent's program would read it."""
    image = images.two_halves() if kind == "JPEG" else Image.new("RGBA", (700, 700), (0, 0, 0, 9))
    content = images.encoded(image, kind, icc_profile=b"SECRET" * 100)
    assert "icc_profile" in images.read(content).info
    assert "icc_profile" not in images.read(small_image(content).content).info


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    """Also of one with very many frames."""
    made = small_image(images.animation(1_000 if kind == "GIF" else 20, kind))
    small = images.read(made.content)
    assert (small.size, getattr(small, "n_frames", 1)) == ((40, 30), 1)
    assert images.is_near(small, (20, 15), RED)


def test_a_photo_with_a_second_one_inside_counts_as_a_photo() -> None:
    """As telephones make them (MPO)."""
    content = images.encoded(images.two_halves(), "MPO", save_all=True, append_images=[images.two_halves(100, 50)])
    assert images.read(small_image(content).content).size == (SIDE, SIDE // 2)


def test_an_image_that_is_small_already_is_not_enlarged() -> None:
    """It loses its metadata all the same."""
    assert images.read(small_image(images.encoded(images.two_halves(30, 20))).content).size == (30, 20)


@pytest.mark.parametrize(("width", "height"), [(1, 100_000), (100_000, 1)])
def test_a_line_of_pixels_is_an_image(width: int, height: int) -> None:
    """Neither side becomes zero."""
    small = images.read(small_image(images.encoded(images.two_halves(max(2, width), height))).content)
    assert sorted(small.size) in ([1, SIDE], [2, SIDE])


@pytest.mark.parametrize(
    "content",
    [
        images.png_bomb(65_535, 65_535),
        images.png_bomb(2_000_000_000, 1),
        images.png_bomb(4_001, 4_000),
        images.encoded(Image.new("1", (9_000, 9_000)), "JPEG"),
        images.encoded(Image.new("L", (4_001, 4_000)), "WEBP"),
    ],
)
def test_a_bomb_is_refused_by_its_head(content: bytes) -> None:
    """Before any pixel is decoded, whatever the file says behind its head."""
    with pytest.raises((NotAnImage, Image.DecompressionBombError)):
        small_image(content)


def test_a_large_photo_is_decoded_at_a_fraction_of_its_size() -> None:
    """A photo of 77 million pixels is usual for telephones."""
    made = small_image(images.encoded(Image.new("L", (10_200, 7_650)), "JPEG"))
    assert images.read(made.content).size == (320, 240)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "ICO", "PPM", "TGA", "ICNS", "JPEG2000", "AVIF", "DDS", "PCX", "SGI"])
def test_other_formats_are_not_read(kind: str) -> None:
    """Only four decoders see the bytes of customers."""
    image = images.two_halves(64, 64)
    with pytest.raises(UnidentifiedImageError):
        small_image(images.encoded(image, kind))
    assert set(MOST_PIXELS) == {"JPEG", "PNG", "GIF", "WEBP"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_an_image_that_is_cut_off_has_none(kind: str) -> None:
    """Half of a file is an error of the library and not half of an image."""
    noise = Image.effect_noise((600, 600), 80).convert("RGB")
    content = images.encoded(noise, kind)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the library raises
        small_image(content[: len(content) // 2])


@given(
    kind=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP"]),
    changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 1 << 20),
)
def test_of_a_changed_file_there_is_a_small_image_or_an_error(
    kind: str, changes: list[tuple[int, int]], cut: int
) -> None:
    """Nothing else happens, whichever bytes were changed."""
    content = bytearray(images.encoded(images.two_halves(90, 60), kind))
    for at, value in changes:
        content[at % len(content)] = value
    try:
        made = small_image(bytes(content[: len(content) - (cut % len(content)) // 4]))
    except Exception:  # noqa: BLE001 - see above
        return
    assert max(images.read(made.content).size) <= SIDE
