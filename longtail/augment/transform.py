"""A transform draws parameters for each image, then changes all images at once; `Compose` chains transforms."""

from typing import Any

import torch
from torch import Tensor

Draw = dict[str, Tensor]

# On a CPU all transforms of a `Compose` run over this many bytes of images before the next block begins.
BLOCK_BYTES = 1 << 22


class Transform:
    """A random operation on uint8 images; subclasses are small frozen dataclasses with `draw` and `change`."""

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Draw:
        """Draw the parameters of `n` images of `size` (H, W): named CPU tensors, each (n, ...)."""
        raise NotImplementedError

    # `*args: Any` lets a subclass name its parameters; every call passes them by name
    def change(self, images: Tensor, *args: Any, **draw: Any) -> Tensor:
        """Return changed images, (N, 3, H, W) contiguous uint8 -> (N, 3, h, w); must not write to its input."""
        raise NotImplementedError

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the size (H, W) of the output for an input of `size`."""
        return size

    def apply(self, images: Tensor, draw: Draw) -> Tensor:
        """Apply drawn parameters, on the images' device; (N, 3, H, W) uint8 -> (N, 3, h, w) uint8."""
        check_images(images)
        return self.change(images.contiguous(), **to_device(draw, images.device))

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw and apply; the draws come from a CPU generator, so they do not depend on the device."""
        return self.apply(images, self.draw(len(images), image_size(images), generator))


class Compose(tuple[Transform, ...]):
    """A sequence of transforms with the two methods of one; its draw is the list of their draws."""

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> list[Draw]:
        """Draw for each transform in turn; `size` is the (H, W) of the input images."""
        draws = []
        for transform in self:
            draws.append(transform.draw(n, size, generator))
            size = transform.output_size(size)
        return draws

    def apply(self, images: Tensor, draws: list[Draw]) -> Tensor:
        """Apply all transforms, on a CPU block by block; (N, 3, H, W) uint8 -> (N, 3, h, w) uint8."""
        check_images(images)
        block_size = len(images)
        if images.device.type == "cpu" and block_size:
            block_size = max(1, BLOCK_BYTES // images[0].numel())
        if len(images) <= block_size:
            return self._apply_block(images, draws)
        blocks = [slice(start, start + block_size) for start in range(0, len(images), block_size)]
        return torch.cat([self._apply_block(images[block], select_rows(draws, block)) for block in blocks])

    def _apply_block(self, images: Tensor, draws: list[Draw]) -> Tensor:
        for transform, draw in zip(self, draws, strict=True):
            images = transform.apply(images, draw)
        return images

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw and apply; see `Transform.__call__`."""
        return self.apply(images, self.draw(len(images), image_size(images), generator))


def check_images(images: Tensor) -> None:
    """Raise ValueError unless the images are (N, 3, H, W) uint8."""
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"expected uint8 images (N, 3, H, W), got {images.dtype} {tuple(images.shape)}")


def image_size(images: Tensor) -> tuple[int, int]:
    """Return the size (H, W) of a batch of images."""
    return images.shape[-2], images.shape[-1]


def to_device(draw: Draw, device: torch.device) -> Draw:
    """Move drawn parameters to a device."""
    return {name: values.to(device, non_blocking=True) for name, values in draw.items()}


def select_rows(draws: list[Draw], rows: slice | Tensor) -> list[Draw]:
    """Keep the parameters of some images only; `rows` is a slice or an index tensor."""
    return [{name: values[rows] for name, values in draw.items()} for draw in draws]


def draw_bernoulli(n: int, probability: float, generator: torch.Generator) -> Tensor:
    """Draw which of `n` images an operation of this probability changes; -> (n,) bool."""
    return torch.rand(n, generator=generator) < probability


def draw_uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw `n` numbers from U(low, high); -> (n,) float32."""
    return torch.empty(n).uniform_(low, high, generator=generator)
