"""Views of photographs: the papers' transforms, decided by the generators alone."""

import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from longtail import LongtailError
from longtail.augment import PhotoTransform, get_transform_set

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (150, 230, 3), np.uint8))


def seen(view: PhotoTransform, seed: int) -> np.ndarray:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    return view(IMAGE)


@pytest.mark.parametrize("name", ["strong", "moco"])
def test_a_view_is_decided_by_the_seeds_and_differs_between_them(name):
    view = get_transform_set("imagenet-64").transforms[name]
    first = seen(view, 0)
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    assert np.array_equal(first, seen(view, 0)) and not np.array_equal(first, seen(view, 1))


def test_the_strong_view_is_crop_flip_jitter_and_randaugment_with_the_papers_numbers():
    crop, flip, jitter, rand = get_transform_set("imagenet-224").transforms["strong"].steps().transforms
    assert tuple(crop.size) == (224, 224) and tuple(crop.scale) == (0.08, 1.0) and flip.p == 0.5
    assert [tuple(map(float, r)) for r in (jitter.brightness, jitter.contrast, jitter.saturation)] == [(0.6, 1.4)] * 3
    assert jitter.hue is None
    assert rand.num_layers == 2
    assert {(op.magnitude, op.magnitude_std, op.prob) for op in rand.ops} == {(10, 0.5, 0.5)}


def test_the_key_view_is_crop_jitter_grey_blur_and_flip():
    crop, jitter, gray, blur, flip = get_transform_set("imagenet-224").transforms["moco"].steps().transforms
    assert tuple(crop.size) == (224, 224) and jitter.p == 0.8 and gray.p == 0.2 and blur.p == 0.5 and flip.p == 0.5


@pytest.mark.parametrize("size, resize", [(224, 256), (112, 128), (64, 73)])
def test_the_test_view_is_the_centre_of_224_after_256_and_in_proportion(size, resize):
    view = get_transform_set(f"inaturalist-{size}").eval_transform
    width = int(resize * IMAGE.width / IMAGE.height)
    whole = np.asarray(IMAGE.resize((width, resize), Image.Resampling.BILINEAR))
    top, left = round((resize - size) / 2), round((width - size) / 2)
    assert view.resize == resize
    assert np.array_equal(view(IMAGE), whole[top : top + size, left : left + size])


def test_the_statistics_are_those_of_each_data_set():
    assert get_transform_set("imagenet-224").mean == (0.485, 0.456, 0.406) and get_transform_set("imagenet-64").std == (
        0.229,
        0.224,
        0.225,
    )
    assert get_transform_set("inaturalist-224").mean == (0.466, 0.471, 0.380) and get_transform_set(
        "inaturalist-224"
    ).std == (
        0.195,
        0.194,
        0.192,
    )


def test_a_side_out_of_range_is_refused():
    with pytest.raises(LongtailError, match="the side must be 8 to 1024"):
        get_transform_set("imagenet-4")


@pytest.mark.parametrize("long, short", [(2000, 1), (1999, 1), (30, 1), (320, 17), (5000, 70)])
@pytest.mark.parametrize("lying", [True, False])
def test_a_very_long_image_is_seen_as_torchvision_sees_it_without_being_resized_whole(long, short, lying, monkeypatch):
    array = np.random.default_rng(1).integers(0, 256, (short, long, 3), np.uint8)
    image, view = (
        Image.fromarray(array if lying else array.swapaxes(0, 1)),
        get_transform_set("imagenet-32").eval_transform,
    )
    expected = np.asarray(v2.CenterCrop(32)(v2.Resize(37)(image))).astype(int)
    made, resize = [], Image.Image.resize

    def resized(self, size, resample):
        made.append(max(size))
        return resize(self, size, resample)

    monkeypatch.setattr(Image.Image, "resize", resized)
    found = view(image)
    assert found.shape == (32, 32, 3) and max(made) <= 18 * 37
    assert (
        np.abs(found - expected).max() <= 8
    )  # of noise; torchvision rounds the length down, which shifts by a hundredth


@pytest.mark.parametrize("size", [(16, 1), (1, 16), (176, 11), (100, 1600), (61, 90), (90, 61)])
def test_an_image_of_up_to_sixteen_times_its_shorter_side_is_seen_as_torchvision_sees_it_to_the_bit(size):
    image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (*size, 3), np.uint8))
    expected = v2.CenterCrop(32)(v2.Resize(37)(image))
    assert np.array_equal(get_transform_set("imagenet-32").eval_transform(image), expected)
