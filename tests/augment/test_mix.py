"""Blends of two images, mixup and CutMix."""

import pytest
import torch

from longtail import augment


def make_images(value: float, size: int = 8) -> torch.Tensor:
    """Make five images of one value."""
    return torch.full((5, 3, size, size), value)


def test_blending_takes_one_share_for_all_images_or_one_for_each():
    a, b = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
    assert torch.allclose(augment.blend_images(a, b, torch.tensor(0.25)), 0.25 * a + 0.75 * b)
    share = torch.rand(5)
    result = augment.blend_images(a, b, share)
    for i in range(5):
        assert torch.allclose(result[i], share[i] * a[i] + (1 - share[i]) * b[i])


def test_mixup_blends_every_image_with_one_of_the_batch_and_returns_its_label():
    torch.manual_seed(0)
    y = torch.arange(5)
    x = y.float().reshape(5, 1, 1, 1).expand(5, 3, 8, 8)
    mixed, other, share = augment.mixup(x, y, alpha=1.0)
    assert sorted(other.tolist()) == list(range(5)) and share.shape == () and 0 <= share <= 1
    assert torch.allclose(mixed[:, 0, 0, 0], share * y + (1 - share) * other)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_beta_has_the_mean_and_the_spread_of_its_distribution(alpha):
    torch.manual_seed(0)
    drawn = augment.sample_beta(alpha, (20_000,), torch.device("cpu"))
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.01)
    assert drawn.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_pastes_one_rectangle_and_returns_the_share_of_the_rest(seed):
    torch.manual_seed(seed)
    requested = torch.rand(())
    result, share = augment.cutmix(make_images(0.0), make_images(1.0), requested)
    assert torch.equal(result[0, 0], result[4, 2]) and set(result.unique().tolist()) <= {0.0, 1.0}
    assert share.item() == pytest.approx(1 - result[0, 0].mean().item())
    rows, columns = result[0, 0].amax(1), result[0, 0].amax(0)
    assert torch.equal(result[0, 0], rows.unsqueeze(1) * columns)
    assert share >= requested - 1e-6  # clipping and rounding only make the rectangle smaller


def test_cutmix_pastes_nothing_at_share_one_and_a_rectangle_as_large_as_the_image_at_zero():
    result, share = augment.cutmix(make_images(0.0), make_images(1.0), torch.tensor(1.0))
    assert share == 1 and (result == 0).all()
    areas = set()
    for seed in range(60):
        torch.manual_seed(seed)
        areas.add(round(64 * (1 - augment.cutmix(make_images(0.0), make_images(1.0), torch.tensor(0.0))[1].item())))
    assert max(areas) == 64 and min(areas) == 16  # a center in a corner leaves a quarter
