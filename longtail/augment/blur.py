"""PIL's GaussianBlur: three box blurs in each direction (Gwosdek et al. 2011), rounded to bytes after every pass."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from longtail.augment.pixels import divide_exactly, replace_rows
from longtail.augment.transform import Draw, Transform, draw_bernoulli, draw_uniform

PASSES = 3
ONE = 1 << 24  # the weights of a box sum to this, as in PIL's BoxBlur.c


def compute_box_radius(sigma: Tensor) -> Tensor:
    """Compute the radius of the box whose three passes have standard deviation `sigma`; (N,) -> (N,) float32."""
    # BoxBlur.c computes in float, and in double only where a constant is a double; each rounding is repeated here.
    sigma = sigma.float()
    variance = divide_exactly(sigma * sigma, PASSES)
    length = (12 * variance.double() + 1).sqrt().float()  # Gwosdek et al. 2011, Eq. 7
    whole = ((length.double() - 1) / 2).floor().float()  # Eq. 11
    numerator = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
    return whole + numerator / (6 * (variance - (whole + 1) * (whole + 1)))  # Eq. 14


def compute_box_weights(radius: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the weights of a box in units of 2^-24: of a whole pixel, of the two fractional ends, and for rounding.

    radius (N,) -> near, far, rounding, each (N,) int32
    """
    near = (torch.full_like(radius, ONE) / (radius * 2 + 1)).to(torch.int32)
    box = (2 * radius.to(torch.int32) + 1) * near
    far = (ONE - box) // 2
    # `blur_lines` holds pixels less 128. Where integer division loses a unit, the weights sum to 2^24 - 1 only. The sum
    # over shifted pixels is then 128 too large.
    missing = ONE - box - 2 * far
    return near, far, (1 << 23) - 128 * missing


def blur_lines(
    pixels: Tensor, buffers: tuple[Tensor, Tensor], step: int, reach: int, weights: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Run one box pass along one direction, in place; neighbors in that direction are `step` elements apart.

    pixels (N, P) int32 in -128 ... 127, two buffers like it. The ends of the rows are left unspecified.
    """
    # PIL sums bytes times 2^24 in unsigned 32 bits. Torch has only signed ones, which hold the sum of pixels less 128.
    near, far, rounding = weights
    margin = (reach + 1) * step
    inner = slice(margin, pixels.shape[1] - margin)
    ends, total = (buffer[:, inner] for buffer in buffers)
    torch.add(pixels[:, : -2 * margin], pixels[:, 2 * margin :], out=ends)
    box = pixels[:, inner]
    for shift in range(step, margin, step):
        box = torch.add(box, pixels[:, margin - shift : -margin - shift], out=total)
        box = torch.add(box, pixels[:, margin + shift : pixels.shape[1] - margin + shift], out=total)
    torch.mul(box, near, out=total).addcmul_(ends, far).add_(rounding)
    torch.bitwise_right_shift(total, 24, out=pixels[:, inner])


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image by its standard deviation in pixels; (N, 3, H, W) uint8, (N,) -> (N, 3, H, W) uint8."""
    radius = compute_box_radius(sigma)
    weights = compute_box_weights(radius)
    images, whole = images.clone(), radius.int()
    # a box reaches over a whole number of pixels, so images with the same number share one set of shifts
    for reach in whole.unique().tolist():
        replace_rows(images, whole == reach, partial(blur_boxes, reach), *weights)
    return images


def blur_boxes(reach: int, images: Tensor, *weights: Tensor) -> Tensor:
    """Run three passes along the width, then three along the height; `reach` is the whole part of every radius."""
    n, channels, height, width = images.shape
    margin = reach + 1
    padded = images.new_empty(n, channels, height + 2 * margin, width + 2 * margin, dtype=torch.int32)
    inner = padded[:, :, margin:-margin, margin:-margin]
    inner.copy_(images).sub_(128)
    # One long line an image: a neighbor is a fixed number of pixels away, and each operation runs over whole images.
    pixels = padded.flatten(1)
    buffers = torch.empty_like(pixels), torch.empty_like(pixels)
    near, far, rounding = (values[:, None] for values in weights)
    for axis, step in ((3, 1), (2, padded.shape[3])):
        size = images.shape[axis]
        for _ in range(PASSES):
            # PIL repeats the border pixel of the image before each pass, and a pass overwrites the padding
            padded.narrow(axis, 0, margin).copy_(padded.narrow(axis, margin, 1))
            padded.narrow(axis, margin + size, margin).copy_(padded.narrow(axis, margin + size - 1, 1))
            blur_lines(pixels, buffers, step, reach, (near, far, rounding))
    return (inner + 128).to(torch.uint8)


@dataclass(frozen=True)
class GaussianBlur(Transform):
    """Gaussian blur with probability `p`, by a standard deviation from U(low, high) pixels."""

    low: float
    high: float
    p: float

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Draw:
        return {"blur": draw_bernoulli(n, self.p, generator), "sigma": draw_uniform(n, self.low, self.high, generator)}

    def change(self, images: Tensor, blur: Tensor, sigma: Tensor) -> Tensor:
        images = images.clone()
        replace_rows(images, blur, gaussian_blur, sigma)
        return images
