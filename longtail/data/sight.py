"""How an image is seen where nothing is random: the one place that memory, streaming, tests and prediction ask."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from longtail.augment import Family
from longtail.data.decode import Source, read, square


@dataclass(frozen=True)
class Sight:
    """From a PIL image of any size to (S, S, 3) uint8, and the side that `decode.read` is told."""

    view: Callable[[Image.Image], np.ndarray]
    at_least: int | None = None

    def read(self, source: Source, where: str) -> np.ndarray:
        """An image file as it is tested: (S, S, 3) uint8. Raises BadImage, naming `where`."""
        return self.view(read(source, where, self.at_least))


def as_square(size: int) -> Sight:
    """The shorter side resized, the centre cut; a large JPEG is read at a reduced scale."""
    return Sight(partial(square, size=size), size)


def as_tested(family: Family) -> Sight:
    """The test view of families that have one, else a square."""
    return Sight(family.test) if family.test else as_square(family.size)
