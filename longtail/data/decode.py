"""Decoding of image files to RGB: every mode and depth that Pillow reads, the first frame, upright, on white."""

import hashlib
import io
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps

from longtail.data.endings import has_end_marker, has_png_checksums
from longtail.data.rgb import name_gray_range, to_rgb
from longtail.errors import LongtailError

# bytes of memory for a pixel at most: of the decoded image, of RGB (4 as Pillow keeps it), of the turned RGB
PIXEL_BYTES = {"1": 9, "L": 9, "P": 9, "I;16": 10, **dict.fromkeys(("LA", "La", "PA", "RGBA", "RGBa", "I", "F"), 12)}
MAX_BYTES, BIG_BYTES = 768 << 20, 256 << 20  # of memory for an image; threads decode big images one after another
BIG_LOCK = threading.RLock()
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Source = str | bytes  # the path of a file, or its content


class BadImage(LongtailError):
    """The error for an image that cannot be used: its location and the reason."""

    def __init__(self, where: str, reason: str):
        super().__init__(f"{where}: {reason}")
        self.where, self.reason = where, reason

    def __reduce__(self) -> tuple:
        """Return how another process makes the error again."""
        return type(self), (self.where, self.reason)


@dataclass(frozen=True)
class ImageHeader:
    """The header of an image: width and height in pixels, Pillow's mode ("RGB", "P", ...) and format ("JPEG", ...).

    `gray_range` names the range of the numbers of modes "I" and "F", which do not tell it.
    """

    width: int
    height: int
    mode: str
    format: str
    gray_range: str = ""


def read_image(source: Source, where: str, min_side: int | None = None) -> Image.Image:
    """Decode an image to RGB; a JPEG with sides over twice `min_side` pixels is read at a reduced scale, which is faster.

    Raises BadImage, naming `where`, for an image that cannot be decoded to its end.
    """
    with open_image(source, where) as image:
        return decode(image, source, min_side)


def decode(image: Image.Image, source: Source | None, min_side: int | None = None) -> Image.Image:
    """Decode an open image to upright RGB; `source` is None for an image that the caller made.

    Reader, header check and inspection all decode by this function, so an image that passes one passes all.
    """
    if source is not None and image.format in ("JPEG", "MPO") and not has_end_marker(source, image.format):
        raise OSError("image file is truncated: the JPEG has no end marker")
    if source is not None and image.format == "PNG" and not has_png_checksums(source):
        raise OSError("the data are damaged: a checksum of the PNG is wrong")
    if min_side:
        image.draft(None, (2 * min_side, 2 * min_side))
    key, has_16_bits = read_color_key(image)
    low_bytes = read_low_bytes(source) if has_16_bits and source is not None else None
    if has_16_bits and low_bytes is None:
        key = tuple(value >> 8 for value in key)
    load_pixels(image)
    turn = find_turn(image)
    if turn is None:
        return to_rgb(image, key, low_bytes)
    # plain RGB is turned without a copy; other modes lose their numbers and palettes first
    is_plain = image.mode == "RGB" and not image.has_transparency_data
    return (image if is_plain else to_rgb(image, key, low_bytes)).transpose(turn)


def to_upright_rgb(image: Image.Image) -> Image.Image:
    """Convert an open image to RGB, upright as EXIF says; the image itself is not changed."""
    return decode(image, None)


def read_header(source: Source, where: str, whole: bool = False) -> ImageHeader:
    """Read the header of an image, and decode the rest if `whole` or if the end of the file is missing; raises BadImage."""
    with open_image(source, where) as image:
        size, mode, kind = image.size, image.mode, image.format or ""
        if whole or mode in ("I", "F") or not has_end_marker(source, kind):
            decode(image, source)
        return ImageHeader(*size, mode, kind, name_gray_range(image) if mode in ("I", "F") else "")


def load_pixels(image: Image.Image) -> None:
    """Decode the pixels of an open image; a TIFF whose tags cannot be parsed after its pixels stays as it lies."""
    try:
        image.load()
    except Exception:
        # Pillow reads all tags of a TIFF once its pixels are complete, and marks them as loaded before
        if image.format != "TIFF" or getattr(image, "tile", True):
            raise


def find_turn(image: Image.Image) -> Image.Transpose | None:
    """Return how a decoded image must be turned to be upright; None for none, and for EXIF that cannot be parsed."""
    try:
        return TURNS.get(image.getexif().get(0x0112, 1))
    except Exception:  # damaged metadata raises many kinds of errors, and its pixels may be good
        return None


