"""Families: found by name, with the papers' numbers; normalising equals torchvision."""

import pytest
import torch
from torchvision.transforms import functional as F

from longtail import LongtailError
from longtail.augment import TRANSFORM_SETS, HorizontalFlip, change_size, get_transform_set, hflip

IMAGES = torch.randint(256, (16, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", list(TRANSFORM_SETS))
def test_each_family_is_found_and_has_both_views(name):
    found = get_transform_set(name)
    assert found.name == name
    assert set(found.transforms) == {"strong", "moco"}
    images = torch.zeros(2, 3, found.size, found.size, dtype=torch.uint8)
    for view in found.transforms.values():
        assert view(images, torch.Generator()).shape == images.shape


def test_an_unknown_family_is_answered_with_the_known_and_the_nearest():
    with pytest.raises(ValueError, match=r"did you mean 'cifar'\? Known: cifar, digits"):
        get_transform_set("cifr")


def test_digits_are_never_mirrored():
    for view in get_transform_set("digits").transforms.values():
        assert not any(isinstance(transform, HorizontalFlip) for transform in view)


def test_digits_statistics_are_those_of_the_data_set():
    datasets = pytest.importorskip("sklearn.datasets")
    pixels = datasets.load_digits().images / 16
    assert get_transform_set("digits").mean[0] == pytest.approx(pixels.mean(), abs=2e-3)
    assert get_transform_set("digits").std[0] == pytest.approx(pixels.std(), abs=2e-3)


@pytest.mark.parametrize("name", list(TRANSFORM_SETS))
def test_normalise_equals_torchvision(name):
    found = get_transform_set(name)
    wanted = F.normalize(IMAGES.float().div(255), found.mean, found.std)
    assert (found.build_normalize()(IMAGES) - wanted).abs().max() < 1e-6


def test_normalise_keeps_the_memory_format():
    found = get_transform_set("cifar")
    last = IMAGES.to(memory_format=torch.channels_last)
    assert found.build_normalize()(last).is_contiguous(memory_format=torch.channels_last)


def test_mirror_twice_is_the_image():
    assert torch.equal(hflip(hflip(IMAGES)), IMAGES)
    assert torch.equal(hflip(IMAGES)[..., 0], IMAGES[..., -1])


@pytest.mark.parametrize("name", ["own-8", "own-64", "own-unmirrored-20"])
def test_own_images_have_views_at_any_size_with_and_without_mirroring(name):
    found = get_transform_set(name)
    assert (
        found is get_transform_set(name)
        and found.name == name
        and found.transforms.keys() == get_transform_set("cifar").transforms.keys()
    )
    images = torch.randint(0, 256, (4, 3, found.size, found.size), dtype=torch.uint8)
    for view in found.transforms.values():
        assert view(images, torch.Generator().manual_seed(0)).shape == images.shape
        assert any(isinstance(step, HorizontalFlip) for step in view) == ("unmirrored" not in name)


def test_a_size_changes_the_views_of_own_images_only():
    assert change_size("own-64", 32) == "own-32" and change_size("own-unmirrored-64", 96) == "own-unmirrored-96"
    assert change_size("cifar", 32) == "cifar"
    with pytest.raises(LongtailError, match="views 'digits' are for 8 x 8 images; leave --size out"):
        change_size("digits", 32)
    for name in ("own-4", "own-4096"):
        with pytest.raises(LongtailError, match="the side must be 8 to 1024"):
            get_transform_set(name)
    with pytest.raises(LongtailError, match="unknown views 'own'; did you mean 'own-64'"):
        get_transform_set("own")
