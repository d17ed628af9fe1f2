"""The transform of images where nothing is random: memory, streaming, evaluation and prediction all use this one."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from longtail.augment import TransformSet
from longtail.data.decode import Source, fit_square, read_image

MEAN_COLOR = (124, 116, 104)  # of ImageNet, whatever weights a network has, so that a run needs them no more


@dataclass(frozen=True)
class EvalTransform:
    """A function from a PIL image of any size to (S, S, 3) uint8, and the `min_side` for `decode.read_image`."""

    transform: Callable[[Image.Image], np.ndarray]
    min_side: int | None = None

    def read(self, source: Source, where: str) -> np.ndarray:
        """Read an image file and transform it to (S, S, 3) uint8; raises BadImage, naming `where`."""
        return self.transform(read_image(source, where, self.min_side))


def pad_square(image: Image.Image, size: int) -> np.ndarray:
    """Resize the longer side to `size`, antialiased, and pad the shorter: RGB of any size -> (size, size, 3) uint8."""
    width, height = (max(round(side * size / max(image.size)), 1) for side in image.size)
    square = Image.new("RGB", (size, size), MEAN_COLOR)
    square.paste(image.resize((width, height), Image.Resampling.BILINEAR), ((size - width) // 2, (size - height) // 2))
    return np.asarray(square)


def squeeze_square(image: Image.Image, size: int) -> np.ndarray:
    """Resize both sides to `size`, antialiased: RGB of any size -> (size, size, 3) uint8."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


SQUARES = {"cut": fit_square, "pad": pad_square, "squeeze": squeeze_square}


def build_square_transform(size: int, fit: str = "cut") -> EvalTransform:
    """Build the transform that makes squares by "cut", "pad" or "squeeze"; a large JPEG is read at a reduced scale."""
    return EvalTransform(partial(SQUARES[fit], size=size), size)


def build_eval_transform(transform_set: TransformSet) -> EvalTransform:
    """Build the evaluation transform of a transform set; a set that has none takes squares.

    A set that has one cuts the center by it, and pads and squeezes as all others do.
    """
    if transform_set.eval_transform and transform_set.fit == "cut":
        return EvalTransform(transform_set.eval_transform)
    return build_square_transform(transform_set.size, transform_set.fit)
