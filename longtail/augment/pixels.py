"""Conversion to bytes, correctly rounded division, and operations on selected images of a batch or block by block."""

from collections.abc import Callable

import torch
from torch import Tensor

# Bytes of uint8 images that one operation takes at once on a CPU. Its 32-bit intermediates take four times as much, and
# should stay in the cache.
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
    """Overwrite the images under `mask` (N,) with operation(images, *parameters), in place.

    The operation gets the masked images and their rows of the parameters only, block by block.
    """
    index = mask.nonzero().squeeze(1)
    for block in index.split(choose_block_size(images)):
        if len(block):
            block_parameters = (values.index_select(0, block) for values in parameters)
            changed = operation(images.index_select(0, block), *block_parameters)
            view_as_words(images).index_copy_(0, block, view_as_words(changed.contiguous()))


def apply_in_blocks(operation: Callable[..., Tensor], images: Tensor, *parameters: Tensor) -> Tensor:
    """Return operation(images, *parameters), computed block by block."""
    size = choose_block_size(images)
    blocks = zip(*(values.split(size) for values in (images, *parameters)), strict=True)
    return torch.cat([operation(*block) for block in blocks])


def choose_block_size(images: Tensor) -> int:
    """Return the number of images per operation: on a CPU as many as keep intermediate values in the cache, else all."""
    if images.device.type == "cpu" and images.numel():
        return max(1, BLOCK_BYTES // images[0].numel())
    return max(1, len(images))


def view_as_words(images: Tensor) -> Tensor:
    """View each image as 64-bit words where its size allows, because index_copy_ costs per element, not per byte."""
    flat = images.view(len(images), -1)  # never a copy: the caller writes through it
    return flat.view(torch.int64) if flat.shape[1] % 8 == 0 else flat
