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
    is_red = (red == top).view(torch.uint8)
    is_green = (green == top).view(torch.uint8) & ~is_red
    is_green, is_blue = is_green.to(torch.int16), (1 - (is_red | is_green)).to(torch.int16)
    red, green, blue = images.to(torch.int16).unbind(1)
    difference = (is_red * (green - blue)).addcmul_(is_green, blue - red).addcmul_(is_blue, red - green).float()
    # In sixths of the circle, red 0, green 2, blue 4. PIL adds the distance to the next corner, the one rounded number,
    # in a single rounding; the plain textbook sum is off by one for 35262 colors.
    sign = difference.sign()
    gap = (span - difference.abs_()).div_(span.clamp(min=1)).mul_(sign)
    corner = (is_green + 2 * is_blue).float()
    hue = divide_exactly(sign.add_(corner, alpha=2).sub_(gap), 6)
    hue -= hue.floor()
    saturation = span.mul_(255).div_(high.clamp(min=1)).floor_()
    return hue.mul_(255).floor_(), saturation, high


def hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Convert as Image.convert("RGB"); three (N, H, W) float32 in 0 ... 255 -> (N, 3, H, W) uint8."""
    angle = hue * 6  # the circle is 1530 long, so a ramp between two corners has 255 steps
    drop = torch.stack(
        [
            510 - (angle - 765).abs_(),
            (angle - 510).abs_() - 255,
            (angle - 1020).abs_() - 255,
        ],
        1,
    ).clamp_(0, 255)  # how far each channel lies below the value, of 255
    # The product stays below 2^24 and 65025 is odd: no ties, and one correctly rounded division decides as PIL does.
    divide_exactly(drop.mul_((value * saturation)[:, None]), 65025).round_()
    return to_bytes(value[:, None] - drop)


def shift_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by `shift` / 255 of the circle as torchvision's adjust_hue; (N, 3, H, W) uint8, (N,) float."""
    hue, saturation, value = rgb_to_hsv(images)
    turns = (shift.double() * 255).trunc().float()
    hue += turns[:, None, None]
    hue -= (hue / 256).floor_().mul_(256)  # bytes wrap around
    return hsv_to_rgb(hue, saturation, value)
