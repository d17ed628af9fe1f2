"""The named image families: their views, statistics and size."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from longtail.augment.affine import RandomRotation
from longtail.augment.autoaugment import AutoAugment
from longtail.augment.blur import GaussianBlur
from longtail.augment.crop import Cutout, HorizontalFlip, RandomCrop
from longtail.augment.jitter import ColorJitter, Grayscale
from longtail.augment.resize import RandomResizedCrop
from longtail.augment.transform import View
from longtail.errors import unknown


class Normalise:
    """(x / 255 - mean) / std of uint8 images in any memory format: (N, 3, H, W) uint8 -> (N, 3, H, W) float32."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device | str = "cpu"):
        mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (mean, std))
        self.scale, self.shift = (values.float().to(device) for values in (1 / (255 * std), -mean / std))

    def __call__(self, images: Tensor) -> Tensor:
        return images.float().mul_(self.scale).add_(self.shift)


@dataclass(frozen=True)
class Family:
    """Views by name ("strong", "moco"), the channels' mean and deviation of 0 ... 1, and the side of a view."""

    name: str
    views: dict[str, View]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: int

    def normaliser(self, device: torch.device | str = "cpu") -> Normalise:
        """What turns its uint8 images into a network's input, on a device."""
        return Normalise(self.mean, self.std, device)


FAMILIES = {
    "cifar": Family(
        name="cifar",
        views={
            "strong": View((RandomCrop(32, padding=4), HorizontalFlip(), AutoAugment(), Cutout(16))),
            "moco": View(
                (
                    RandomResizedCrop(32, scale=(0.2, 1.0)),
                    HorizontalFlip(),
                    ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
                    Grayscale(p=0.2),
                    GaussianBlur(0.1, 2.0, p=0.5),
                )
            ),
        },
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        size=32,
    ),
    # A mirrored digit is no digit: no flips.
    "digits": Family(
        name="digits",
        views={
            "strong": View((RandomCrop(8, padding=1), RandomRotation(10))),
            "moco": View((RandomCrop(8, padding=1), ColorJitter(0.4, 0.4, 0.0, 0.0, p=0.8))),
        },
        mean=(0.305,) * 3,
        std=(0.377,) * 3,
        size=8,
    ),
}


def family(name: str) -> Family:
    """Look a family up; raises LongtailError with the known names and the nearest."""
    if name not in FAMILIES:
        raise unknown("views", name, FAMILIES)
    return FAMILIES[name]
