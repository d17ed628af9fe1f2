"""ColorJitter and Grayscale, drawn and applied per image as torchvision's on PIL images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from longtail.augment.enhance import brightness, contrast, saturation, to_grayscale
from longtail.augment.hue import shift_hue
from longtail.augment.pixels import replace_rows
from longtail.augment.transform import Draw, Transform, draw_bernoulli, draw_uniform

OPERATIONS = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": shift_hue}


@dataclass(frozen=True)
class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue in random order; a strength of 0 leaves one out."""

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
        for turn in order.unbind(1):
            for number, (name, operation) in enumerate(OPERATIONS.items()):
                if getattr(self, name):
                    replace_rows(images, jitter & (turn == number), operation, amounts[name])
        return images


@dataclass(frozen=True)
class Grayscale(Transform):
    """Take the color away with probability `p`."""

    p: float

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Draw:
        return {"gray": draw_bernoulli(n, self.p, generator)}

    def change(self, images: Tensor, gray: Tensor) -> Tensor:
        images = images.clone()
        replace_rows(images, gray, to_grayscale)
        return images
