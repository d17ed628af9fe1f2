"""Whole views equal PIL image by image with the same draws, and do not mix the images of a batch."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from pil_reference import from_pil, view_images

from longtail.augment import TRANSFORM_SETS
from longtail.augment import pixels as pixels_module
from longtail.augment import transform as transform_module
from longtail.augment.transform import select_rows

CIFAR = Path(__file__).parents[3] / "shared/data/cifar10/test.parquet"
VIEWS = [(family, view) for family in TRANSFORM_SETS for view in ("strong", "moco")]


def random_images(n, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(256, (n - n // 2, 3, size, size), generator=generator, dtype=torch.uint8)
    coarse = torch.rand(n // 2, 3, 5, 5, generator=generator) * 300 - 20
    smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear").clamp(0, 255).byte()
    return torch.cat([noise, smooth])


def drawn(family, view, n, seed=0):
    """The view, and draws for n images."""
    family = TRANSFORM_SETS[family]
    chosen = family.transforms[view]
    return chosen, chosen.draw(n, (family.size, family.size), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("family", "view"), VIEWS)
def test_view_equals_pil_on_random_images(family, view):
    images = random_images(600, TRANSFORM_SETS[family].size)
    chosen, draws = drawn(family, view, len(images))
    assert torch.equal(chosen.apply(images, draws), view_images(chosen, images, draws))


@pytest.mark.parametrize("view", ["strong", "moco"])
def test_view_equals_pil_on_real_images(view):
    if not CIFAR.exists():
        pytest.skip(f"no CIFAR-10 at {CIFAR}")
    parquet = pytest.importorskip("pyarrow.parquet")
    cells = parquet.read_table(CIFAR, columns=["image"]).slice(0, 600).column("image").to_pylist()
    images = from_pil([Image.open(io.BytesIO(cell["bytes"])) for cell in cells])
    chosen, draws = drawn("cifar", view, len(images), seed=1)
    assert torch.equal(chosen.apply(images, draws), view_images(chosen, images, draws))


@pytest.mark.parametrize(("family", "view"), VIEWS)
def test_a_subset_with_its_draws_gives_the_same_images(family, view):
    images = random_images(200, TRANSFORM_SETS[family].size)
    chosen, draws = drawn(family, view, len(images))
    whole = chosen.apply(images, draws)
    rows = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))[:37]
    assert torch.equal(chosen.apply(images[rows], select_rows(draws, rows)), whole[rows])
    assert torch.equal(chosen.apply(images[5:6], select_rows(draws, slice(5, 6))), whole[5:6])


@pytest.mark.parametrize(("family", "view"), VIEWS)
def test_blocks_do_not_show_in_the_result(family, view, monkeypatch):
    images = random_images(100, TRANSFORM_SETS[family].size)
    chosen, draws = drawn(family, view, len(images))
    whole = chosen.apply(images, draws)
    monkeypatch.setattr(transform_module, "BLOCK_BYTES", 31 * images[0].numel())
    monkeypatch.setattr(pixels_module, "BLOCK_BYTES", 3 * images[0].numel())
    assert torch.equal(chosen.apply(images, draws), whole)


@pytest.mark.parametrize(("family", "view"), VIEWS)
def test_input_of_any_layout_is_taken_and_kept(family, view):
    images = random_images(60, TRANSFORM_SETS[family].size)
    chosen, draws = drawn(family, view, len(images))
    whole = chosen.apply(images, draws)
    for strided in (
        images.to(memory_format=torch.channels_last),
        images.transpose(2, 3).contiguous().transpose(2, 3),
        torch.stack([images, images], 1)[:, 1],
    ):
        before = strided.clone()
        assert not strided.is_contiguous()
        assert torch.equal(chosen.apply(strided, draws), whole)
        assert torch.equal(strided, before)


@pytest.mark.parametrize(("family", "view"), VIEWS)
def test_no_images_and_one_image_pass(family, view):
    size = TRANSFORM_SETS[family].size
    for n in (0, 1):
        images = random_images(n, size)
        found = TRANSFORM_SETS[family].transforms[view](images, torch.Generator().manual_seed(0))
        assert found.shape == (n, 3, size, size)
        assert found.dtype == torch.uint8


def test_every_transform_keeps_its_input():
    images = random_images(50, 32)
    before = images.clone()
    for view in TRANSFORM_SETS["cifar"].transforms.values():
        for transform in view:
            transform(images, torch.Generator().manual_seed(0))
            assert torch.equal(images, before), transform


def test_wrong_images_are_refused_with_what_was_expected():
    view = TRANSFORM_SETS["cifar"].transforms["strong"]
    for images in (torch.zeros(2, 3, 32, 32), torch.zeros(2, 1, 32, 32, dtype=torch.uint8)):
        with pytest.raises(ValueError, match=r"expected uint8 images \(N, 3, H, W\)"):
            view(images, torch.Generator())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize(("family", "view"), VIEWS)
def test_the_gpu_gives_the_same_bytes(family, view):
    images = random_images(2000, TRANSFORM_SETS[family].size)
    chosen, draws = drawn(family, view, len(images))
    assert torch.equal(chosen.apply(images.cuda(), draws).cpu(), chosen.apply(images, draws))
