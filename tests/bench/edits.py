"""What people do to a picture that stays the same picture: the edits that a planted copy has gone through."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from streams.core.faces import Pixels

Edit = Callable[[Image.Image], Image.Image]


def cropped(share: float) -> Edit:
    """Cut so much off every edge."""

    def edit(image: Image.Image) -> Image.Image:
        across, down = round(image.width * share), round(image.height * share)
        return image.crop((across, down, image.width - across, image.height - down))

    return edit


def jpeg(quality: int) -> Edit:
    def edit(image: Image.Image) -> Image.Image:
        sink = io.BytesIO()
        image.save(sink, "JPEG", quality=quality)
        return Image.open(sink).convert("RGB")

    return edit


def scaled(factor: float) -> Edit:
    def edit(image: Image.Image) -> Image.Image:
        size = (round(image.width * factor), round(image.height * factor))
        return image.resize(size, Image.Resampling.BICUBIC)

    return edit


def turned(degrees: float) -> Edit:
    return lambda image: image.rotate(degrees, Image.Resampling.BICUBIC)


def brightened(factor: float) -> Edit:
    return lambda image: ImageEnhance.Brightness(image).enhance(factor)


#: One edit each.
SINGLE: dict[str, Edit] = {
    "crop 5 %": cropped(0.05),
    "mirror": ImageOps.mirror,
    "JPEG 50": jpeg(50),
    "JPEG 35": jpeg(35),
    "JPEG 20": jpeg(20),
    "scale 0.5": scaled(0.5),
    "scale 0.7": scaled(0.7),
    "scale 2": scaled(2.0),
    "5 degrees": turned(5),
    "-5 degrees": turned(-5),
    "brightness 0.7": brightened(0.7),
    "brightness 1.3": brightened(1.3),
}

#: Several edits in a row.
SEVERAL: dict[str, Edit] = {
    "crop 5 %, JPEG 50": lambda image: jpeg(50)(cropped(0.05)(image)),
    "scale 0.7, JPEG 40": lambda image: jpeg(40)(scaled(0.7)(image)),
    "mirror, crop 5 %": lambda image: cropped(0.05)(ImageOps.mirror(image)),
    "scale 2, 5 degrees": lambda image: turned(5)(scaled(2.0)(image)),
}


def edited(pixels: Pixels, edit: Edit) -> Pixels:
    """Return the picture after the edit."""
    return np.array(edit(Image.fromarray(pixels)), dtype=np.uint8)
