"""The named image families: their views, statistics and size."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from longtail.augment.affine import RandomRotation
from longtail.augment.autoaugment import AutoAugment
from longtail.augment.blur import GaussianBlur
from longtail.augment.crop import Cutout, HorizontalFlip, RandomCrop
from longtail.augment.jitter import ColorJitter, Grayscale
from longtail.augment.photo import PhotoView
from longtail.augment.resize import RandomResizedCrop
from longtail.augment.transform import View
from longtail.errors import LongtailError, unknown


class Normalise:
    """(x / 255 - mean) / std of uint8 images in any memory format: (N, 3, H, W) uint8 -> (N, 3, H, W) float32."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device | str = "cpu"):
        mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (mean, std))
        self.scale, self.shift = (values.float().to(device) for values in (1 / (255 * std), -mean / std))

    def __call__(self, images: Tensor) -> Tensor:
        return images.float().mul_(self.scale).add_(self.shift)


@dataclass(frozen=True)
class Family:
    """Views by name ("strong", "moco"), the channels' mean and deviation of 0 ... 1, and the side of a view.

    With a `test` view, all views are cut from photographs of any size as they are read; without, from squares of that size.
    """

    name: str
    views: dict[str, View] | dict[str, PhotoView]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: int
    test: PhotoView | None = None

    def normaliser(self, device: torch.device | str = "cpu") -> Normalise:
        """What turns its uint8 images into a network's input, on a device."""
        return Normalise(self.mean, self.std, device)


@lru_cache
def cifar(size: int = 32) -> Family:
    """The views of the papers on CIFAR, with crop, hole and blur in proportion where images are averaged to fewer pixels."""
    strong = (RandomCrop(size, padding=size // 8), HorizontalFlip(), AutoAugment(), Cutout(size // 2))
    moco = (
        RandomResizedCrop(size, scale=(0.2, 1.0)),
        HorizontalFlip(),
        ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        Grayscale(p=0.2),
        GaussianBlur(0.1, size / 16, p=0.5),
    )
    name = "cifar" if size == 32 else f"cifar-{size}"
    statistics = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2023, 0.1994, 0.2010)}
    return Family(name, {"strong": View(strong), "moco": View(moco)}, **statistics, size=size)


FAMILIES = {
    "cifar": cifar(),
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


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
INATURALIST = {"mean": (0.466, 0.471, 0.380), "std": (0.195, 0.194, 0.192)}


@lru_cache
def own(size: int, mirrored: bool = True) -> Family:
    """One's own photographs at any size: CIFAR's crop, flip, hole and MoCo view in proportion, ImageNet's statistics.

    Colours are jittered as in the papers' large-scale view; AutoAugment is left out, as it was searched on CIFAR-10 and
    turns, shears and inverts, which may change what an image of one's own shows.
    """
    flip = (HorizontalFlip(),) if mirrored else ()
    strong = (RandomCrop(size, padding=size // 8), *flip, ColorJitter(0.4, 0.4, 0.4, 0.0, p=0.8), Cutout(size // 2))
    moco = (
        RandomResizedCrop(size, scale=(0.2, 1.0)),
        *flip,
        ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        Grayscale(p=0.2),
        GaussianBlur(0.1, 2.0, p=0.5),
    )
    name = f"own-{size}" if mirrored else f"own-unmirrored-{size}"
    return Family(name, {"strong": View(strong), "moco": View(moco)}, **IMAGENET, size=size)


@lru_cache
def photos(name: str, size: int, mean: tuple, std: tuple) -> Family:
    """The large-scale views of the papers."""
    fill = tuple(round(255 * channel) for channel in mean)
    strong, moco, test = (PhotoView(view, size, fill) for view in ("strong", "moco", "test"))
    return Family(f"{name}-{size}", {"strong": strong, "moco": moco}, mean, std, size, test)


SIZED = {
    "cifar": cifar,
    "own": own,
    "own-unmirrored": lambda size: own(size, mirrored=False),
    "imagenet": lambda size: photos("imagenet", size, **IMAGENET),
    "inaturalist": lambda size: photos("inaturalist", size, **INATURALIST),
}
SIZES = (8, 1024)
EXAMPLES = {"cifar": 16, "own": 64, "own-unmirrored": 64}


def family(name: str) -> Family:
    """Look a family up, "own-64" being one's own images at 64 x 64; raises LongtailError with the known names and the nearest."""
    kind, _, size = name.rpartition("-")
    if kind in SIZED and size.isdecimal():
        if not SIZES[0] <= int(size) <= SIZES[1]:
            raise LongtailError(f"images of {size} x {size} pixels: the side must be {SIZES[0]} to {SIZES[1]}")
        return SIZED[kind](int(size))
    if name not in FAMILIES:
        raise unknown("views", name, [*FAMILIES, *(f"{kind}-{EXAMPLES.get(kind, 224)}" for kind in SIZED)])
    return FAMILIES[name]


def sized(name: str) -> bool:
    """Whether a family comes in any size."""
    return name.rpartition("-")[0] in SIZED


def resized(name: str, size: int) -> str:
    """The name of the same family at another size; raises LongtailError if the family has one size only."""
    if sized(name):
        return f"{name.rpartition('-')[0]}-{size}"
    if family(name).size != size:
        raise LongtailError(
            f"views '{name}' are for {family(name).size} x {family(name).size} images; leave --size out"
        )
    return name
