"""PIL's RGB -> HSV -> RGB in whole numbers held in float32; a test compares both ways over all 2^24 colors."""

import torch
from torch import Tensor

from longtail.augment.pixels import divide_exactly, to_bytes


def rgb_to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Convert as Image.convert("HSV"); (N, 3, H, W) uint8 -> three (N, H, W) float32 in 0 ... 255.

    The hue of a gray pixel is arbitrary, because without saturation nothing depends on it.
    """
    red, green, blue = images.unbind(1)
    top = images.amax(1)
    high, span = top.float(), (top - images.amin(1)).float()
    # Of equal channels the first counts as the largest, as in PIL.
    is_red = (red == top).view(torch.uint8)
    is_green_byte = (green == top).view(torch.uint8) & ~is_red
    is_green, is_blue = is_green_byte.to(torch.int16), (1 - (is_red | is_green_byte)).to(torch.int16)
    red, green, blue = images.to(torch.int16).unbind(1)
    difference = (is_red * (green - blue)).addcmul_(is_green, blue - red).addcmul_(is_blue, red - green).float()
    # Hue in sixths of the circle: red 0, green 2, blue 4. PIL adds to the corner of the largest channel the difference of
    # two quotients. One quotient is exactly 1; only the other, `gap`, is rounded. The textbook form
    # corner + difference / span rounds otherwise, and is off by one for 35262 colors.
    sign = difference.sign()
    gap = (span - difference.abs_()).div_(span.clamp(min=1)).mul_(sign)
    corner = (is_green + 2 * is_blue).float()
    hue = divide_exactly(sign.add_(corner, alpha=2).sub_(gap), 6)
    hue -= hue.floor()
    saturation = span.mul_(255).div_(high.clamp(min=1)).floor_()
    return hue.mul_(255).floor_(), saturation, high


def hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Convert as Image.convert("RGB"); three (N, H, W) float32 in 0 ... 255 -> (N, 3, H, W) uint8."""
    # The circle is 1530 long, so each of its six ramps between two corners has 255 whole steps.
    angle = hue * 6
    # how far each channel lies below the value, of 255: a trapezoid in the angle, one a channel
    drop = torch.stack(
        [
            510 - (angle - 765).abs_(),
            (angle - 510).abs_() - 255,
            (angle - 1020).abs_() - 255,
        ],
        1,
    ).clamp_(0, 255)
    # The product stays below 2^24 and 65025 is odd: no ties, and one correctly rounded division decides as PIL does.
    divide_exactly(drop.mul_((value * saturation)[:, None]), 65025).round_()
    return to_bytes(value[:, None] - drop)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Shift the hue by `shift` turns of the circle as torchvision's adjust_hue; (N, 3, H, W) uint8, (N,) float."""
    hue, saturation, value = rgb_to_hsv(images)
    # torchvision truncates the shift to a whole byte and adds it to PIL's byte of hue, which wraps at 256, not 255
    steps = (shift.double() * 255).trunc().float()
    hue += steps[:, None, None]
    hue -= (hue / 256).floor_().mul_(256)
    return hsv_to_rgb(hue, saturation, value)
