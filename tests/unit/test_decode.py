"""Encoded images become upright RGB, or an outcome that says why not; never an exception."""

import io
import random
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from streams.adapters.images.decode import decode, encode_png
from streams.core.faces import Pixels, Undecodable
from streams.events import IMAGE_BYTES, DeadReason

#: Pillow warns of EXIF that it cannot read and goes on, as in production.
BROKEN_EXIF = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def picture(height: int = 24, width: int = 32) -> Pixels:
    """Return a smooth picture whose four corners differ, so that a turned one is noticed."""
    rows, columns = np.mgrid[0:height, 0:width]
    red, green = 255 * columns / width, 255 * rows / height
    return np.stack([red, green, 128 + 0 * red], axis=2).astype(np.uint8)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, form, **options)
    return sink.getvalue()


def pixels_of(data: bytes) -> Pixels:
    got = decode(data)
    assert not isinstance(got, Undecodable), got
    assert got.dtype == np.uint8
    assert got.ndim == 3
    return got


def refused(data: bytes, reason: DeadReason) -> str:
    got = decode(data)
    assert isinstance(got, Undecodable)
    assert got.reason is reason
    return got.detail


def png_claiming(width: int, height: int) -> bytes:
    """Return a PNG whose header claims a size and that holds next to nothing."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def test_png_comes_back_pixel_by_pixel():
    assert np.array_equal(pixels_of(encode_png(picture())), picture())


def test_the_same_pixels_always_give_the_same_png():
    assert encode_png(picture()) == encode_png(np.asfortranarray(picture()))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (0, 8, 3)])
def test_only_rgb_pixels_are_encoded(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="expected uint8 of shape"):
        encode_png(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(("form", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95})])
def test_lossy_formats_come_back_nearly(form: str, options: dict[str, object]):
    got = pixels_of(encoded(Image.fromarray(picture()), form, **options))
    assert np.abs(got.astype(int) - picture()).mean() < 8


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "PPM", "ICO"])
def test_other_formats_are_refused(form: str):
    refused(encoded(Image.fromarray(picture()), form), DeadReason.IMAGE_UNDECODABLE)


@pytest.mark.parametrize("data", [b"", b"\0", b"not an image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF"])
def test_garbage_is_refused(data: bytes):
    refused(data, DeadReason.IMAGE_UNDECODABLE)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_half_an_image_is_refused(form: str):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = encoded(Image.fromarray(noise), form)
    refused(whole[: len(whole) // 2], DeadReason.IMAGE_UNDECODABLE)


@BROKEN_EXIF
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_altered_bytes_are_an_outcome_and_never_an_exception(form: str):
    whole = encoded(Image.fromarray(picture()).convert("P" if form == "PNG" else "RGB"), form, exif=held(6))
    chance = random.Random(form)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        got = decode(bytes(data[: chance.randint(1, len(data))] if chance.random() < 0.3 else data))
        assert isinstance(got, Undecodable | np.ndarray)


#: What files of formats that are taken, and of some that are not, begin with.
BEGINNINGS = (
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    b"\xff\xd8\xff\xe1",
    b"RIFF\x40\0\0\0WEBPVP8 ",
    b"RIFF\x40\0\0\0WEBPVP8L",
    b"RIFF\x40\0\0\0WEBPVP8X",
    b"GIF89a",
    b"II*\0",
)
WHOLE = {
    form: encoded(Image.fromarray(picture()).convert(mode), form, **options)
    for form, mode, options in (
        ("PNG", "P", {}),
        ("JPEG", "CMYK", {"progressive": True}),
        ("WEBP", "RGBA", {"save_all": True, "append_images": [Image.fromarray(255 - picture())]}),
    )
}


def is_an_outcome(got: object) -> bool:
    return isinstance(got, Undecodable) or (isinstance(got, np.ndarray) and got.ndim == 3 and got.shape[2] == 3)


@BROKEN_EXIF
@settings(max_examples=400)
@given(st.sampled_from(BEGINNINGS), st.binary(max_size=600))
def test_no_bytes_are_an_exception(beginning: bytes, rest: bytes):
    assert is_an_outcome(decode(beginning + rest))


@BROKEN_EXIF
@settings(max_examples=400)
@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=6),
    st.floats(0, 1),
    st.booleans(),
)
def test_no_picture_that_was_altered_is_an_exception(
    form: str, alterations: list[tuple[float, bytes]], cut: float, inserted: bool
):
    data = bytearray(WHOLE[form])
    for where, new in alterations:
        at = int(where * len(data))
        data[at : at if inserted else at + len(new)] = new
    assert is_an_outcome(decode(bytes(data)))
    assert is_an_outcome(decode(bytes(data[: int(cut * len(data))])))


def test_too_many_bytes_are_refused_unread():
    assert str(IMAGE_BYTES) in refused(b"\0" * (IMAGE_BYTES + 1), DeadReason.IMAGE_TOO_LARGE)


@pytest.mark.parametrize("size", [(4097, 4096), (12_000, 8_000), (60_000, 60_000), (2_000_000_000, 1)])
def test_too_many_pixels_are_refused_by_the_header_alone(size: tuple[int, int]):
    with warnings.catch_warnings():  # as in production, where Pillow's warning is no error
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        refused(png_claiming(*size), DeadReason.IMAGE_TOO_LARGE)
    refused(png_claiming(*size), DeadReason.IMAGE_TOO_LARGE)


def test_a_long_thin_image_within_the_limit_is_decoded():
    assert pixels_of(encode_png(picture(3, 10_000))).shape == (3, 10_000, 3)


def held(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_picture_upright(orientation: int):
    # What the camera stores when it is held this way, so that the orientation turns it back.
    stored = {
        1: lambda p: p,
        2: np.fliplr,
        3: lambda p: np.rot90(p, 2),
        4: np.flipud,
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
        8: lambda p: np.rot90(p, -1),
    }[orientation](picture())
    image = Image.fromarray(np.ascontiguousarray(stored))
    assert np.array_equal(pixels_of(encoded(image, "PNG", exif=held(orientation))), picture())


@BROKEN_EXIF
@pytest.mark.parametrize("exif", [held(0), held(99), b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0"])
def test_senseless_exif_leaves_the_picture_as_it_is(exif: bytes):
    data = encoded(Image.fromarray(picture()), "PNG", exif=exif)
    assert np.array_equal(pixels_of(data), picture())


def test_grey_becomes_three_equal_channels():
    grey = Image.fromarray(picture()[:, :, 0])
    assert np.array_equal(pixels_of(encoded(grey, "PNG")), np.repeat(picture()[:, :, :1], 3, axis=2))


def test_sixteen_bit_grey_keeps_its_upper_bits():
    values = (np.arange(24 * 32, dtype=np.uint16) * 85).reshape(24, 32)
    got = pixels_of(encoded(Image.fromarray(values), "PNG"))
    assert np.array_equal(got[:, :, 1], (values >> 8).astype(np.uint8))


def test_one_bit_is_black_and_white():
    got = pixels_of(encoded(Image.fromarray(picture()[:, :, 0] > 127), "PNG"))
    assert set(np.unique(got)) == {0, 255}


def test_a_palette_becomes_its_colours():
    image = Image.fromarray(picture()).quantize(16)
    assert np.array_equal(pixels_of(encoded(image, "PNG")), np.array(image.convert("RGB")))


def test_cmyk_becomes_rgb():
    got = pixels_of(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95))
    assert np.abs(got.astype(int) - [255, 0, 0]).max() < 12


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_transparency_shows_white(mode: str, form: str):
    image = Image.fromarray(picture()).convert(mode)
    image.putalpha(0)
    assert (pixels_of(encoded(image, form, lossless=True)) == 255).all()


def test_a_transparent_colour_of_a_palette_shows_white():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert (pixels_of(encoded(image, "PNG", transparency=1)) == 255).all()


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_counts(form: str):
    first, second = Image.fromarray(picture()), Image.fromarray(255 - picture())
    data = encoded(first, form, save_all=True, append_images=[second], lossless=True)
    assert np.array_equal(pixels_of(data), picture())
