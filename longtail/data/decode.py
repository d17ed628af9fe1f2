"""Decoding of image files to RGB: every mode and depth that Pillow reads, the first frame, upright, on white."""

import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from longtail.errors import LongtailError

TAIL = 64  # bytes searched for an end marker; cameras and editors append a few
Source = str | bytes  # the path of a file, or its content


class BadImage(LongtailError):
    """The error for an image that cannot be used: its location and the reason."""

    def __init__(self, where: str, reason: str):
        super().__init__(f"{where}: {reason}")
        self.where, self.reason = where, reason


@dataclass(frozen=True)
class ImageHeader:
    """The header of an image: width and height in pixels, Pillow's mode ("RGB", "P", ...) and format ("JPEG", ...)."""

    width: int
    height: int
    mode: str
    format: str


def read_image(source: Source, where: str, min_side: int | None = None) -> Image.Image:
    """Decode an image to RGB; a JPEG with sides over twice `min_side` pixels is read at a reduced scale, which is faster.

    Raises BadImage, naming `where`, for an image that cannot be decoded to its end.
    """
    with open_image(source, where) as image:
        if min_side:
            image.draft(None, (2 * min_side, 2 * min_side))
        ImageOps.exif_transpose(image, in_place=True)
        return to_rgb(image)


def to_upright_rgb(image: Image.Image) -> Image.Image:
    """Convert an open image to RGB, upright as EXIF says; the image itself is not changed."""
    return to_rgb(ImageOps.exif_transpose(image))


def read_header(source: Source, where: str, whole: bool = False) -> ImageHeader:
    """Read the header of an image, and decode the rest if `whole` or if the end of the file is missing; raises BadImage."""
    with open_image(source, where) as image:
        header = ImageHeader(*image.size, image.mode, image.format or "")
        if whole or not has_end_marker(source, header.format):
            image.load()
    return header


def fit_square(image: Image.Image, size: int) -> np.ndarray:
    """Resize the shorter side to `size`, antialiased, and cut the center: RGB of any size -> (size, size, 3) uint8."""
    return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR))


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB; 16-bit and floating-point gray is scaled, transparent pixels become white."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(scale_gray(np.asarray(image, dtype=np.float64), image.mode)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def scale_gray(values: np.ndarray, mode: str) -> np.ndarray:
    """Scale (H, W) numbers to uint8, from 16 bits, or for "I" and "F" from the smallest usual range that holds them."""
    # files of mode "I" or "F" do not tell their range: 0-1, 0-255 and 0-65535 are all in use
    values = np.nan_to_num(values, posinf=0, neginf=0)
    low, high = min(values.min(), 0.0), values.max()
    if mode.startswith("I;16"):
        high = 65535.0
    else:
        usual = ([1.0] if mode == "F" else []) + [255.0, 65535.0]
        high = next((top for top in usual if low == 0 and high <= top), high)
    return ((values - low) * (255 / max(high - low, 1e-12))).round().astype(np.uint8)


@contextmanager
def open_image(source: Source, where: str) -> Iterator[Image.Image]:
    """Open an image to be decoded inside the context; any error in the context becomes a BadImage."""
    try:
        if isinstance(source, str) and not stat.S_ISREG(os.stat(source).st_mode):
            raise BadImage(where, "not a regular file")
        with Image.open(source if isinstance(source, str) else io.BytesIO(source)) as image:
            yield image
    except BadImage:
        raise
    except Exception as error:  # a decoder may raise anything for a damaged file
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
    if not (os.path.getsize(source) if isinstance(source, str) else len(source)):
        return "empty"
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image that Pillow reads"
    return " ".join(str(error).split())[:120] or type(error).__name__


def has_end_marker(source: Source, kind: str) -> bool:
    """Return whether a JPEG or PNG has its end marker, so that the file is complete; False for other formats."""
    marker = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}
    if kind not in marker:
        return False
    if isinstance(source, bytes):
        return marker[kind] in source[-TAIL:]
    with open(source, "rb") as file:
        file.seek(max(os.path.getsize(source) - TAIL, 0))
        return marker[kind] in file.read()


@contextmanager
def suppress_pillow_warnings() -> Iterator[None]:
    """Silence warnings about odd metadata inside the context, and refuse huge images instead of warning about them.

    Warning filters belong to the process, so enter the context once around a pool of threads, not for each image.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
