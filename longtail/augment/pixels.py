"""Bytes in and out of a batch: truncation to uint8, and operations on some of the images."""

from collections.abc import Callable

import torch
from torch import Tensor

# Of uint8 pixels; their 32-bit numbers take four times as much.
BLOCK_BYTES = 1 << 19


def to_bytes(values: Tensor) -> Tensor:
    """Truncate numbers in 0 ... 255 to uint8."""
    # By way of int16, which a CPU vectorizes: several times as fast as the direct conversion.
    return values.to(torch.int16).to(torch.uint8)


def divide_exactly(values: Tensor, number: float) -> Tensor:
    """Divide by a number, in place and correctly rounded on every device."""
    # CUDA multiplies by the reciprocal of a plain number, which is off by one in the last place.
    return values.div_(torch.full((), number, dtype=values.dtype, device=values.device))


def replace_rows(images: Tensor, mask: Tensor, operation: Callable[..., Tensor], *parameters: Tensor) -> None:
    """Overwrite the images under `mask` (N,) by operation(images, *parameters), given those images' rows only."""
    index = mask.nonzero().squeeze(1)
    for part in index.split(block_size(images)):
        if len(part):
            rows = (values.index_select(0, part) for values in parameters)
            changed = operation(images.index_select(0, part), *rows)
            view_as_words(images).index_copy_(0, part, view_as_words(changed.contiguous()))


def apply_in_blocks(operation: Callable[..., Tensor], images: Tensor, *parameters: Tensor) -> Tensor:
    """Return operation(images, *parameters), computed block by block."""
    size = block_size(images)
    parts = zip(*(values.split(size) for values in (images, *parameters)), strict=True)
    return torch.cat([operation(*part) for part in parts])


def block_size(images: Tensor) -> int:
    """Say how many images one operation should take at once: on a CPU as many as keep its numbers in the cache."""
    if images.device.type == "cpu" and images.numel():
        return max(1, BLOCK_BYTES // images[0].numel())
    return max(1, len(images))


def view_as_words(images: Tensor) -> Tensor:
    """View each image as 64-bit words where its size allows, because index_copy_ costs per element, not per byte."""
    flat = images.view(len(images), -1)  # never a copy: the caller writes through it
    return flat.view(torch.int64) if flat.shape[1] % 8 == 0 else flat
