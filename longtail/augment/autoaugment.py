"""AutoAugment's CIFAR-10 policy (Cubuk et al. 2019), with the conventions of the widely copied PIL port.

The port fills with gray 128, shears by nearest neighbor and always rotates counter-clockwise; shears, translations
and the four enhancements take a random sign.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from longtail.augment import affine, enhance, tables
from longtail.augment.pixels import replace_rows
from longtail.augment.transform import Draw, Transform

# name: (operation, magnitude at level 0, magnitude at level 9, takes a random sign)
OPERATIONS: dict[str, tuple[Callable[..., Tensor], float, float, bool]] = {
    "shear_x": (affine.shear_x, 0, 0.3, True),
    "shear_y": (affine.shear_y, 0, 0.3, True),
    "translate_x": (affine.translate_x, 0, 150 / 331, True),
    "translate_y": (affine.translate_y, 0, 150 / 331, True),
    "rotate": (affine.rotate, 0, 30, False),
    "color": (enhance.adjust_saturation, 0, 0.9, True),
    "contrast": (enhance.adjust_contrast, 0, 0.9, True),
    "sharpness": (enhance.adjust_sharpness, 0, 0.9, True),
    "brightness": (enhance.adjust_brightness, 0, 0.9, True),
    "posterize": (tables.posterize, 8, 4, False),
    "solarize": (tables.solarize, 256, 0, False),
    "autocontrast": (tables.autocontrast, 0, 0, False),
    "equalize": (tables.equalize, 0, 0, False),
    "invert": (tables.invert, 0, 0, False),
}
ENHANCEMENTS = ("color", "contrast", "sharpness", "brightness")  # their factor is 1 + signed magnitude
WITHOUT_MAGNITUDE = ("autocontrast", "equalize", "invert")

# The 25 sub-policies: two operations, each with its probability and its level 0 ... 9.
CIFAR10_POLICY = (
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 7), ("autocontrast", 0.4, 8)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
    (("color", 0.9, 9), ("equalize", 0.6, 6)),
    (("autocontrast", 0.8, 4), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 3)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, 2), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, 1)),
)


def compute_magnitude(name: str, level: int) -> float:
    """Convert a level 0 ... 9 into the unsigned magnitude that an operation takes, in the operation's unit."""
    _, low, high, _ = OPERATIONS[name]
    # The port's numpy.linspace rounds in this order: the step first, then step times level.
    magnitude = low + level * ((high - low) / 9)
    return round(magnitude) if name == "posterize" else magnitude


def apply_operation(name: str, images: Tensor, magnitude: Tensor) -> Tensor:
    """Apply one operation of the policy with signed magnitudes; (N, 3, H, W) uint8, (N,) float64."""
    operation = OPERATIONS[name][0]
    if name in WITHOUT_MAGNITUDE:
        return operation(images)
    return operation(images, 1 + magnitude if name in ENHANCEMENTS else magnitude)


@dataclass(frozen=True)
class AutoAugment(Transform):
    """A random sub-policy of `policy` for each image: two operations in order, each applied with its probability."""

    policy: tuple = CIFAR10_POLICY

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Draw:
        probability = torch.tensor([[step[1] for step in steps] for steps in self.policy])
        policy = torch.randint(len(self.policy), (n,), generator=generator)
        return {
            "policy": policy,
            "active": torch.rand(n, 2, generator=generator) < probability[policy],
            "sign": torch.randint(2, (n, 2), generator=generator) * 2 - 1,
        }

    def change(self, images: Tensor, policy: Tensor, active: Tensor, sign: Tensor) -> Tensor:
        images, names = images.clone(), list(OPERATIONS)
        for position in (0, 1):
            # Images are grouped by operation, not by sub-policy: fewer calls, as sub-policies share operations.
            steps = [sub_policy[position] for sub_policy in self.policy]
            numbers = torch.tensor([names.index(name) for name, _, _ in steps], device=images.device)
            by_level = torch.tensor([compute_magnitude(name, level) for name, _, level in steps], dtype=torch.float64)
            number = torch.where(active[:, position], numbers[policy], -1)  # (N,), -1: no operation
            magnitude = by_level.to(images.device)[policy]
            for i in sorted({names.index(name) for name, _, _ in steps}):
                signed = magnitude * sign[:, position] if OPERATIONS[names[i]][3] else magnitude
                replace_rows(images, number == i, partial(apply_operation, names[i]), signed)
        return images
