"""PIL's ImageEnhance: brightness, contrast, saturation and sharpness, each a blend of the image with a degenerate one.

"Degenerate" is PIL's word for the version without the property: black, one gray, grayscale, smoothed.
"""

from torch import Tensor

from longtail.augment.pixels import divide_exactly, to_bytes


def compute_luma(images: Tensor) -> Tensor:
    """Weigh red, green and blue as Image.convert("L"); (N, 3, H, W) float32 -> (N, 1, H, W), whole numbers."""
    # 16-bit weights that sum to 65536: below 2^24 all sums are exact in float32.
    red, green, blue = images.unbind(1)
    total = (red * 19595).add_(green, alpha=38470).add_(blue, alpha=7471).add_(32768)
    return total.mul_(1 / 65536).floor_()[:, None]


def to_grayscale(images: Tensor) -> Tensor:
    """Replace the three channels by their luma; (N, 3, H, W) uint8 -> (N, 3, H, W) uint8."""
    return to_bytes(compute_luma(images.float())).expand(-1, 3, -1, -1)


def blend(degenerate: Tensor | int, images: Tensor, factor: Tensor) -> Tensor:
    """Move from `degenerate` (factor 0) to the images (1) and beyond, as Image.blend; overwrites `images`.

    (N, 3, H, W) float32, (N,) -> (N, 3, H, W) uint8
    """
    # PIL rounds the product and the sum to float32 one after the other; a fused multiply-add would differ.
    blended = images.sub_(degenerate).mul_(factor.float()[:, None, None, None]).add_(degenerate)
    return to_bytes(blended.clamp_(0, 255))


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black; (N, 3, H, W) uint8, (N,)."""
    return blend(0, images.float(), factor)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the gray of the mean luma, rounded to a whole number; (N, 3, H, W) uint8, (N,)."""
    images = images.float()
    # Whole numbers: each row's sum is exact in float32, the image's in float64.
    total = compute_luma(images).sum(3, keepdim=True).double().sum(2, keepdim=True)
    mean = divide_exactly(total, images.shape[2] * images.shape[3]).add_(0.5).floor_()
    return blend(mean.float(), images, factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the luma (PIL: Color); (N, 3, H, W) uint8, (N,)."""
    images = images.float()
    return blend(compute_luma(images), images, factor)


def adjust_sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with ImageFilter.SMOOTH of the image; (N, 3, H, W) uint8, (N,)."""
    images = images.float()
    return blend(smooth(images), images, factor)


def smooth(images: Tensor) -> Tensor:
    """Average 3 x 3 pixels with weights 1, the center 5, over 13; the border stays; float32 whole numbers."""
    smoothed = images.clone()
    inner = images[:, :, 1:-1, 1:-1]
    rows = images[:, :, :-2] + images[:, :, 1:-1] + images[:, :, 2:]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * inner
    # Thirteenths are never within 1/26 of a rounding boundary, so the order of PIL's float sum does not matter.
    smoothed[:, :, 1:-1, 1:-1] = divide_exactly(total.add_(6.5), 13).floor_()
    return smoothed
