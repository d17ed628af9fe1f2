"""PIL's ImageOps that map each gray value to another: invert, posterize, solarize, autocontrast, equalize."""

import torch
from torch import Tensor

from longtail.augment.pixels import to_bytes


def invert(images: Tensor) -> Tensor:
    """Subtract all values from 255; (N, 3, H, W) uint8."""
    return images ^ 255


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest `bits` bits of each value; (N, 3, H, W) uint8, (N,)."""
    mask = 256 - 2 ** (8 - bits.long())
    return images & mask.to(torch.uint8)[:, None, None, None]


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert the values from `threshold` up; (N, 3, H, W) uint8, (N,)."""
    threshold = threshold.ceil().to(torch.int16)[:, None, None, None]  # int16: a threshold of 256 inverts nothing
    return images ^ (images.to(torch.int16) >= threshold).view(torch.uint8).mul_(255)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel to 0 ... 255; a channel of one value stays; (N, 3, H, W) uint8."""
    low = images.amin((2, 3), keepdim=True).double()
    high = images.amax((2, 3), keepdim=True).double()
    # A true division: 255.0 / x is a reciprocal times 255 in torch, which is off by one for some values.
    scale = torch.full_like(low, 255.0) / (high - low)
    is_flat = high == low
    scale = scale.masked_fill(is_flat, 1.0)
    offset = (-low * scale).masked_fill(is_flat, 0.0)
    return to_bytes(images.double().mul_(scale).add_(offset).clamp_(0, 255))


def equalize(images: Tensor) -> Tensor:
    """Flatten the histogram of each channel; (N, 3, H, W) uint8."""
    pixels = images.flatten(0, 1).flatten(1)
    # one bincount for all channels: channel i counts in bins 256 i ... 256 i + 255
    first_bin = torch.arange(len(pixels), device=images.device, dtype=torch.int32)[:, None] * 256
    histogram = torch.bincount((pixels + first_bin).flatten(), minlength=len(pixels) * 256).view(-1, 256).int()
    highest = pixels.amax(1, keepdim=True).long()
    # PIL leaves the pixels of the highest value out of the step
    step = (pixels.shape[1] - histogram.gather(1, highest)) // 255
    before = histogram.cumsum(1, dtype=torch.int32) - histogram
    table = ((step // 2 + before) // step.clamp(min=1)).clamp_(max=255)
    # Too few values to fill one step: PIL leaves the channel alone.
    table = torch.where(step > 0, table, torch.arange(256, device=images.device, dtype=torch.int32))
    return table.to(torch.uint8).gather(1, pixels.long()).view_as(images)
