"""Transforms of photographs of any size, one at a time in PIL, as in the papers' code for ImageNet-LT and iNaturalist."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageFilter

RAND_AUGMENT = "rand-m10-n2-mstd0.5"  # two operations of magnitude 10 +- .5 (Cubuk et al. 2020), timm's notation
RESIZE_RATIO = 256 / 224  # the shorter side before the center crop, over the side of the crop
MAX_ASPECT = 16  # longer images are cropped before they are resized, because memory grows with their length


@dataclass(frozen=True)
class PhotoTransform:
    """A transform of a PIL image of any size -> (size, size, 3) uint8.

    "strong" makes views for classifiers and queries, "moco" for keys (He et al. 2020), "test" is the center crop. `fill` is
    the color of pixels that an operation leaves empty. Draws come from torch's, numpy's and Python's global generators.
    """

    name: Literal["strong", "moco", "test"]
    size: int
    fill: tuple[int, int, int] = (0, 0, 0)

    def __call__(self, image: Image.Image) -> np.ndarray:
        return np.asarray(self.steps()(image))

    @property
    def resize(self) -> int:
        """Return the length of the shorter side before the center crop."""
        return round(self.size * RESIZE_RATIO)

    def steps(self) -> Callable[[Image.Image], Image.Image]:
        """Return the chained steps, which are built once in a process and shared with processes forked later."""
        if self.name == "test":
            return build_center_crop(self.size, self.resize)
        return (build_strong if self.name == "strong" else build_moco)(self.size, self.fill)


@lru_cache
def build_strong(size: int, fill: tuple[int, int, int]) -> Callable[[Image.Image], Image.Image]:
    """Build the strong transform: crop, flip, jitter, RandAugment."""
    # imported here: a run on small images needs neither, and both load slowly
    from timm.data.auto_augment import rand_augment_transform
    from torchvision.transforms import v2

    parameters = {"translate_const": int(0.45 * size), "img_mean": fill}  # both as in timm's training script
    jitter = v2.ColorJitter(0.4, 0.4, 0.4, 0.0)
    rand_augment = rand_augment_transform(RAND_AUGMENT, parameters)
    return v2.Compose([v2.RandomResizedCrop(size), v2.RandomHorizontalFlip(), jitter, rand_augment])


@lru_cache
def build_moco(size: int, fill: tuple[int, int, int]) -> Callable[[Image.Image], Image.Image]:
    """Build the MoCo transform: crop, jitter, gray, blur, flip."""
    from torchvision.transforms import v2

    jitter = v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8)
    blur = v2.RandomApply([gaussian_blur], p=0.5)
    return v2.Compose([v2.RandomResizedCrop(size), jitter, v2.RandomGrayscale(0.2), blur, v2.RandomHorizontalFlip()])


@lru_cache
def build_center_crop(size: int, resize: int) -> Callable[[Image.Image], Image.Image]:
    """Build the test transform: resize the shorter side to `resize`, then cut the central square of `size`."""
    from torchvision.transforms import v2

    return v2.Compose([crop_middle, v2.Resize(resize), v2.CenterCrop(size)])


def crop_middle(image: Image.Image) -> Image.Image:
    """Crop an image longer than MAX_ASPECT times its shorter side to that length; return all others unchanged.

    So the center crop of an ordinary image equals torchvision's to the bit.
    """
    # the same amount at both ends, so that the center stays
    left, top = (max(side - MAX_ASPECT * min(image.size), 0) // 2 for side in image.size)
    return image.crop((left, top, image.width - left, image.height - top)) if left or top else image


def gaussian_blur(image: Image.Image) -> Image.Image:
    """Blur by a standard deviation from U(0.1, 2) pixels (Chen et al. 2020, MoCo v2)."""
    return image.filter(ImageFilter.GaussianBlur(0.1 + 1.9 * torch.rand(()).item()))
