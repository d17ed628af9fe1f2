"""PIL's GaussianBlur: three box blurs each way (Gwosdek et al. 2011) with 24-bit weights and bytes in between."""

from dataclasses import dataclass

import torch
from torch import Tensor

from longtail.augment.pixels import divide_exactly, replace_rows
from longtail.augment.transform import Draw, Transform, draw_bernoulli, draw_uniform

PASSES = 3


def box_radius(sigma: Tensor) -> Tensor:
    """Find the box radius whose three passes have this deviation; (N,) -> (N,) float32, rounded as PIL's C does."""
    sigma = sigma.float()
    variance = divide_exactly(sigma * sigma, PASSES)
    length = (12 * variance.double() + 1).sqrt().float()
    whole = ((length.double() - 1) / 2).floor().float()
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
    return whole + part / (6 * (variance - (whole + 1) * (whole + 1)))


def box_weights(radius: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weigh the pixels of a box and its two fractional ends in 2^-24; radius (N,) -> near, far, rounding (N,) int32."""
    near = (torch.full_like(radius, 1 << 24) / (radius * 2 + 1)).to(torch.int32)
    box = (2 * radius.to(torch.int32) + 1) * near
    far = ((1 << 24) - box) // 2
    # `blur_lines` holds pixels less 128; where the weights sum to 2^24 - 1, 128 units of the sum are missing.
    missing = (1 << 24) - box - 2 * far
    return near, far, (1 << 23) - 128 * missing


def blur_lines(pixels: Tensor, work: tuple[Tensor, Tensor], step: int, reach: int, weights: tuple) -> None:
    """Blur once along one direction, in place: pixels (N, P) int32 in -128 ... 127, `step` apart in that direction.

    A weighted sum of signed pixels stays inside 32 bits. The ends of the rows are left unspecified.
    """
    near, far, rounding = weights
    margin = (reach + 1) * step
    inner = slice(margin, pixels.shape[1] - margin)
    ends, total = (buffer[:, inner] for buffer in work)
    torch.add(pixels[:, : -2 * margin], pixels[:, 2 * margin :], out=ends)
    box = pixels[:, inner]
    for shift in range(step, margin, step):
        box = torch.add(box, pixels[:, margin - shift : -margin - shift], out=total)
        box = torch.add(box, pixels[:, margin + shift : pixels.shape[1] - margin + shift], out=total)
    torch.mul(box, near, out=total).addcmul_(ends, far).add_(rounding)
    torch.bitwise_right_shift(total, 24, out=pixels[:, inner])


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image by its own deviation in pixels; (N, 3, H, W) uint8, (N,) -> (N, 3, H, W) uint8."""
    radius = box_radius(sigma)
    parameters = (radius, *box_weights(radius))
    images = images.clone()
    for reach in radius.int().unique().tolist():
        replace_rows(
            images, radius.int() == reach, lambda part, _, *box, reach=reach: blur(part, reach, *box), *parameters
        )
    return images


def blur(images: Tensor, reach: int, *weights: Tensor) -> Tensor:
    """Blur along the width, then along the height; all images share `reach`, the whole part of the radius."""
    n, channels, height, width = images.shape
    margin = reach + 1
    padded = images.new_empty(n, channels, height + 2 * margin, width + 2 * margin, dtype=torch.int32)
    inner = padded[:, :, margin:-margin, margin:-margin]
    inner.copy_(images).sub_(128)
    # One long line an image: a neighbour is a fixed number of pixels away, and each operation runs over whole images.
    pixels = padded.flatten(1)
    work = torch.empty_like(pixels), torch.empty_like(pixels)
    weights = tuple(values[:, None] for values in weights)
    for axis, step in ((3, 1), (2, padded.shape[3])):
        size = images.shape[axis]
        for _ in range(PASSES):
            padded.narrow(axis, 0, margin).copy_(padded.narrow(axis, margin, 1))
            padded.narrow(axis, margin + size, margin).copy_(padded.narrow(axis, margin + size - 1, 1))
            blur_lines(pixels, work, step, reach, weights)
    return (inner + 128).to(torch.uint8)


@dataclass(frozen=True)
class GaussianBlur(Transform):
    """With probability `p` blur by a deviation from U(low, high) pixels."""

    low: float
    high: float
    p: float

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Draw:
        return {"blur": draw_bernoulli(n, self.p, generator), "sigma": draw_uniform(n, self.low, self.high, generator)}

    def change(self, images: Tensor, blur: Tensor, sigma: Tensor) -> Tensor:
        images = images.clone()
        replace_rows(images, blur, gaussian_blur, sigma)
        return images
