"""RandomResizedCrop with PIL's bilinear resampling: 22-bit fixed-point weights, rounded after each direction."""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from longtail.augment.pixels import apply_in_blocks, divide_exactly
from longtail.augment.transform import Draw, Transform

BITS = 22  # of a fixed-point weight: 32 - 8 of the pixel - 2 to spare, PRECISION_BITS in PIL's Resample.c


def compute_weights(length: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Compute the weights of the source pixels of each output pixel, as precompute_coeffs in PIL's Resample.c.

    lengths (N,) -> first source pixel (N, size), weights (T, N, size) int32. PIL widens the triangle filter if an image
    shrinks (antialiasing), so the number of taps T is that of the longest image.
    """
    # Double precision and this order of operations are PIL's: a last bit here can change a rounded weight.
    length = length.double()[:, None]
    scale = divide_exactly(length.clone(), size)
    support = scale.clamp(min=1.0)
    center = (torch.arange(size, device=length.device) + 0.5) * scale
    first = (center - support + 0.5).trunc().clamp(min=0)
    count = torch.minimum((center + support + 0.5).trunc(), length) - first
    taps = torch.arange(int(count.max()), device=length.device)[:, None, None]
    triangle = 1 - ((taps + first - center + 0.5) * (1 / support)).abs()
    raw = triangle.clamp(min=0) * (taps < count)
    total = torch.zeros_like(center)
    for tap in raw:  # one by one, as PIL adds them; torch's sum may take another order
        total = total + tap
    return first.long(), (raw / total * (1 << BITS) + 0.5).to(torch.int32)


def resample(lines: Tensor, start: Tensor, length: Tensor, size: int) -> Tensor:
    """Resize axis 1 from pixels start ... start + length to `size`; (N, L, M) uint8, (N,) x 2 -> (N, size, M)."""
    n, stride, _ = lines.shape
    # A weight depends on the length alone: one table for all lengths, one row of it for each image.
    first, weight = compute_weights(torch.arange(1, stride + 1, device=lines.device), size)
    first, weight = first[length - 1], weight[:, length - 1]
    offset = torch.arange(n, device=lines.device)[:, None] * stride + start[:, None]
    last = length[:, None] - 1
    flat = lines.contiguous().flatten(0, 1)
    # Integer sums are exact in any order. They start at one half, as in PIL, so that the shift below rounds.
    total = torch.full((n, size, lines.shape[2]), 1 << (BITS - 1), dtype=torch.int32, device=lines.device)
    for tap, tap_weight in enumerate(weight):
        # taps past the last pixel have weight 0; the minimum only keeps their index inside the image
        rows = (offset + torch.minimum(first + tap, last)).flatten()
        pixels = flat.index_select(0, rows).unflatten(0, (n, size)).to(torch.int32)
        total.addcmul_(pixels, tap_weight[:, :, None])
    # PIL clips to 0 ... 255 here; bilinear weights are not negative and sum to 1, so nothing needs clipping.
    return total.bitwise_right_shift_(BITS).to(torch.uint8)


def resized_crop(images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor, size: int) -> Tensor:
    """Cut a box from each image and resize it; (N, 3, H, W) uint8, (N,) integers x 4 -> (N, 3, size, size).

    The width is resized first, as in PIL, and rounded to bytes before the height. Pillow 13 may begin with the height if
    the height shrinks (pull request 9549); a box no higher than `size` is not affected.
    """
    n, _, rows, columns = images.shape
    # `resample` reads whole lines along the last axis, so the resized axis comes before all others of an image.
    lines = images.permute(0, 3, 1, 2).reshape(n, columns, 3 * rows)
    lines = resample(lines, left, width, size)
    lines = lines.view(n, size, 3, rows).permute(0, 3, 2, 1).reshape(n, rows, 3 * size)
    lines = resample(lines, top, height, size)
    return lines.view(n, size, 3, size).transpose(1, 2).contiguous()


@dataclass(frozen=True)
class RandomResizedCrop(Transform):
    """A box of random area share and aspect ratio, resized to a square of `size`, drawn as torchvision does."""

    size: int
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    tries: int = 10

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Draw:
        rows, columns = size
        # torchvision tries up to ten boxes until one fits; here all are drawn at once and the first that fits is taken
        area = rows * columns * torch.empty(n, self.tries).uniform_(*self.scale, generator=generator)
        low, high = (math.log(ratio) for ratio in self.ratio)
        aspect = torch.empty(n, self.tries).uniform_(low, high, generator=generator).exp()
        width = (area * aspect).sqrt().round().long()
        height = (area / aspect).sqrt().round().long()
        fits = (width > 0) & (width <= columns) & (height > 0) & (height <= rows)
        first = fits.int().argmax(1, keepdim=True)  # argmax of 0 and 1 is the first 1
        fallback_height, fallback_width = self._largest_box(rows, columns)
        any_fits = fits.any(1)
        height = height.gather(1, first)[:, 0].where(any_fits, fallback_height)
        width = width.gather(1, first)[:, 0].where(any_fits, fallback_width)
        room = torch.stack([rows - height, columns - width])
        corner = (torch.rand(2, n, generator=generator) * (room + 1)).long().minimum(room)
        top, left = corner.where(any_fits, room // 2)  # the fallback box is centered
        return {"top": top, "left": left, "height": height, "width": width}

    def _largest_box(self, rows: int, columns: int) -> tuple[int, int]:
        aspect = columns / rows
        if aspect < min(self.ratio):
            return round(columns / min(self.ratio)), columns
        if aspect > max(self.ratio):
            return rows, round(rows * max(self.ratio))
        return rows, columns

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return self.size, self.size

    def change(self, images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
        return apply_in_blocks(partial(resized_crop, size=self.size), images, top, left, height, width)
