"""Margins against loops over plain numbers."""

import math

import pytest
import torch

from longtail import losses

COUNTS = (100, 20, 5, 1)
LABELS = torch.tensor([0, 3, 1])


@pytest.fixture
def log_prior() -> torch.Tensor:
    counts = torch.tensor(COUNTS, dtype=torch.float64)
    return (counts / counts.sum()).log()


def test_ldam_margins_fall_with_the_fourth_root_of_the_class_size(log_prior):
    expected = [0.5 * (min(COUNTS) / n) ** 0.25 for n in COUNTS]
    assert losses.ldam_margins(log_prior, 0.5).tolist() == pytest.approx(expected)


def test_the_margin_is_subtracted_from_the_logit_of_the_label_only():
    z, margin = torch.randn(2, 3, 4), torch.tensor([0.1, 0.2, 0.3, 0.4])
    result = losses.subtract_margin(z, LABELS, margin)
    for k in range(2):
        for i in range(3):
            for c in range(4):
                expected = z[k, i, c] - (margin[c] if c == LABELS[i] else 0)
                assert result[k, i, c].item() == pytest.approx(expected.item())


def test_cloud_sizes_grow_from_0_for_the_head_to_1_for_the_rarest_class(log_prior):
    expected = [(math.log(100) - math.log(n)) / math.log(100) for n in COUNTS]
    assert losses.gaussian_cloud_size(log_prior).tolist() == pytest.approx(expected, abs=1e-12)
    assert losses.gaussian_cloud_size(torch.full((4,), -1.4)).tolist() == [0] * 4


def test_logits_are_lowered_by_a_clipped_half_gaussian_times_the_cloud_size():
    torch.manual_seed(0)
    lowered = -losses.subtract_gaussian_cloud(torch.zeros(2, 20_000, 3), torch.tensor([0.0, 1.0, 3.0]))
    assert (lowered[..., 0] == 0).all() and (lowered >= 0).all()
    assert lowered[..., 1].max() == 1 and lowered[..., 2].max() == 3
    mean = sum(min(abs(e), 3) / 3 * math.exp(-e * e / 2) for e in (i / 1000 for i in range(-8000, 8000)))
    mean /= sum(math.exp(-e * e / 2) for e in (i / 1000 for i in range(-8000, 8000)))
    assert lowered[..., 1].mean().item() == pytest.approx(mean, rel=0.02)
    assert lowered[..., 2].mean().item() == pytest.approx(3 * mean, rel=0.02)
