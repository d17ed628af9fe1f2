"""Chained transforms equal PIL image by image with the same draws, and no image of a batch depends on another."""

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
VIEWS = [(name, view) for name in TRANSFORM_SETS for view in ("strong", "moco")]


def random_images(n, size, seed=0):
    """Make half noise, half smooth images, (n, 3, size, size) uint8."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(256, (n - n // 2, 3, size, size), generator=generator, dtype=torch.uint8)
    coarse = torch.rand(n // 2, 3, 5, 5, generator=generator) * 300 - 20
    smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear").clamp(0, 255).byte()
    return torch.cat([noise, smooth])


def draw_view(name, view, n, seed=0):
    """Return the transforms of a view and their draws for n images."""
    size, compose = TRANSFORM_SETS[name].size, TRANSFORM_SETS[name].transforms[view]
    return compose, compose.draw(n, (size, size), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_view_equals_pil_on_random_images(name, view):
    images = random_images(600, TRANSFORM_SETS[name].size)
    compose, draws = draw_view(name, view, len(images))
    assert torch.equal(compose.apply(images, draws), view_images(compose, images, draws))


@pytest.mark.parametrize("view", ["strong", "moco"])
def test_view_equals_pil_on_real_images(view):
    if not CIFAR.exists():
        pytest.skip(f"no CIFAR-10 at {CIFAR}")
    parquet = pytest.importorskip("pyarrow.parquet")
    cells = parquet.read_table(CIFAR, columns=["image"]).slice(0, 600).column("image").to_pylist()
    images = from_pil([Image.open(io.BytesIO(cell["bytes"])) for cell in cells])
    compose, draws = draw_view("cifar", view, len(images), seed=1)
    assert torch.equal(compose.apply(images, draws), view_images(compose, images, draws))


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_some_images_with_their_draws_come_out_as_in_the_whole_batch(name, view):
    images = random_images(200, TRANSFORM_SETS[name].size)
    compose, draws = draw_view(name, view, len(images))
    whole = compose.apply(images, draws)
    rows = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))[:37]
    assert torch.equal(compose.apply(images[rows], select_rows(draws, rows)), whole[rows])
    assert torch.equal(compose.apply(images[5:6], select_rows(draws, slice(5, 6))), whole[5:6])


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_the_block_size_does_not_change_the_result(name, view, monkeypatch):
    images = random_images(100, TRANSFORM_SETS[name].size)
    compose, draws = draw_view(name, view, len(images))
    whole = compose.apply(images, draws)
    monkeypatch.setattr(transform_module, "BLOCK_BYTES", 31 * images[0].numel())
    monkeypatch.setattr(pixels_module, "BLOCK_BYTES", 3 * images[0].numel())
    assert torch.equal(compose.apply(images, draws), whole)


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_input_of_any_memory_layout_is_accepted_and_unchanged(name, view):
    images = random_images(60, TRANSFORM_SETS[name].size)
    compose, draws = draw_view(name, view, len(images))
    whole = compose.apply(images, draws)
    for strided in (
        images.to(memory_format=torch.channels_last),
        images.transpose(2, 3).contiguous().transpose(2, 3),
        torch.stack([images, images], 1)[:, 1],
    ):
        before = strided.clone()
        assert not strided.is_contiguous()
        assert torch.equal(compose.apply(strided, draws), whole)
        assert torch.equal(strided, before)


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_no_images_and_one_image_are_accepted(name, view):
    size = TRANSFORM_SETS[name].size
    for n in (0, 1):
        images = random_images(n, size)
        result = TRANSFORM_SETS[name].transforms[view](images, torch.Generator().manual_seed(0))
        assert result.shape == (n, 3, size, size)
        assert result.dtype == torch.uint8


def test_every_transform_leaves_its_input_unchanged():
    images = random_images(50, 32)
    before = images.clone()
    for compose in TRANSFORM_SETS["cifar"].transforms.values():
        for transform in compose:
            transform(images, torch.Generator().manual_seed(0))
            assert torch.equal(images, before), transform


def test_images_of_another_type_or_shape_are_refused():
    strong = TRANSFORM_SETS["cifar"].transforms["strong"]
    for images in (torch.zeros(2, 3, 32, 32), torch.zeros(2, 1, 32, 32, dtype=torch.uint8)):
        with pytest.raises(ValueError, match=r"expected uint8 images \(N, 3, H, W\)"):
            strong(images, torch.Generator())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_the_gpu_gives_the_same_bytes(name, view):
    images = random_images(2000, TRANSFORM_SETS[name].size)
    compose, draws = draw_view(name, view, len(images))
    assert torch.equal(compose.apply(images.cuda(), draws).cpu(), compose.apply(images, draws))
