"""Any image file as RGB: every mode and depth that Pillow reads, its first frame, turned as EXIF says, on white."""

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

Source = str | bytes  # the path of a file, or what is in it


class BadImage(LongtailError):
    """An image that cannot be used: where it is, and why."""

    def __init__(self, where: str, reason: str):
        super().__init__(f"{where}: {reason}")
        self.where, self.reason = where, reason


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image says: width and height in pixels, Pillow's mode ("RGB", "P", ...), format ("JPEG", ...)."""

    width: int
    height: int
    mode: str
    format: str


def read_image(source: Source, where: str, min_side: int | None = None) -> Image.Image:
    """Decode to RGB; a JPEG whose sides are over twice `min_side` pixels at a reduced scale, which is faster.

    Raises BadImage, naming `where`, for whatever cannot be decoded to its end.
    """
    with open_image(source, where) as image:
        if min_side:
            image.draft(None, (2 * min_side, 2 * min_side))
        ImageOps.exif_transpose(image, in_place=True)
        return to_rgb(image)


def to_upright_rgb(image: Image.Image) -> Image.Image:
    """Somebody's open image as RGB, turned as EXIF says; it is left as it is."""
    return to_rgb(ImageOps.exif_transpose(image))


def read_header(source: Source, where: str, whole: bool = False) -> ImageHeader:
    """Read the header, and decode the rest if `whole` is asked or the end of the file looks cut; raises BadImage."""
    with open_image(source, where) as image:
        found = ImageHeader(*image.size, image.mode, image.format or "")
        if whole or not has_end_marker(source, found.format):
            image.load()
    return found


def fit_square(image: Image.Image, size: int) -> np.ndarray:
    """Resize the shorter side to `size` and cut the center, antialiased: RGB of any size -> (size, size, 3) uint8."""
    return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR))


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode; 16-bit and floating-point gray is scaled, what is transparent becomes white."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(scale_gray(np.asarray(image, dtype=np.float64), image.mode)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def scale_gray(values: np.ndarray, mode: str) -> np.ndarray:
    """Scale (H, W) numbers to uint8: from 16 bits, or for "I" and "F" from the smallest usual range that holds them."""
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
    """An image to be decoded; whatever goes wrong with it meanwhile is a BadImage."""
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
    """Why an image cannot be read, in a few words."""
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
    """Whether a JPEG or PNG has its end marker, so that it was not cut; other formats tell nothing cheaply."""
    marker = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}
    if kind not in marker:
        return False
    if isinstance(source, bytes):
        return marker[kind] in source[-TAIL:]
    with open(source, "rb") as file:
        file.seek(max(os.path.getsize(source) - TAIL, 0))
        return marker[kind] in file.read()


TAIL = 64  # bytes; cameras and editors append a few


@contextmanager
def suppress_pillow_warnings() -> Iterator[None]:
    """While many images are read: no warnings about odd metadata, and huge images refused, not warned about.

    Warnings belong to the process, so this is entered once around a pool of threads, not by each image.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
