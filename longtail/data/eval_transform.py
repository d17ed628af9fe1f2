"""The transform of images where nothing is random: memory, streaming, evaluation and prediction all use this one."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from longtail.augment import TransformSet
from longtail.data.decode import Source, fit_square, read_image


@dataclass(frozen=True)
class EvalTransform:
    """A function from a PIL image of any size to (S, S, 3) uint8, and the `min_side` for `decode.read_image`."""

    transform: Callable[[Image.Image], np.ndarray]
    min_side: int | None = None

    def read(self, source: Source, where: str) -> np.ndarray:
        """Read an image file and transform it to (S, S, 3) uint8; raises BadImage, naming `where`."""
        return self.transform(read_image(source, where, self.min_side))


def build_square_transform(size: int) -> EvalTransform:
    """Build the transform that resizes the shorter side and cuts the center; a large JPEG is read at a reduced scale."""
    return EvalTransform(partial(fit_square, size=size), size)


def build_eval_transform(transform_set: TransformSet) -> EvalTransform:
    """Build the evaluation transform of a transform set; a set that has none takes squares."""
    if transform_set.eval_transform:
        return EvalTransform(transform_set.eval_transform)
    return build_square_transform(transform_set.size)
