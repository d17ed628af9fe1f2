"""Translations, shears and rotations by nearest neighbor, with the source coordinates of PIL's Image.transform."""

from dataclasses import dataclass

import torch
from torch import Tensor

from longtail.augment.transform import Draw, Transform, draw_uniform

GRAY = 128
FIXED_ONE = 1 << 16  # PIL walks the source image in 16.16 fixed point


def gather_pixels(images: Tensor, x: Tensor, y: Tensor, fill: int) -> Tensor:
    """Read source pixels (x, y), or `fill` outside the image; (N, 3, H, W), (N, H, W) integers x 2 -> (N, 3, H, W)."""
    height, width = images.shape[2:]
    is_inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).flatten(1).long()
    pixels = images.flatten(2).gather(2, index[:, None].expand(-1, 3, -1)).view_as(images)
    keep = is_inside[:, None].view(torch.uint8)
    return pixels * keep + (1 - keep) * fill


def warp_affine(images: Tensor, matrix: Tensor, fill: int = GRAY) -> Tensor:
    """Map output to source pixels by (a, b, c, d, e, f) as Image.transform(AFFINE) does; matrix (N, 6) float64."""
    a, b, c, d, e, f = matrix.unbind(1)
    # The constant terms are the source of the first output pixel's center, (0.5, 0.5).
    terms = torch.stack([a, b, c + a * 0.5 + b * 0.5, d, e, f + d * 0.5 + e * 0.5])
    # PIL rounds all six terms to fixed point once and then only adds them, so errors grow along a row as they do here.
    fixed = (terms * FIXED_ONE + 0.5).floor().to(torch.int32)[:, :, None, None]
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device, dtype=torch.int32)[:, None]
    columns = torch.arange(width, device=images.device, dtype=torch.int32)
    x = (fixed[2] + fixed[1] * rows + fixed[0] * columns) >> 16
    y = (fixed[5] + fixed[4] * rows + fixed[3] * columns) >> 16
    return gather_pixels(images, x, y, fill)


def translate(images: Tensor, right: Tensor, down: Tensor, fill: int = GRAY) -> Tensor:
    """Read each pixel from `right` columns and `down` rows further on; offsets (N,) float64, in pixels."""
    # Without shear PIL keeps the offset in double precision, so 16.16 would not do here.
    height, width = images.shape[2:]
    columns = torch.arange(width, device=images.device)
    rows = torch.arange(height, device=images.device)
    x = (right[:, None] + 0.5 + columns).floor().long()[:, None, :].expand(-1, height, -1)
    y = (down[:, None] + 0.5 + rows).floor().long()[:, :, None].expand(-1, -1, width)
    return gather_pixels(images, x, y, fill)


def translate_x(images: Tensor, share: Tensor) -> Tensor:
    """Translate along the width by a share of the width; (N,) float64."""
    return translate(images, share * images.shape[3], torch.zeros_like(share))


def translate_y(images: Tensor, share: Tensor) -> Tensor:
    """Translate along the height by a share of the height; (N,) float64."""
    return translate(images, torch.zeros_like(share), share * images.shape[2])


def shear_x(images: Tensor, slope: Tensor) -> Tensor:
    """Shift each row in proportion to its index; slope (N,) float64, in pixels per row."""
    zero, one = torch.zeros_like(slope), torch.ones_like(slope)
    return warp_affine(images, torch.stack([one, slope, zero, zero, one, zero], 1))


def shear_y(images: Tensor, slope: Tensor) -> Tensor:
    """Shift each column in proportion to its index; slope (N,) float64, in pixels per column."""
    zero, one = torch.zeros_like(slope), torch.ones_like(slope)
    return warp_affine(images, torch.stack([one, zero, zero, slope, one, zero], 1))


def rotate(images: Tensor, degrees: Tensor, fill: int = GRAY) -> Tensor:
    """Rotate counter-clockwise about the center as Image.rotate does; degrees (N,) float64."""
    angle = -torch.deg2rad(degrees)
    # PIL rounds to 15 decimals, so that quarter turns are exact.
    cos = angle.cos().round(decimals=15)
    sin = angle.sin().round(decimals=15)
    x, y = images.shape[3] / 2, images.shape[2] / 2
    c = cos * -x + sin * -y + x
    f = -sin * -x + cos * -y + y
    return warp_affine(images, torch.stack([cos, sin, c, -sin, cos, f], 1), fill)


@dataclass(frozen=True)
class RandomRotation(Transform):
    """Rotation by a uniform angle of at most `degrees` in either direction, black outside the image."""

    degrees: float

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Draw:
        return {"degrees": draw_uniform(n, -self.degrees, self.degrees, generator)}

    def change(self, images: Tensor, degrees: Tensor) -> Tensor:
        return rotate(images, degrees.double(), fill=0)
