"""Every operation equals PIL's, byte for byte, over its range of parameters."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from pil_reference import MAGNITUDES, OPERATIONS, SIGNED, apply_each, from_pil, rotate, to_pil
from torchvision.transforms import functional as F

from longtail.augment import affine, autoaugment, blur, enhance, hflip, hue, jitter, resize


def sample_images(height=32, width=32, seed=0):
    """Make random, smooth, constant, two-level, gradient and nearly flat images; (N, 3, height, width) uint8."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(256, (12, 3, height, width), generator=generator, dtype=torch.uint8)
    coarse = torch.rand(12, 3, 5, 5, generator=generator) * 255
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear").byte()
    ramp = torch.linspace(0, 255, width).byte().expand(1, 3, height, width)
    levels = torch.tensor([0, 1, 127, 128, 254, 255], dtype=torch.uint8)
    constant = levels[:, None, None, None].expand(-1, 3, height, width)
    tinted = torch.tensor([[200, 10, 30], [7, 7, 250], [0, 255, 255]], dtype=torch.uint8)[:, :, None, None]
    two_level = (noise[:4] > 128) * torch.tensor([255, 1, 100, 3], dtype=torch.uint8)[:, None, None, None]
    rare = torch.zeros(2, 3, height, width, dtype=torch.uint8)
    rare[0, :, 0, 0], rare[1, :, 1:, :] = 255, 200
    tinted = tinted.expand(-1, 3, height, width)
    return torch.cat([noise, smooth, noise // 8 + 100, ramp, 255 - ramp, constant, tinted, two_level, rare])


def assert_equal(operation, images, reference, *parameters):
    """Check that operation(images, *parameters) equals the reference on each image and leaves its input unchanged."""
    before = images.clone()
    result = operation(images, *parameters)
    assert torch.equal(images, before), "the input was modified"
    assert result.dtype == torch.uint8
    assert torch.equal(result, apply_each(images, reference, *parameters))


IMAGES = sample_images()


@pytest.mark.parametrize("level", range(10))
@pytest.mark.parametrize("name", list(OPERATIONS))
def test_policy_operation_at_every_level_equals_the_port(name, level):
    for sign in (1, -1) if name in SIGNED else (1,):
        ours = autoaugment.compute_magnitude(name, level) * sign
        theirs = MAGNITUDES[name][level] * sign
        result = autoaugment.apply_operation(name, IMAGES, torch.full((len(IMAGES),), ours, dtype=torch.float64))
        assert torch.equal(result, from_pil([OPERATIONS[name](image, theirs) for image in to_pil(IMAGES)]))


@given(st.floats(-2, 2))
@settings(max_examples=8, deadline=None)
def test_shears_and_translations_by_any_amount_equal_pil(amount):
    amounts = torch.linspace(-1, 1, len(IMAGES), dtype=torch.float64) * amount
    for name in ("shear_x", "shear_y", "translate_x", "translate_y"):
        assert_equal(getattr(affine, name), IMAGES, OPERATIONS[name], amounts)


@given(st.floats(-720, 720))
@settings(max_examples=8, deadline=None)
def test_rotation_by_any_angle_equals_pil(degrees):
    angles = torch.linspace(-1, 1, len(IMAGES), dtype=torch.float64) * degrees
    assert_equal(affine.rotate, IMAGES, rotate, angles)
    assert_equal(lambda images, angle: affine.rotate(images, angle, fill=0), IMAGES, Image.Image.rotate, angles)


@pytest.mark.parametrize("size", [(8, 8), (9, 31), (40, 23)])
def test_geometry_of_any_size_equals_pil(size):
    images = sample_images(*size)
    amounts = torch.linspace(-0.6, 0.6, len(images), dtype=torch.float64)
    for name in ("shear_x", "shear_y", "translate_x", "translate_y"):
        assert_equal(getattr(affine, name), images, OPERATIONS[name], amounts)
    assert_equal(affine.rotate, images, rotate, amounts * 100)


@given(st.floats(0, 3, width=32))
@settings(max_examples=8, deadline=None)
def test_enhancements_by_any_factor_equal_pil(factor):
    factors = torch.linspace(0, 1, len(IMAGES)) * factor
    assert_equal(enhance.adjust_brightness, IMAGES, F.adjust_brightness, factors)
    assert_equal(enhance.adjust_contrast, IMAGES, F.adjust_contrast, factors)
    assert_equal(enhance.adjust_saturation, IMAGES, F.adjust_saturation, factors)
    assert_equal(enhance.adjust_sharpness, IMAGES, F.adjust_sharpness, factors)


def test_grayscale_and_flip_equal_pil():
    assert_equal(enhance.to_grayscale, IMAGES, lambda image: F.rgb_to_grayscale(image, 3))
    assert_equal(hflip, IMAGES, F.hflip)


@given(st.floats(-0.5, 0.5, width=32))
@settings(max_examples=8, deadline=None)
def test_hue_shift_by_any_amount_equals_torchvision(amount):
    assert_equal(hue.adjust_hue, IMAGES, F.adjust_hue, torch.linspace(-1, 1, len(IMAGES)) * amount)


def all_colors():
    """Yield the 2^24 colors as images (1, 3, 256, 4096)."""
    for start in range(0, 1 << 24, 1 << 20):
        code = torch.arange(start, start + (1 << 20), dtype=torch.int32)
        channels = torch.stack([code >> 16, (code >> 8) & 255, code & 255])
        yield channels.to(torch.uint8).view(1, 3, 256, 4096)


def test_every_color_becomes_pils_hue_saturation_and_value():
    for colors in all_colors():
        reference = torch.from_numpy(np.array(to_pil(colors)[0].convert("HSV")))
        h, s, v = (channel[0].to(torch.uint8) for channel in hue.rgb_to_hsv(colors))
        colored = s > 0  # the hue of a gray is arbitrary
        assert torch.equal(s, reference[..., 1])
        assert torch.equal(v, reference[..., 2])
        assert torch.equal(h[colored], reference[..., 0][colored])


def test_every_hue_saturation_and_value_becomes_pils_color():
    for codes in all_colors():
        bands = [Image.fromarray(band.numpy()) for band in codes[0]]
        reference = from_pil([Image.merge("HSV", bands).convert("RGB")])
        assert torch.equal(hue.hsv_to_rgb(*codes.float().unbind(1)), reference)


def blur_by_pil(image, sigma):
    """Blur one image by PIL."""
    return image.filter(ImageFilter.GaussianBlur(sigma))


@given(st.floats(0, 6, width=32))
@settings(max_examples=8, deadline=None)
def test_gaussian_blur_of_any_deviation_equals_pil(largest):
    sigma = torch.linspace(0, 1, len(IMAGES)) * largest
    assert_equal(blur.gaussian_blur, IMAGES, blur_by_pil, sigma)


@pytest.mark.parametrize("size", [(8, 8), (5, 7), (33, 18)])
def test_gaussian_blur_of_any_size_equals_pil(size):
    images = sample_images(*size)
    sigma = torch.linspace(0.1, 3, len(images))
    assert_equal(blur.gaussian_blur, images, blur_by_pil, sigma)


@given(st.integers(1, 72), st.sampled_from([8, 32, 33]), st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_resized_crops_of_any_box_no_higher_than_the_output_equal_pil(width, size, seed):
    generator = torch.Generator().manual_seed(seed)
    images = sample_images(40, 72, seed)
    boxes = []
    for largest, side in ((size, 40), (width, 72)):
        length = torch.randint(1, largest + 1, (len(images),), generator=generator)
        boxes.append((length, (torch.rand(len(images), generator=generator) * (side - length + 1)).long()))
    (height, top), (width, left) = boxes

    def reference(image, top, left, height, width):
        return F.resized_crop(image, top, left, height, width, [size, size])

    def ours(images, *box):
        return resize.resized_crop(images, *box, size=size)

    assert_equal(ours, images, reference, top, left, height, width)


def test_every_box_of_a_cifar_image_resizes_as_pil_does():
    sides = torch.arange(1, 33)
    image = IMAGES[:1].expand(32, -1, -1, -1)
    for start in (0, 3):
        length = (sides - start).clamp(min=1)
        offset = torch.full_like(sides, start)
        box = (offset, 32 - length.flip(0), length, length.flip(0))
        result = resize.resized_crop(image, *box, size=32)
        expected = apply_each(image, lambda picture, *box: F.resized_crop(picture, *box, [32, 32]), *box)
        assert torch.equal(result, expected)


def test_jitter_skips_operations_of_strength_0():
    transform = jitter.ColorJitter(0.4, 0.4, 0.0, 0.0)
    draw = transform.draw(len(IMAGES), (32, 32), torch.Generator().manual_seed(0))
    brighter = enhance.adjust_brightness(IMAGES, draw["brightness"])
    expected = torch.where(
        (draw["order"].argsort(1)[:, 0] < draw["order"].argsort(1)[:, 1])[:, None, None, None],
        enhance.adjust_contrast(brighter, draw["contrast"]),
        enhance.adjust_brightness(enhance.adjust_contrast(IMAGES, draw["contrast"]), draw["brightness"]),
    )
    assert torch.equal(transform.apply(IMAGES, draw), expected)
