"""Conversion of decoded images to RGB: gray of every depth is scaled, transparent pixels of every mode become white."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from PIL import Image

STRIP = 1 << 20  # pixels that are converted at a time, so that arrays of numbers stay small
USUAL_RANGES = (1.0, 255.0, 65535.0)  # largest values in use in files whose numbers do not tell their range
OVERSHOOT = 1.25  # resampling exceeds the range of an image by up to a quarter
DARK = 1 / 17  # an image whose largest value is below this share of a usual range may belong to the range below
NEGATIVE = 0.05  # negative values below this share of the largest value are overshoot too
KEYED = ("1", "L", "RGB", "I;16")  # modes in which PNG names one transparent color


def to_rgb(image: Image.Image, key: object = None, low_bytes: np.ndarray | None = None) -> Image.Image:
    """Convert an image of any mode to RGB; 16-bit and floating-point gray is scaled, transparent pixels become white.

    `key` is the transparent color in the numbers of `image` (None: as the image says). `low_bytes` (H, W, 3) are the lower
    halves of 16-bit colors, whose upper halves Pillow keeps; `key` has 16 bits then.
    """
    key = image.info.get("transparency") if key is None else key
    if image.mode not in KEYED or not isinstance(key, int | tuple):
        key = None
    if image.mode.startswith("I") or image.mode == "F":
        low, high = find_gray_range(image)
        return convert_strips(image, lambda strip, top: whiten(to_gray(strip, low, high), np.asarray(strip), key))
    if key is not None:
        return convert_strips(image, lambda strip, top: whiten_color(strip, key, low_bytes, top))
    if image.has_transparency_data:
        return convert_strips(image, lambda strip, top: lay_on_white(strip))
    return image.convert("RGB")


def convert_strips(image: Image.Image, convert: Callable[[Image.Image, int], Image.Image]) -> Image.Image:
    """Convert an image to RGB some rows at a time; `convert` gets each strip and the number of its first row."""
    rgb = Image.new("RGB", image.size)
    for box, strip in iterate_strips(image):
        rgb.paste(convert(strip, box[1]), box)
    return rgb


def iterate_strips(image: Image.Image) -> Iterator[tuple[tuple[int, int, int, int], Image.Image]]:
    """Yield the boxes of an image's strips, and each strip as an image."""
    rows = max(STRIP // max(image.width, 1), 1)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        yield box, image.crop(box)


def lay_on_white(image: Image.Image) -> Image.Image:
    """Lay an image with an alpha channel or a transparent palette on white."""
    # Pillow converts premultiplied gray to gray with alpha only
    image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def whiten_color(strip: Image.Image, key: int | tuple, low_bytes: np.ndarray | None, top: int) -> Image.Image:
    """Return RGB with the pixels of color `key` white."""
    pixels = np.asarray(strip.convert("L") if strip.mode == "1" else strip)
    if low_bytes is not None:
        pixels = pixels.astype(np.uint16) << 8 | low_bytes[top : top + strip.height]
    return whiten(strip.convert("RGB"), pixels, key)


def whiten(rgb: Image.Image, pixels: np.ndarray, key: int | tuple | None) -> Image.Image:
    """Return the image with white where `pixels`, (H, W) or (H, W, 3), equal `key`; None leaves all as they are."""
    if key is None:
        return rgb
    is_clear = pixels == np.asarray(key)
    rgb.paste("white", mask=Image.fromarray(is_clear.all(-1) if is_clear.ndim == 3 else is_clear))
    return rgb


def read_gray(image: Image.Image) -> np.ndarray:
    """Return the numbers of a gray image, (H, W) float64; a number that is not finite is 0."""
    return np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)


def to_gray(image: Image.Image, low: float, high: float) -> Image.Image:
    """Scale the numbers of a gray image from `low`..`high` to RGB."""
    scaled = (read_gray(image) - low) * (255 / max(high - low, 1e-12))
    return Image.fromarray(scaled.round().astype(np.uint8)).convert("RGB")


def find_gray_range(image: Image.Image) -> tuple[float, float]:
    """Return the numbers that become black and white: those of 16 bits, or of modes "I" and "F" a range that holds all.

    The range is a continuous function of the smallest and the largest value, so images that differ by a hair look alike.
    """
    if image.mode.startswith("I;16"):
        return 0.0, 65535.0
    limits = [(values.min(), values.max()) for values in (read_gray(strip) for _, strip in iterate_strips(image))]
    low, high = min(0.0, *(low for low, _ in limits)), max(high for _, high in limits)
    usual = find_usual_range(high, USUAL_RANGES if image.mode == "F" else USUAL_RANGES[1:])
    # numbers that are clearly negative have no usual range: they are stretched from the smallest to the largest
    stretch = min(-low / (NEGATIVE * high), 1.0) if high > 0 else 1.0
    return low, (high if stretch == 1 else usual ** (1 - stretch) * high**stretch) if low else usual


def find_usual_range(high: float, usual: tuple[float, ...]) -> float:
    """Return the end of the usual range for a largest value: the smallest that holds it, or one between two ranges.

    A value just above a range is overshoot, and its own range. From there to `DARK` of the next range, the end rises by a
    power of the value, so that it jumps nowhere.
    """
    if high <= usual[0]:
        return usual[0]
    for below, above in pairwise(usual):
        start, end = below * OVERSHOOT, above * DARK
        if high <= start:
            return high
        if high < end:
            return start * (above / start) ** (np.log(high / start) / np.log(end / start))
        if high <= above:
            return above
    return high


def name_gray_range(image: Image.Image) -> str:
    """Return the range of a decoded gray image of mode "I" or "F" for a table: the smallest usual one that holds it."""
    low, high = find_gray_range(image)
    top = next((top for top in USUAL_RANGES[image.mode != "F" :] if high <= top * OVERSHOOT), None)
    return "other range" if low < -NEGATIVE * high or top is None else f"0-{top:.0f}"
