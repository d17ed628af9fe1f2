"""Views of photographs of any size, one at a time in PIL, as the papers' code for ImageNet-LT and iNaturalist has them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageFilter

RAND_AUGMENT = "rand-m10-n2-mstd0.5"  # two operations of magnitude 10 +- .5 (Cubuk et al. 2020), timm's notation
TEST_SIDE = 256 / 224  # the shorter side is brought to 256 where the center of 224 is cut
LONGEST = 16  # sides of an image that is resized as a whole, which takes memory by its length


@dataclass(frozen=True)
class PhotoTransform:
    """A PIL image of any size -> (size, size, 3) uint8; its numbers come from torch's, numpy's and Python's generators.

    "strong" feeds classifiers and queries, "moco" the keys (He et al. 2020), "test" is the center. `fill` is the color of
    what an operation leaves empty.
    """

    name: Literal["strong", "moco", "test"]
    size: int
    fill: tuple[int, int, int] = (0, 0, 0)

    def __call__(self, image: Image.Image) -> np.ndarray:
        return np.asarray(self.steps()(image))

    @property
    def resize(self) -> int:
        """The shorter side from which the center is cut."""
        return round(self.size * TEST_SIDE)

    def steps(self) -> Callable[[Image.Image], Image.Image]:
        """Its transforms, made at the first call in a process and shared with processes forked after it."""
        if self.name == "test":
            return build_center_crop(self.size, self.resize)
        return (build_strong if self.name == "strong" else build_moco)(self.size, self.fill)


@lru_cache
def build_strong(size: int, fill: tuple[int, int, int]) -> Callable[[Image.Image], Image.Image]:
    """Crop, flip, jitter, RandAugment."""
    from timm.data.auto_augment import rand_augment_transform
    from torchvision.transforms import v2

    across = {"translate_const": int(0.45 * size), "img_mean": fill}  # both as timm's own training has them
    jitter = v2.ColorJitter(0.4, 0.4, 0.4, 0.0)
    return v2.Compose(
        [v2.RandomResizedCrop(size), v2.RandomHorizontalFlip(), jitter, rand_augment_transform(RAND_AUGMENT, across)]
    )


@lru_cache
def build_moco(size: int, fill: tuple[int, int, int]) -> Callable[[Image.Image], Image.Image]:
    """Crop, jitter, gray, blur, flip."""
    from torchvision.transforms import v2

    jitter = v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8)
    soften = v2.RandomApply([gaussian_blur], p=0.5)
    return v2.Compose([v2.RandomResizedCrop(size), jitter, v2.RandomGrayscale(0.2), soften, v2.RandomHorizontalFlip()])


@lru_cache
def build_center_crop(size: int, resize: int) -> Callable[[Image.Image], Image.Image]:
    """The shorter side to `resize`, the center of `size`; of a very long image its middle is resized only."""
    from torchvision.transforms import v2

    return v2.Compose([crop_middle, v2.Resize(resize), v2.CenterCrop(size)])


def crop_middle(image: Image.Image) -> Image.Image:
    """An image whose sides differ at most `LONGEST`-fold is left as it is, so that its center is torchvision's to the bit."""
    left, top = (max(side - LONGEST * min(image.size), 0) // 2 for side in image.size)  # as much at both ends
    return image.crop((left, top, image.width - left, image.height - top)) if left or top else image


def gaussian_blur(image: Image.Image) -> Image.Image:
    """A Gaussian of sigma U(.1, 2)."""
    return image.filter(ImageFilter.GaussianBlur(0.1 + 1.9 * torch.rand(()).item()))
