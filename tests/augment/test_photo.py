"""Transforms of photographs are the papers', and the seeds alone decide their results."""

import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from longtail import LongtailError
from longtail.augment import PhotoTransform, get_transform_set

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (150, 230, 3), np.uint8))


def apply_seeded(transform: PhotoTransform, seed: int) -> np.ndarray:
    """Seed all generators and transform the image."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    return transform(IMAGE)


@pytest.mark.parametrize("name", ["strong", "moco"])
def test_the_seeds_decide_a_view_and_other_seeds_give_another(name):
    transform = get_transform_set("imagenet-64").transforms[name]
    first = apply_seeded(transform, 0)
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    assert np.array_equal(first, apply_seeded(transform, 0)) and not np.array_equal(first, apply_seeded(transform, 1))


def test_the_strong_transform_is_crop_flip_jitter_and_randaugment_with_the_papers_numbers():
    crop, flip, jitter, rand = get_transform_set("imagenet-224").transforms["strong"].steps().transforms
    assert tuple(crop.size) == (224, 224) and tuple(crop.scale) == (0.08, 1.0) and flip.p == 0.5
    assert [tuple(map(float, r)) for r in (jitter.brightness, jitter.contrast, jitter.saturation)] == [(0.6, 1.4)] * 3
    assert jitter.hue is None
    assert rand.num_layers == 2
    assert {(op.magnitude, op.magnitude_std, op.prob) for op in rand.ops} == {(10, 0.5, 0.5)}


def test_the_moco_transform_is_crop_jitter_gray_blur_and_flip():
    crop, jitter, gray, blur, flip = get_transform_set("imagenet-224").transforms["moco"].steps().transforms
    assert tuple(crop.size) == (224, 224) and jitter.p == 0.8 and gray.p == 0.2 and blur.p == 0.5 and flip.p == 0.5


@pytest.mark.parametrize("size, resize", [(224, 256), (112, 128), (64, 73)])
def test_the_test_transform_cuts_224_after_256_or_in_proportion(size, resize):
    transform = get_transform_set(f"inaturalist-{size}").eval_transform
    width = int(resize * IMAGE.width / IMAGE.height)
    resized = np.asarray(IMAGE.resize((width, resize), Image.Resampling.BILINEAR))
    top, left = round((resize - size) / 2), round((width - size) / 2)
    assert transform.resize == resize
    assert np.array_equal(transform(IMAGE), resized[top : top + size, left : left + size])


def test_imagenet_and_inaturalist_have_their_statistics():
    imagenet, inaturalist = get_transform_set("imagenet-64"), get_transform_set("inaturalist-224")
    assert imagenet.mean == (0.485, 0.456, 0.406) and imagenet.std == (0.229, 0.224, 0.225)
    assert inaturalist.mean == (0.466, 0.471, 0.380) and inaturalist.std == (0.195, 0.194, 0.192)


def test_a_side_out_of_range_is_refused():
    with pytest.raises(LongtailError, match="the side must be 8 to 1024"):
        get_transform_set("imagenet-4")


@pytest.mark.parametrize("long, short", [(2000, 1), (1999, 1), (30, 1), (320, 17), (5000, 70)])
@pytest.mark.parametrize("is_wide", [True, False])
def test_a_very_long_image_is_cropped_before_it_is_resized_and_comes_out_as_from_torchvision(
    long, short, is_wide, monkeypatch
):
    array = np.random.default_rng(1).integers(0, 256, (short, long, 3), np.uint8)
    image = Image.fromarray(array if is_wide else array.swapaxes(0, 1))
    expected = np.asarray(v2.CenterCrop(32)(v2.Resize(37)(image))).astype(int)
    sides, resize = [], Image.Image.resize

    def record_resize(self, size, resample):
        sides.append(max(size))
        return resize(self, size, resample)

    monkeypatch.setattr(Image.Image, "resize", record_resize)
    result = get_transform_set("imagenet-32").eval_transform(image)
    assert result.shape == (32, 32, 3) and max(sides) <= 18 * 37
    # on noise; torchvision rounds the length down, which shifts by a hundredth of a pixel
    assert np.abs(result - expected).max() <= 8


@pytest.mark.parametrize("size", [(16, 1), (1, 16), (176, 11), (100, 1600), (61, 90), (90, 61)])
def test_an_image_of_up_to_sixteen_times_its_shorter_side_equals_torchvisions_to_the_bit(size):
    image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (*size, 3), np.uint8))
    expected = v2.CenterCrop(32)(v2.Resize(37)(image))
    assert np.array_equal(get_transform_set("imagenet-32").eval_transform(image), expected)
