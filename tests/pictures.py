"""Pictures that strangers send: bombs, halves, formats that are not taken, and odd ones that must be judged."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, form, **options)
    return sink.getvalue()


def noise(side: int = 64, seed: int = 0) -> Image.Image:
    """Return a picture that compresses badly, so that half of its file is half of it."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8))


def png_claiming(width: int, height: int) -> bytes:
    """Return a PNG whose header claims a size and that holds next to nothing."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(b"\0" * 64)) + _chunk(b"IEND", b"")


def png_of_nothing(width: int, height: int) -> bytes:
    """Return a whole PNG of black pixels, one bit each: a few kilobytes, however large."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    deflate = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    body = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def marked(picture: bytes, mark: bytes) -> bytes:
    """Return a PNG with a comment in it."""
    return picture[:-12] + _chunk(b"tEXt", b"Comment\0" + mark) + picture[-12:]


def bombs() -> dict[str, bytes]:
    """Return pictures that are small to send and large to hold."""
    return {
        "20000 x 20000 pixels in kilobytes": png_of_nothing(20_000, 20_000),
        "a header of 60000 x 60000": png_claiming(60_000, 60_000),
        "one pixel wide and two thousand million high": png_claiming(1, 2_000_000_000),
        "seventeen million pixels in a row": png_of_nothing(4096 * 4096 + 1, 1),
    }


def broken() -> dict[str, bytes]:
    """Return what is no picture of a format that is taken, or not a whole one."""
    picture = noise()
    halves = {f"half a {form}": encoded(picture, form) for form in ("PNG", "JPEG", "WEBP")}
    return {
        **{name: whole[: len(whole) // 2] for name, whole in halves.items()},
        **{f"a {form}": encoded(picture, form) for form in ("GIF", "TIFF", "BMP", "PPM", "ICO")},
        "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "an SVG with entities": b'<!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><svg>&b;</svg>',
        "a web page": b"<html><script>alert(1)</script></html>",
        "an archive": b"PK\x03\x04" + b"\0" * 100,
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
        "PNG's first bytes": b"\x89PNG\r\n\x1a\n",
        "JPEG's first bytes": b"\xff\xd8\xff",
        "WebP's first bytes": b"RIFF\xff\xff\xff\xffWEBPVP8 ",
        "one byte": b"\0",
    }


def odd(face: Image.Image) -> dict[str, bytes]:
    """Return pictures in every way in which they may be written: all of them must be judged."""
    grey, other = face.convert("L"), face.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    clear = face.copy()
    clear.putalpha(grey)
    sixteen = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    return {
        "a CMYK JPEG": encoded(face.convert("CMYK"), "JPEG"),
        "a grey JPEG": encoded(grey, "JPEG"),
        "a progressive JPEG": encoded(face, "JPEG", progressive=True),
        "a JPEG that lies on its side": encoded(face, "JPEG", exif=_held(6)),
        "a PNG one can see through": encoded(clear, "PNG"),
        "a grey PNG one can see through": encoded(clear.convert("LA"), "PNG"),
        "a PNG with sixteen bits": encoded(sixteen, "PNG"),
        "a PNG with one bit": encoded(face.convert("1"), "PNG"),
        "a PNG with a palette": encoded(face.quantize(16), "PNG"),
        "an animated PNG": encoded(face, "PNG", save_all=True, append_images=[other]),
        "a WebP one can see through": encoded(clear, "WEBP"),
        "an animated WebP": encoded(face, "WEBP", save_all=True, append_images=[other]),
        "a PNG of one pixel": encoded(face.resize((1, 1)), "PNG"),
        "a PNG one pixel high": png_of_nothing(4096 * 64, 1),
        "a PNG one pixel wide": png_of_nothing(1, 4096 * 64),
        "a PNG that is a long strip": png_of_nothing(4096 * 64, 32),
    }


def _held(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
