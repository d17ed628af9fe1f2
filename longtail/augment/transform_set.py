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
from longtail.augment.photo import PhotoTransform
from longtail.augment.resize import RandomResizedCrop
from longtail.augment.transform import Compose
from longtail.errors import LongtailError, unknown_name


class Normalize:
    """(x / 255 - mean) / std of uint8 images in any memory format: (N, 3, H, W) uint8 -> (N, 3, H, W) float32."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device | str = "cpu"):
        mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (mean, std))
        self.scale, self.shift = (values.float().to(device) for values in (1 / (255 * std), -mean / std))

    def __call__(self, images: Tensor) -> Tensor:
        return images.float().mul_(self.scale).add_(self.shift)


@dataclass(frozen=True)
class TransformSet:
    """Views by name ("strong", "moco"), the channels' mean and deviation of 0 ... 1, and the side of a view.

    With a `eval_transform`, all views are cut from photographs of any size as they are read; without, from squares of that size.
    """

    name: str
    transforms: dict[str, Compose] | dict[str, PhotoTransform]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: int
    eval_transform: PhotoTransform | None = None

    def build_normalize(self, device: torch.device | str = "cpu") -> Normalize:
        """What turns its uint8 images into a network's input, on a device."""
        return Normalize(self.mean, self.std, device)


@lru_cache
def cifar_transforms(size: int = 32) -> TransformSet:
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
    return TransformSet(name, {"strong": Compose(strong), "moco": Compose(moco)}, **statistics, size=size)


TRANSFORM_SETS = {
    "cifar": cifar_transforms(),
    # A mirrored digit is no digit: no flips.
    "digits": TransformSet(
        name="digits",
        transforms={
            "strong": Compose((RandomCrop(8, padding=1), RandomRotation(10))),
            "moco": Compose((RandomCrop(8, padding=1), ColorJitter(0.4, 0.4, 0.0, 0.0, p=0.8))),
        },
        mean=(0.305,) * 3,
        std=(0.377,) * 3,
        size=8,
    ),
}


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
INATURALIST = {"mean": (0.466, 0.471, 0.380), "std": (0.195, 0.194, 0.192)}


@lru_cache
def custom_transforms(size: int, mirrored: bool = True) -> TransformSet:
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
    name = f"custom-{size}" if mirrored else f"custom-unmirrored-{size}"
    return TransformSet(name, {"strong": Compose(strong), "moco": Compose(moco)}, **IMAGENET, size=size)


@lru_cache
def photo_transforms(name: str, size: int, mean: tuple, std: tuple) -> TransformSet:
    """The large-scale views of the papers."""
    fill = tuple(round(255 * channel) for channel in mean)
    strong, moco, test = (PhotoTransform(view, size, fill) for view in ("strong", "moco", "test"))
    return TransformSet(f"{name}-{size}", {"strong": strong, "moco": moco}, mean, std, size, test)


RESIZABLE = {
    "cifar": cifar_transforms,
    "custom": custom_transforms,
    "custom-unmirrored": lambda size: custom_transforms(size, mirrored=False),
    "imagenet": lambda size: photo_transforms("imagenet", size, **IMAGENET),
    "inaturalist": lambda size: photo_transforms("inaturalist", size, **INATURALIST),
}
SIZE_LIMITS = (8, 1024)
EXAMPLE_SIZES = {"cifar": 16, "custom": 64, "custom-unmirrored": 64}


def get_transform_set(name: str) -> TransformSet:
    """Return a transform set by name, such as "cifar" or "custom-64"; raises LongtailError for an unknown name or size."""
    kind, _, size = name.rpartition("-")
    if kind in RESIZABLE and size.isdecimal():
        if not SIZE_LIMITS[0] <= int(size) <= SIZE_LIMITS[1]:
            raise LongtailError(
                f"images of {size} x {size} pixels: the side must be {SIZE_LIMITS[0]} to {SIZE_LIMITS[1]}"
            )
        return RESIZABLE[kind](int(size))
    if name not in TRANSFORM_SETS:
        raise unknown_name(
            "views", name, [*TRANSFORM_SETS, *(f"{kind}-{EXAMPLE_SIZES.get(kind, 224)}" for kind in RESIZABLE)]
        )
    return TRANSFORM_SETS[name]


def is_resizable(name: str) -> bool:
    """Whether a family comes in any size."""
    return name.rpartition("-")[0] in RESIZABLE


def change_size(name: str, size: int) -> str:
    """The name of the same family at another size; raises LongtailError if the family has one size only."""
    if is_resizable(name):
        return f"{name.rpartition('-')[0]}-{size}"
    if get_transform_set(name).size != size:
        raise LongtailError(
            f"views '{name}' are for {get_transform_set(name).size} x {get_transform_set(name).size} images; leave --size out"
        )
    return name
