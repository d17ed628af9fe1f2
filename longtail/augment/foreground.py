"""Foregrounds by class activation maps, and images whose foreground is moved (Zhang et al. 2021, CAM-based sampling)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

TURN, SCALE = 45.0, (0.8, 1.2)  # largest angle in degrees, and range of the scale (authors' code)


def find_foreground(maps: Tensor, weight: Tensor, size: Sequence[int], keep: float) -> Tensor:
    """Find pixels whose class activation is at least `keep` times its mean over the image (Zhang et al. 2021).

    Maps (N, d, h, w), the class vector of each image (N, d) -> (N, 1, H, W) bool. The activation is shifted and scaled to
    [0, 1], then enlarged bilinearly.
    """
    cam = torch.einsum("nd,ndhw->nhw", weight, maps).unsqueeze(1)
    cam = cam - cam.amin((2, 3), keepdim=True)
    cam = cam / cam.amax((2, 3), keepdim=True).clamp_min(1e-12)
    cam = interpolate(cam, tuple(size), mode="bilinear")
    return cam >= keep * cam.mean((2, 3), keepdim=True)


def move_foreground(x: Tensor, seen: Tensor, mirror: bool) -> Tensor:
    """Paste a moved copy of each image over its foreground and over where that moves to (Zhang et al. 2021).

    (N, 3, H, W), foreground (N, 1, H, W) bool -> (N, 3, H, W). One of three moves, equally likely: a turn with a change of
    scale, a shift that keeps the foreground inside, or a mirror image (never if `mirror` is off).
    """
    moves = draw_moves(seen, x.dtype)
    kind = (torch.rand(len(x), 1, 1, device=x.device) * (3 if mirror else 2)).floor()
    return apply_moves(x, seen, torch.where(kind == 0, moves[0], torch.where(kind == 1, moves[1], moves[2])))


def apply_moves(x: Tensor, seen: Tensor, moves: Tensor) -> Tensor:
    """Move images by matrices (N, 2, 3) of output to input, and paste them where the foreground was or arrives."""
    grid = affine_grid(moves, list(x.shape), align_corners=False)
    planes = torch.cat([x, seen.to(x.dtype), torch.ones_like(x[:, :1])], 1)
    moved = grid_sample(planes, grid, align_corners=False)
    arrives, inside = moved[:, 3:4] > 0.5, moved[:, 4:] > 0.5
    return torch.where(inside & (seen | arrives), moved[:, :3], x)


def draw_moves(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """Draw a turn, a shift and a mirror image of each foreground: (N, 1, H, W) bool -> (3, N, 2, 3), output to input.

    Coordinates are those of `affine_grid`: -1 and 1 are the edges of the image.
    """
    (top, bottom), (left, right) = find_box(seen)
    height, width = seen.shape[2:]
    angle, size, down, across = torch.rand(4, len(seen), device=seen.device, dtype=dtype)
    angle, size = math.radians(TURN) * (2 * angle - 1), SCALE[0] + (SCALE[1] - SCALE[0]) * size
    cos, sin = angle.cos() / size, angle.sin() / size
    x, y = (left + right + 1) / width - 1, (top + bottom + 1) / height - 1  # center of the box
    a, b = sin * height / width, -sin * width / height
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    shift_x, shift_y = across * (width - 1 - right + left) - left, down * (height - 1 - bottom + top) - top
    rows = [
        (cos, a, x - cos * x - a * y, b, cos, y - b * x - cos * y),
        (one, zero, -2 * shift_x / width, zero, one, -2 * shift_y / height),
        (-one, zero, zero, zero, one, zero),
    ]
    return torch.stack([torch.stack(row, -1).view(-1, 2, 3) for row in rows])


def find_box(seen: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Find the first and last row, and the first and last column, of each foreground: (N, 1, H, W) bool -> 4 x (N,)."""
    lines = seen.any(3)[:, 0].int(), seen.any(2)[:, 0].int()
    (top, bottom), (left, right) = ((line.argmax(1), line.shape[1] - 1 - line.flip(1).argmax(1)) for line in lines)
    return (top, bottom), (left, right)
