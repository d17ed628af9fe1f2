"""Draws are reproducible, different for each image, and distributed as the papers say."""

import pytest
import torch
from torchvision.transforms import RandomResizedCrop as TorchvisionCrop

from longtail.augment import TRANSFORM_SETS, RandomResizedCrop
from longtail.augment.autoaugment import CIFAR10_POLICY

N = 20_000


def draw_all(name="cifar", view="strong", n=N, seed=0):
    """Draw the parameters of n images for one view of a transform set, by transform name."""
    compose = TRANSFORM_SETS[name].transforms[view]
    generator = torch.Generator().manual_seed(seed)
    draws = compose.draw(n, (TRANSFORM_SETS[name].size,) * 2, generator)
    return {type(transform).__name__: draw for transform, draw in zip(compose, draws, strict=True)}


@pytest.mark.parametrize("name", list(TRANSFORM_SETS))
@pytest.mark.parametrize("view", ["strong", "moco"])
def test_the_seed_decides_the_result(name, view):
    size = TRANSFORM_SETS[name].size
    images = torch.randint(256, (64, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    compose = TRANSFORM_SETS[name].transforms[view]
    first, again, other = (compose(images, torch.Generator().manual_seed(seed)) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("view", ["strong", "moco"])
def test_copies_of_one_image_come_out_different(view):
    image = torch.randint(256, (1, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    result = TRANSFORM_SETS["cifar"].transforms[view](image.expand(64, -1, -1, -1), torch.Generator().manual_seed(0))
    assert len(result.flatten(1).unique(dim=0)) == 64


@pytest.mark.parametrize("name", list(TRANSFORM_SETS))
@pytest.mark.parametrize("view", ["strong", "moco"])
def test_every_draw_has_one_row_an_image_on_the_cpu(name, view):
    for draw in draw_all(name, view, n=11).values():
        for values in draw.values():
            assert len(values) == 11
            assert values.device.type == "cpu"


def test_sub_policies_are_uniform_and_operations_as_frequent_as_the_policy_says():
    draw = draw_all()["AutoAugment"]
    counts = draw["policy"].bincount(minlength=25)
    assert counts.min() > 0.85 * N / 25
    assert counts.max() < 1.15 * N / 25
    for number, steps in enumerate(CIFAR10_POLICY):
        active = draw["active"][draw["policy"] == number].float().mean(0)
        expected = torch.tensor([probability for _, probability, _ in steps])
        assert (active - expected).abs().max() < 0.08
    assert draw["sign"].unique().tolist() == [-1, 1]
    assert draw["sign"].float().mean(0).abs().max() < 0.03


def test_the_policy_has_25_sub_policies_of_known_operations_and_levels():
    assert len(CIFAR10_POLICY) == 25
    assert all(len(steps) == 2 for steps in CIFAR10_POLICY)
    assert all(0 <= level <= 9 for steps in CIFAR10_POLICY for _, _, level in steps)


def test_crops_and_holes_reach_every_position():
    draws = draw_all()
    for name in ("top", "left"):
        assert draws["RandomCrop"][name].unique().tolist() == list(range(9))
    for name in ("y", "x"):
        assert draws["Cutout"][name].unique().tolist() == list(range(32))


def test_operations_are_as_frequent_as_their_probabilities_say():
    strong, moco = draw_all(), draw_all(view="moco")
    rates = {
        0.5: [strong["HorizontalFlip"]["flip"], moco["HorizontalFlip"]["flip"], moco["GaussianBlur"]["blur"]],
        0.8: [moco["ColorJitter"]["jitter"]],
        0.2: [moco["Grayscale"]["gray"]],
    }
    for expected, masks in rates.items():
        for mask in masks:
            assert abs(mask.float().mean().item() - expected) < 0.015


def test_jitter_and_blur_fill_their_ranges_and_all_orders_occur():
    moco = draw_all(view="moco")
    draw = {**moco["ColorJitter"], **moco["GaussianBlur"]}
    for name in ("brightness", "contrast", "saturation"):
        assert 0.6 <= draw[name].min() < 0.61
        assert 1.39 < draw[name].max() <= 1.4
    assert -0.1 <= draw["hue"].min() < -0.098
    assert 0.098 < draw["hue"].max() <= 0.1
    assert 0.1 <= draw["sigma"].min() < 0.11
    assert 1.99 < draw["sigma"].max() <= 2.0
    orders = draw["order"].unique(dim=0)
    assert len(orders) == 24
    assert torch.equal(orders.sort(1).values, torch.arange(4).expand(24, -1))


def test_resized_crops_stay_in_the_image_and_in_the_ranges_of_area_and_ratio():
    draw = draw_all(view="moco")["RandomResizedCrop"]
    top, left, height, width = (draw[name] for name in ("top", "left", "height", "width"))
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 32).all()
    assert (left + width <= 32).all()
    area = (height * width) / 1024
    assert area.min() > 0.17  # 0.2, less the rounding of the sides
    assert area.max() == 1
    ratio = width / height
    assert ratio.min() > 0.68
    assert ratio.max() < 1.47


def test_resized_crops_are_distributed_as_torchvisions():
    draw = draw_all(view="moco", n=6000)["RandomResizedCrop"]
    ours = torch.stack([draw[name] for name in ("top", "left", "height", "width")], 1).double()
    image = torch.empty(3, 32, 32)
    torch.manual_seed(0)
    theirs = torch.tensor([TorchvisionCrop.get_params(image, (0.2, 1.0), (3 / 4, 4 / 3)) for _ in range(6000)])
    theirs = theirs.double()
    assert (ours.mean(0) - theirs.mean(0)).abs().max() < 0.3
    assert (ours.std(0) - theirs.std(0)).abs().max() < 0.3


@pytest.mark.parametrize(("size", "box"), [((10, 100), (10, 13)), ((100, 10), (13, 10)), ((10, 10), (10, 10))])
def test_a_crop_that_never_fits_falls_back_to_the_largest_central_box(size, box):
    draw = RandomResizedCrop(8, scale=(5.0, 6.0)).draw(4, size, torch.Generator().manual_seed(0))
    assert draw["height"].tolist() == [box[0]] * 4
    assert draw["width"].tolist() == [box[1]] * 4
    assert draw["top"].tolist() == [(size[0] - box[0]) // 2] * 4
    assert draw["left"].tolist() == [(size[1] - box[1]) // 2] * 4
