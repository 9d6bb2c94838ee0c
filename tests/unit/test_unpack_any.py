"""Files of one's own are decoded in any format that Pillow reads, but for those that start another program."""

import numpy as np
import pytest
from PIL import Image

from streams.adapters.images.decoder import UNPACK_ANY, DecoderProcess
from streams.adapters.images.unpack import Refusal
from streams.adapters.images.unpack_any import unpack_any
from streams.core.faces import Undecodable
from tests.pictures import bombs, encoded, noise


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "GIF", "TGA", "JPEG2000", "ICO"])
def test_a_picture_is_decoded_in_many_formats(form):
    unpacked = unpack_any(encoded(noise(), form))
    assert isinstance(unpacked, np.ndarray)
    assert (unpacked.dtype, unpacked.shape) == (np.uint8, (64, 64, 3))


@pytest.mark.parametrize("image", [noise().convert("L"), Image.fromarray(np.full((8, 8), 0x8000, np.uint16))])
def test_a_grey_pgm_of_eight_and_sixteen_bits_becomes_grey(image):
    unpacked = unpack_any(encoded(image, "PPM"))
    assert isinstance(unpacked, np.ndarray)
    np.testing.assert_array_equal(unpacked[..., 0], unpacked[..., 2])
    if image.mode != "L":
        assert (unpacked == 0x80).all()


@pytest.mark.parametrize("bytes_", [encoded(noise(), "EPS"), encoded(noise(), "PPM")[:99], b"", b"P5 nonsense"])
def test_what_is_none_or_would_start_a_program_is_refused(bytes_):
    assert isinstance(unpack_any(bytes_), Refusal)


@pytest.mark.parametrize("level", [np.float32(0.5), np.int32(1 << 16), np.int32(-1)])
def test_numbers_without_an_agreed_white_are_refused(level):
    """As they are, they would become a picture of nothing, and a failure to acquire that is blamed on the face."""
    refused = unpack_any(encoded(Image.fromarray(np.full((8, 8), level)), "TIFF"))
    assert isinstance(refused, Refusal)
    assert "not of 8 or 16 bits a channel" in refused.detail


@pytest.mark.parametrize("bomb", bombs().values(), ids=bombs())
def test_the_limits_are_those_of_the_stream(bomb):
    refused = unpack_any(bomb)
    assert isinstance(refused, Refusal)
    assert refused.reason == "image-too-large"


def test_it_runs_in_the_confined_process():
    with DecoderProcess(UNPACK_ANY) as process:
        grey, broken, coloured = process.decode([encoded(noise().convert("L"), "PPM"), b"P5", encoded(noise(), "TIFF")])
    assert isinstance(broken, Undecodable)
    assert "any known format" in broken.detail
    assert isinstance(grey, np.ndarray)
    np.testing.assert_array_equal(coloured, np.asarray(noise()))
