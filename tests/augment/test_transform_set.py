"""Transform sets have the papers' numbers at every size, and `Normalize` equals torchvision."""

import pytest
import torch
from torchvision.transforms import functional as F

from longtail import LongtailError
from longtail.augment import (
    TRANSFORM_SETS,
    AutoAugment,
    ColorJitter,
    Compose,
    Cutout,
    GaussianBlur,
    Grayscale,
    HorizontalFlip,
    RandomCrop,
    RandomResizedCrop,
    change_size,
    get_transform_set,
    hflip,
)

IMAGES = torch.randint(256, (16, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", list(TRANSFORM_SETS))
def test_each_set_is_known_by_its_name_and_makes_both_views(name):
    result = get_transform_set(name)
    assert result.name == name
    assert set(result.transforms) == {"strong", "moco"}
    images = torch.zeros(2, 3, result.size, result.size, dtype=torch.uint8)
    for compose in result.transforms.values():
        assert compose(images, torch.Generator()).shape == images.shape


def test_an_unknown_name_is_answered_with_the_nearest_and_all_known():
    with pytest.raises(
        ValueError, match=r"did you mean 'cifar'\? Known: cifar, cifar-16, custom-64, custom-unmirrored-64, digits"
    ):
        get_transform_set("cifr")


def test_digits_are_never_flipped():
    for compose in get_transform_set("digits").transforms.values():
        assert not any(isinstance(transform, HorizontalFlip) for transform in compose)


def test_digits_statistics_are_those_of_the_data_set():
    datasets = pytest.importorskip("sklearn.datasets")
    pixels = datasets.load_digits().images / 16
    assert get_transform_set("digits").mean[0] == pytest.approx(pixels.mean(), abs=2e-3)
    assert get_transform_set("digits").std[0] == pytest.approx(pixels.std(), abs=2e-3)


@pytest.mark.parametrize("name", list(TRANSFORM_SETS))
def test_normalize_equals_torchvision(name):
    result = get_transform_set(name)
    expected = F.normalize(IMAGES.float().div(255), result.mean, result.std)
    assert (result.build_normalize()(IMAGES) - expected).abs().max() < 1e-6


def test_normalize_keeps_the_memory_format():
    result = get_transform_set("cifar")
    last = IMAGES.to(memory_format=torch.channels_last)
    assert result.build_normalize()(last).is_contiguous(memory_format=torch.channels_last)


def test_flipping_twice_gives_the_image_back():
    assert torch.equal(hflip(hflip(IMAGES)), IMAGES)
    assert torch.equal(hflip(IMAGES)[..., 0], IMAGES[..., -1])


@pytest.mark.parametrize("name", ["custom-8", "custom-64", "custom-unmirrored-20"])
def test_custom_images_have_views_at_any_size_with_and_without_flips(name):
    result = get_transform_set(name)
    assert result is get_transform_set(name) and result.name == name
    assert result.transforms.keys() == get_transform_set("cifar").transforms.keys()
    images = torch.randint(0, 256, (4, 3, result.size, result.size), dtype=torch.uint8)
    for compose in result.transforms.values():
        assert compose(images, torch.Generator().manual_seed(0)).shape == images.shape
        assert any(isinstance(step, HorizontalFlip) for step in compose) == ("unmirrored" not in name)


def test_a_size_changes_the_name_of_resizable_sets_only():
    assert change_size("custom-64", 32) == "custom-32"
    assert change_size("custom-unmirrored-64", 96) == "custom-unmirrored-96"
    assert change_size("cifar", 32) == "cifar"
    with pytest.raises(LongtailError, match="views 'digits' are for 8 x 8 images; leave --size out"):
        change_size("digits", 32)
    for name in ("custom-4", "custom-4096"):
        with pytest.raises(LongtailError, match="the side must be 8 to 1024"):
            get_transform_set(name)
    with pytest.raises(LongtailError, match="unknown views 'custom'; did you mean 'custom-64'"):
        get_transform_set("custom")


def test_cifar_at_16_pixels_has_padding_hole_and_blur_in_proportion():
    scaled, cifar = get_transform_set("cifar-16"), get_transform_set("cifar")
    assert scaled.name == "cifar-16" and scaled.size == 16 and scaled.eval_transform is None
    assert (scaled.mean, scaled.std) == (cifar.mean, cifar.std)
    strong = (RandomCrop(16, padding=2), HorizontalFlip(), AutoAugment(), Cutout(8))
    crop = RandomResizedCrop(16, scale=(0.2, 1.0))
    jitter = ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8)
    moco = (crop, HorizontalFlip(), jitter, Grayscale(p=0.2), GaussianBlur(0.1, 1.0, p=0.5))
    assert scaled.transforms == {"strong": Compose(strong), "moco": Compose(moco)}


def test_names_of_version_0_1_are_unknown_here_because_the_recipe_translates_them():
    with pytest.raises(LongtailError, match="unknown views 'own-64'; did you mean 'custom-64'"):
        get_transform_set("own-64")
