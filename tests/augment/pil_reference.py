"""The reference: each transform of longtail.augment on one PIL image, through PIL and torchvision's PIL functions."""

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torchvision.transforms import functional as F

GREY = (128, 128, 128)


def to_pil(images):
    """(N, 3, H, W) uint8 -> N PIL images."""
    return [Image.fromarray(array) for array in images.permute(0, 2, 3, 1).contiguous().cpu().numpy()]


def from_pil(images):
    """N PIL images -> (N, 3, H, W) uint8."""
    return torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2).contiguous()


def each(images, function, *parameters):
    """Apply function(image, *parameters) image by image; (N, 3, H, W), N values each -> (N, 3, h, w)."""
    rows = zip(to_pil(images), *(values.tolist() for values in parameters), strict=True)
    return from_pil([function(*row) for row in rows])


def warp(image, matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=GREY)


def rotate(image, degrees):
    """Rotate over transparency, then put gray behind, as the port of AutoAugment does."""
    turned = image.convert("RGBA").rotate(degrees)
    return Image.composite(turned, Image.new("RGBA", turned.size, (128,) * 4), turned).convert(image.mode)


OPERATIONS = {
    "shear_x": lambda image, by: warp(image, (1, by, 0, 0, 1, 0)),
    "shear_y": lambda image, by: warp(image, (1, 0, 0, by, 1, 0)),
    "translate_x": lambda image, by: warp(image, (1, 0, by * image.size[0], 0, 1, 0)),
    "translate_y": lambda image, by: warp(image, (1, 0, 0, 0, 1, by * image.size[1])),
    "rotate": rotate,
    "color": lambda image, by: ImageEnhance.Color(image).enhance(1 + by),
    "contrast": lambda image, by: ImageEnhance.Contrast(image).enhance(1 + by),
    "sharpness": lambda image, by: ImageEnhance.Sharpness(image).enhance(1 + by),
    "brightness": lambda image, by: ImageEnhance.Brightness(image).enhance(1 + by),
    "posterize": lambda image, by: ImageOps.posterize(image, int(by)),
    "solarize": lambda image, by: ImageOps.solarize(image, by),
    "autocontrast": lambda image, by: ImageOps.autocontrast(image),
    "equalize": lambda image, by: ImageOps.equalize(image),
    "invert": lambda image, by: ImageOps.invert(image),
}

# The port's tables of magnitudes, with numpy as it has them.
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
    for (name, _, level), on, by in zip(transform.policy[policy], active, sign, strict=True):
        if on:
            image = OPERATIONS[name](image, MAGNITUDES[name][level] * (by if name in SIGNED else 1))
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
    "RandomResizedCrop": lambda own, image, top, left, height, width: F.resized_crop(
        image, top, left, height, width, [own.size, own.size], F.InterpolationMode.BILINEAR
    ),
    "ColorJitter": color_jitter,
    "Grayscale": lambda _, image, gray: F.rgb_to_grayscale(image, 3) if gray else image,
    "GaussianBlur": lambda _, image, blur, sigma: image.filter(ImageFilter.GaussianBlur(sigma)) if blur else image,
}


def view_rows(draws):
    """Turn a view's draws into one list of keyword arguments per image."""
    n = len(next(iter(draws[0].values())))
    plain = [{name: values.tolist() for name, values in draw.items()} for draw in draws]
    return [[{name: values[row] for name, values in draw.items()} for draw in plain] for row in range(n)]


def view_image(view, image, row):
    """Apply a view to one PIL image with that image's draws."""
    for transform, arguments in zip(view, row, strict=True):
        image = TRANSFORMS[type(transform).__name__](transform, image, **arguments)
    return image


def view_images(view, images, draws):
    """Apply a view to (N, 3, H, W) uint8 image by image."""
    rows = view_rows(draws)
    return from_pil([view_image(view, image, row) for image, row in zip(to_pil(images), rows, strict=True)])
