"""ColorJitter and Grayscale, drawn and applied per image as torchvision's are on PIL images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from longtail.augment.enhance import adjust_brightness, adjust_contrast, adjust_saturation, to_grayscale
from longtail.augment.hue import adjust_hue
from longtail.augment.pixels import replace_rows
from longtail.augment.transform import Draw, Transform, draw_bernoulli, draw_uniform

# in torchvision's order, so that a drawn order means the same there
OPERATIONS = {
    "brightness": adjust_brightness,
    "contrast": adjust_contrast,
    "saturation": adjust_saturation,
    "hue": adjust_hue,
}


@dataclass(frozen=True)
class ColorJitter(Transform):
    """Random brightness, contrast, saturation and hue, in random order with probability `p`; strength 0 skips one."""

    brightness: float
    contrast: float
    saturation: float
    hue: float
    p: float = 1.0

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Draw:
        draw = {"jitter": draw_bernoulli(n, self.p, generator)}
        draw["order"] = torch.rand(n, len(OPERATIONS), generator=generator).argsort(1)
        for name in ("brightness", "contrast", "saturation"):
            strength = getattr(self, name)
            draw[name] = draw_uniform(n, max(0.0, 1 - strength), 1 + strength, generator)
        draw["hue"] = draw_uniform(n, -self.hue, self.hue, generator)
        return draw

    def change(self, images: Tensor, jitter: Tensor, order: Tensor, **amounts: Tensor) -> Tensor:
        images = images.clone()
        # each operation rounds to bytes, as in PIL, so the order of an image must be followed exactly
        for numbers in order.unbind(1):
            for number, (name, operation) in enumerate(OPERATIONS.items()):
                if getattr(self, name):
                    replace_rows(images, jitter & (numbers == number), operation, amounts[name])
        return images


@dataclass(frozen=True)
class Grayscale(Transform):
    """Conversion to three equal channels with probability `p`."""

    p: float

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Draw:
        return {"gray": draw_bernoulli(n, self.p, generator)}

    def change(self, images: Tensor, gray: Tensor) -> Tensor:
        images = images.clone()
        replace_rows(images, gray, to_grayscale)
        return images
