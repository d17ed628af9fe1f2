"""Named transform sets: the transforms that make the views of a batch, channel statistics and image size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

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

Channels = tuple[float, float, float]

# (mean, standard deviation) of the channels in 0 ... 1
CIFAR: tuple[Channels, Channels] = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
DIGITS: tuple[Channels, Channels] = (0.305, 0.305, 0.305), (0.377, 0.377, 0.377)
IMAGENET: tuple[Channels, Channels] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
INATURALIST: tuple[Channels, Channels] = (0.466, 0.471, 0.380), (0.195, 0.194, 0.192)


class Normalize:
    """The map (x / 255 - mean) / std of uint8 images in any memory format: (N, 3, H, W) uint8 -> (N, 3, H, W) float32.

    Features, which are floating-point numbers (N, d), keep their values.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device | str = "cpu"):
        means, stds = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (mean, std))
        self.scale, self.shift = (values.float().to(device) for values in (1 / (255 * stds), -means / stds))

    def __call__(self, images: Tensor) -> Tensor:
        x = images.float()
        return x if images.is_floating_point() else x.mul_(self.scale).add_(self.shift)


@dataclass(frozen=True)
class TransformSet:
    """Transforms by view name ("strong", "moco"), the channels' mean and deviation in 0 ... 1, and the side of a view.

    If `eval_transform` is set, all transforms take photographs of any size; if None, they take squares of `size`, which
    need no transform for evaluation. `fit` is how a photograph becomes a square for evaluation: its center is cut out, or
    its longer side fits and the rest is padded, or both sides are squeezed.
    """

    name: str
    transforms: dict[str, Compose] | dict[str, PhotoTransform]
    mean: Channels
    std: Channels
    size: int
    eval_transform: PhotoTransform | None = None
    fit: Literal["cut", "pad", "squeeze"] = "cut"

    @property
    def has_flips(self) -> bool:
        """Return whether training mirrors images from left to right; transforms of photographs always do."""
        views = self.transforms.values()
        steps = [step for view in views if isinstance(view, Compose) for step in view]
        return self.eval_transform is not None or any(isinstance(step, HorizontalFlip) for step in steps)

    def build_normalize(self, device: torch.device | str = "cpu") -> Normalize:
        """Build the map from uint8 images to a network's input, on a device."""
        return Normalize(self.mean, self.std, device)


@lru_cache
def build_cifar(size: int = 32) -> TransformSet:
    """Build the papers' transforms for CIFAR; padding, hole and blur shrink in proportion for images of fewer pixels."""
    strong = (RandomCrop(size, padding=size // 8), HorizontalFlip(), AutoAugment(), Cutout(size // 2))
    moco = (
        RandomResizedCrop(size, scale=(0.2, 1.0)),
        HorizontalFlip(),
        ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        Grayscale(p=0.2),
        GaussianBlur(0.1, size / 16, p=0.5),
    )
    name = "cifar" if size == 32 else f"cifar-{size}"
    return TransformSet(name, {"strong": Compose(strong), "moco": Compose(moco)}, *CIFAR, size)


def build_digits() -> TransformSet:
    """Build the transforms for 8 x 8 digits; a flipped digit is no digit, so there is no flip."""
    strong = (RandomCrop(8, padding=1), RandomRotation(10))
    moco = (RandomCrop(8, padding=1), ColorJitter(0.4, 0.4, 0.0, 0.0, p=0.8))
    return TransformSet("digits", {"strong": Compose(strong), "moco": Compose(moco)}, *DIGITS, size=8)


@lru_cache
def build_custom(size: int, flip: bool = True) -> TransformSet:
    """Build transforms for custom photographs at any size: CIFAR's in proportion, with ImageNet's statistics.

    Color jitter of the papers' large-scale transforms replaces AutoAugment. AutoAugment was searched on CIFAR-10; its
    rotations, shears and inversions may change the class of a custom image.
    """
    flips = (HorizontalFlip(),) if flip else ()
    strong = (RandomCrop(size, padding=size // 8), *flips, ColorJitter(0.4, 0.4, 0.4, 0.0, p=0.8), Cutout(size // 2))
    moco = (
        RandomResizedCrop(size, scale=(0.2, 1.0)),
        *flips,
        ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        Grayscale(p=0.2),
        GaussianBlur(0.1, 2.0, p=0.5),
    )
    name = f"custom-{size}" if flip else f"custom-unmirrored-{size}"
    return TransformSet(name, {"strong": Compose(strong), "moco": Compose(moco)}, *IMAGENET, size)


@lru_cache
def build_photo(name: str, size: int, mean: Channels, std: Channels) -> TransformSet:
    """Build the papers' transforms for large-scale data sets; empty pixels are filled with the mean color."""
    red, green, blue = (round(255 * channel) for channel in mean)
    fill = (red, green, blue)
    transforms = {"strong": PhotoTransform("strong", size, fill), "moco": PhotoTransform("moco", size, fill)}
    return TransformSet(f"{name}-{size}", transforms, mean, std, size, PhotoTransform("test", size, fill))


TRANSFORM_SETS = {"cifar": build_cifar(), "digits": build_digits()}
RESIZABLE: dict[str, Callable[[int], TransformSet]] = {
    "cifar": build_cifar,
    "custom": build_custom,
    "custom-unmirrored": lambda size: build_custom(size, flip=False),
    "imagenet": lambda size: build_photo("imagenet", size, *IMAGENET),
    "inaturalist": lambda size: build_photo("inaturalist", size, *INATURALIST),
}
SIZE_LIMITS = (8, 1024)
EXAMPLE_SIZES = {"cifar": 16, "custom": 64, "custom-unmirrored": 64}  # in messages; 224 for all others


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
        examples = [f"{kind}-{EXAMPLE_SIZES.get(kind, 224)}" for kind in RESIZABLE]
        raise unknown_name("views", name, [*TRANSFORM_SETS, *examples])
    return TRANSFORM_SETS[name]


def is_resizable(name: str) -> bool:
    """Return whether a transform set exists at any size."""
    return name.rpartition("-")[0] in RESIZABLE


def change_size(name: str, size: int) -> str:
    """Return the name of a transform set at another size; raises LongtailError if there is only one size."""
    if is_resizable(name):
        return f"{name.rpartition('-')[0]}-{size}"
    side = get_transform_set(name).size
    if side != size:
        raise LongtailError(f"views '{name}' are for {side} x {side} images; leave --size out")
    return name
