"""The reference: each transform of longtail.augment on one PIL image, through PIL and torchvision's PIL functions."""

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torchvision.transforms import functional as F

GRAY = (128, 128, 128)


def to_pil(images):
    """Convert (N, 3, H, W) uint8 to N PIL images."""
    return [Image.fromarray(array) for array in images.permute(0, 2, 3, 1).contiguous().cpu().numpy()]


def from_pil(images):
    """Convert N PIL images to (N, 3, H, W) uint8."""
    return torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2).contiguous()


def apply_each(images, function, *parameters):
    """Apply function(image, *parameters) to each image; (N, 3, H, W), N values a parameter -> (N, 3, h, w)."""
    rows = zip(to_pil(images), *(values.tolist() for values in parameters), strict=True)
    return from_pil([function(*row) for row in rows])


def warp(image, matrix):
    """Apply an affine map by nearest neighbor, gray outside."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=GRAY)


def rotate(image, degrees):
    """Rotate over a transparent background, then put gray behind, as the port of AutoAugment does."""
    rotated = image.convert("RGBA").rotate(degrees)
    return Image.composite(rotated, Image.new("RGBA", rotated.size, (128,) * 4), rotated).convert(image.mode)


OPERATIONS = {
    "shear_x": lambda image, value: warp(image, (1, value, 0, 0, 1, 0)),
    "shear_y": lambda image, value: warp(image, (1, 0, 0, value, 1, 0)),
    "translate_x": lambda image, value: warp(image, (1, 0, value * image.size[0], 0, 1, 0)),
    "translate_y": lambda image, value: warp(image, (1, 0, 0, 0, 1, value * image.size[1])),
    "rotate": rotate,
    "color": lambda image, value: ImageEnhance.Color(image).enhance(1 + value),
    "contrast": lambda image, value: ImageEnhance.Contrast(image).enhance(1 + value),
    "sharpness": lambda image, value: ImageEnhance.Sharpness(image).enhance(1 + value),
    "brightness": lambda image, value: ImageEnhance.Brightness(image).enhance(1 + value),
    "posterize": lambda image, value: ImageOps.posterize(image, int(value)),
    "solarize": lambda image, value: ImageOps.solarize(image, value),
    "autocontrast": lambda image, value: ImageOps.autocontrast(image),
    "equalize": lambda image, value: ImageOps.equalize(image),
    "invert": lambda image, value: ImageOps.invert(image),
}

# The port's tables of magnitudes, computed by numpy as there.
MAGNITUDES = {
    "shear_x": np.linspace(0, 0.3, 10),
    "shear_y": np.linspace(0, 0.3, 10),
    "translate_x": np.linspace(0, 150 / 331, 10),
    "translate_y": np.linspace(0, 150 / 331, 10),
    "rotate": np.linspace(0, 30, 10),
    "posterize": np.round(np.linspace(8, 4, 10), 0).astype(int),
    "solarize": np.linspace(256, 0, 10),
    **dict.fromkeys(("color", "contrast", "sharpness", "brightness"), np.linspace(0.0, 0.9, 10)),
    **dict.fromkeys(("autocontrast", "equalize", "invert"), np.zeros(10)),
}
SIGNED = ("shear_x", "shear_y", "translate_x", "translate_y", "color", "contrast", "sharpness", "brightness")


def auto_augment(transform, image, policy, active, sign):
    for (name, _, level), is_active, step_sign in zip(transform.policy[policy], active, sign, strict=True):
        if is_active:
            image = OPERATIONS[name](image, MAGNITUDES[name][level] * (step_sign if name in SIGNED else 1))
    return image


def random_crop(transform, image, top, left):
    return F.crop(F.pad(image, transform.padding), top, left, transform.size, transform.size)


def cutout(transform, image, y, x):
    pixels, half = np.array(image), transform.length // 2
    pixels[max(0, y - half) : y + half, max(0, x - half) : x + half] = 0
    return Image.fromarray(pixels)


def color_jitter(transform, image, jitter, order, **amount):
    names = ("brightness", "contrast", "saturation", "hue")
    for name in (names[number] for number in order):
        if jitter and getattr(transform, name):
            image = getattr(F, f"adjust_{name}")(image, amount[name])
    return image


TRANSFORMS = {
    "RandomCrop": random_crop,
    "HorizontalFlip": lambda _, image, flip: F.hflip(image) if flip else image,
    "AutoAugment": auto_augment,
    "Cutout": cutout,
    "RandomRotation": lambda _, image, degrees: image.rotate(degrees),
    "RandomResizedCrop": lambda transform, image, top, left, height, width: F.resized_crop(
        image, top, left, height, width, [transform.size] * 2, F.InterpolationMode.BILINEAR
    ),
    "ColorJitter": color_jitter,
    "Grayscale": lambda _, image, gray: F.rgb_to_grayscale(image, 3) if gray else image,
    "GaussianBlur": lambda _, image, blur, sigma: image.filter(ImageFilter.GaussianBlur(sigma)) if blur else image,
}


def view_rows(draws):
    """Convert the draws of a `Compose` into one list of keyword arguments per image."""
    n = len(next(iter(draws[0].values())))
    values_by_name = [{name: values.tolist() for name, values in draw.items()} for draw in draws]
    return [[{name: values[row] for name, values in draw.items()} for draw in values_by_name] for row in range(n)]


def view_image(compose, image, row):
    """Apply the transforms of a `Compose` to one PIL image with that image's draws."""
    for transform, arguments in zip(compose, row, strict=True):
        image = TRANSFORMS[type(transform).__name__](transform, image, **arguments)
    return image


def view_images(compose, images, draws):
    """Apply the transforms of a `Compose` to (N, 3, H, W) uint8 image by image."""
    rows = view_rows(draws)
    return from_pil([view_image(compose, image, row) for image, row in zip(to_pil(images), rows, strict=True)])
