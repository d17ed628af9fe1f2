"""Five crops of an image: its corners and its center, for test-time ensembling (TTE; Shi et al., ICML 2024)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from longtail.augment import TransformSet
from longtail.augment.photo import crop_middle
from longtail.data.lazy import LazyImages
from longtail.data.workers import Decoder, Job, decode_jobs

CROPS = 5
EXPANSION = 24 / 224  # of the image before it is cropped (Shi et al.'s code: 24 pixels at 224)


def expand(size: int) -> int:
    """Return the shorter side of an image from which crops of `size` are cut."""
    return size + max(round(size * EXPANSION), 1)


@dataclass(frozen=True)
class FiveCrop:
    """The map from a photograph to its five crops, one below the other: -> (5 S, S, 3) uint8."""

    size: int

    def __call__(self, image: Image.Image) -> np.ndarray:
        from torchvision.transforms import v2

        crops = v2.Compose([crop_middle, v2.Resize(expand(self.size)), v2.FiveCrop(self.size)])(image)
        return np.concatenate([np.asarray(crop) for crop in crops])


def iterate_file_crops(images: LazyImages, transform_set: TransformSet, n: int) -> Iterator[Tensor]:
    """Yield the crops of n images in files at a time: (5 n, 3, S, S) uint8, the five of an image together."""
    size = transform_set.size
    decoder = Decoder(images, [FiveCrop(size)], expand(size))
    batches = (list(range(start, min(start + n, len(images)))) for start in range(0, len(images), n))
    jobs = ([Job(rows, [0] * len(rows))] for rows in batches)
    for ((pixels,),) in decode_jobs(decoder, jobs, pin=False):
        yield pixels.unflatten(2, (CROPS, size)).transpose(1, 2).flatten(0, 1)


def iterate_pixel_crops(images: Tensor, n: int) -> Iterator[Tensor]:
    """Yield the crops of n images in memory at a time, which are enlarged first: (N, 3, S, S) -> (5 n, 3, S, S) uint8."""
    from torchvision.transforms.v2 import functional

    size = images.shape[-1]
    for pixels in images.split(n):
        larger = functional.resize(pixels, [expand(size)] * 2, antialias=True)
        yield torch.stack(functional.five_crop(larger, [size, size]), dim=1).flatten(0, 1)
