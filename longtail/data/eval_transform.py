"""How an image is seen where nothing is random: the one place that memory, streaming, tests and prediction ask."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from longtail.augment import TransformSet
from longtail.data.decode import Source, fit_square, read_image


@dataclass(frozen=True)
class EvalTransform:
    """From a PIL image of any size to (S, S, 3) uint8, and the side that `decode.read` is told."""

    view: Callable[[Image.Image], np.ndarray]
    min_side: int | None = None

    def read(self, source: Source, where: str) -> np.ndarray:
        """An image file as it is tested: (S, S, 3) uint8. Raises BadImage, naming `where`."""
        return self.view(read_image(source, where, self.min_side))


def build_square_transform(size: int) -> EvalTransform:
    """The shorter side resized, the center cut; a large JPEG is read at a reduced scale."""
    return EvalTransform(partial(fit_square, size=size), size)


def build_eval_transform(family: TransformSet) -> EvalTransform:
    """The test view of families that have one, else a square."""
    return EvalTransform(family.eval_transform) if family.eval_transform else build_square_transform(family.size)