def read_color_key(image: Image.Image) -> tuple[Any, bool]:
    """Return the transparent color of a PNG that is not decoded yet, in the numbers of its pixels, and whether it has 16 bits.

    PNG stores the color in the depth of the file, but Pillow scales gray of 2 and 4 bits to 8 and halves 16-bit RGB.
    """
    key = image.info.get("transparency")
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) and image.format == "PNG" else []
    raw_mode = tiles[0].args if tiles else None
    if isinstance(key, int) and raw_mode in ("L", "L;2", "L;4"):
        largest, scale = {"L": (255, 1), "L;2": (3, 85), "L;4": (15, 17)}[raw_mode]
        return (key & largest) * scale, False
    if isinstance(key, tuple) and raw_mode == "RGB":
        return tuple(value & 255 for value in key), False
    return key, isinstance(key, tuple) and raw_mode == "RGB;16B"


def read_low_bytes(source: Source) -> np.ndarray:
    """Read the lower bytes of a PNG of 16-bit colors, (H, W, 3) uint8, of which Pillow keeps only the upper ones."""
    with Image.open(source if isinstance(source, str) else io.BytesIO(source)) as image:
        assert isinstance(image, ImageFile.ImageFile)
        # read as little-endian, the byte that Pillow takes for the upper one is the lower one
        image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
        return np.asarray(image)


def fit_square(image: Image.Image, size: int) -> np.ndarray:
    """Resize the shorter side to `size`, antialiased, and cut the center: RGB of any size -> (size, size, 3) uint8."""
    return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR))


@contextmanager
def open_image(source: Source, where: str) -> Iterator[Image.Image]:
    """Open an image to be decoded inside the context; any error in the context becomes a BadImage."""
    try:
        if isinstance(source, str) and not stat.S_ISREG(os.stat(source).st_mode):
            raise BadImage(where, "not a regular file")
        with Image.open(source if isinstance(source, str) else io.BytesIO(source)) as image:
            memory = (
                image.width
                * image.height
                * PIXEL_BYTES.get(image.mode.split("B")[0] if image.mode.startswith("I;16") else image.mode, 8)
            )
            if memory > MAX_BYTES:
                raise BadImage(where, explain_size(image, memory))
            # a large JPEG is mostly read at a reduced scale
            with BIG_LOCK if memory > BIG_BYTES and image.format not in ("JPEG", "MPO") else nullcontext():
                yield image
    except BadImage:
        raise
    except Exception as error:  # a decoder may raise anything for a damaged file
        raise BadImage(where, explain_failure(error, source)) from error


def hash_source(source: Source, where: str) -> bytes:
    """Compute the sha256 of an image file's content, which is not decoded; raises BadImage, naming `where`."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).digest()
    try:
        if not stat.S_ISREG(os.stat(source).st_mode):
            raise BadImage(where, "not a regular file")
        with open(source, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise BadImage(where, explain_failure(error, source)) from error


def explain_failure(error: Exception, source: Source) -> str:
    """Return in a few words why an image cannot be read."""
    if isinstance(source, str) and "\0" in source:
        return "no such file"
    if isinstance(error, FileNotFoundError):
        return "a symbolic link to nothing" if os.path.islink(source) else "no such file"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"over {Image.MAX_IMAGE_PIXELS:,} pixels, refused as a possible decompression bomb"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    try:
        if not (os.path.getsize(source) if isinstance(source, str) else len(source)):
            return "empty"
    except OSError:
        return "no such file"  # it disappeared meanwhile
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image that Pillow reads"
    return " ".join(str(error).split())[:120] or type(error).__name__


def explain_size(image: Image.Image, memory: int) -> str:
    """Return why an image is too large to be decoded."""
    return (
        f"{image.width:,} x {image.height:,} pixels of mode {image.mode} take {memory / 1e9:.1f} GB of memory, over the limit "
        f"of {MAX_BYTES / 1e9:.1f} GB; save a smaller copy"
    )


def reset_lock() -> None:
    """Make a new lock in a forked process, since another thread may have held the old one."""
    global BIG_LOCK
    BIG_LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reset_lock)


@contextmanager
def suppress_pillow_warnings() -> Iterator[None]:
    """Silence warnings about odd metadata inside the context, and refuse huge images instead of warning about them.

    Warning filters belong to the process, so enter the context once around a pool of threads, not for each image.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
