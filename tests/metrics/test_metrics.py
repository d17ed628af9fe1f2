"""Metrics against loops, scikit-learn and their definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from longtail import metrics


def test_groups_are_many_above_100_few_below_20_and_medium_between():
    assert [metrics.shot_group(n) for n in (101, 100, 20, 19, 0)] == ["many", "medium", "medium", "few", "few"]


def test_group_accuracy_is_the_mean_of_class_accuracies_and_none_for_an_empty_group():
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2])
    predicted = torch.tensor([0, 0, 0, 1, 1, 0, 2])
    result = metrics.group_accuracy(predicted, labels, [500, 101, 5])
    assert result == {"many": pytest.approx((3 / 4 + 1 / 2) / 2), "medium": None, "few": 1.0}


def test_a_class_without_test_images_does_not_enter_its_group():
    result = metrics.group_accuracy(torch.tensor([0, 1]), torch.tensor([0, 0]), [500, 300, 50])
    assert result == {"many": 0.5, "medium": None, "few": None}


def naive_ece(probabilities, labels, bins: int) -> float:
    """Compute the expected calibration error by loops over bins and images."""
    total, n = 0.0, len(labels)
    for b in range(bins):
        inside = []
        for row, y in zip(probabilities, labels, strict=True):
            confidence = max(row)
            low, high = b / bins, (b + 1) / bins
            if low < confidence <= high or (b == 0 and confidence == 0):
                inside.append((confidence, row.index(confidence) == y))
        if inside:
            accuracy = sum(hit for _, hit in inside) / len(inside)
            total += len(inside) / n * abs(accuracy - sum(c for c, _ in inside) / len(inside))
    return total


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(2, 9), st.sampled_from([1, 10, 15]))
def test_ece_equals_a_loop_over_images_and_bins(seed, n, classes, bins):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.5), n)
    y = rng.integers(0, classes, n)
    result = metrics.expected_calibration_error(torch.from_numpy(p), torch.from_numpy(y), bins)
    assert result == pytest.approx(naive_ece(p.tolist(), y.tolist(), bins), abs=1e-12)


def test_ece_bins_are_closed_on_the_right():
    p = torch.tensor([[0.5, 0.25, 0.25], [0.75, 0.25, 0.0]], dtype=torch.float64)
    share, accuracy, confidence = metrics.reliability(p, torch.tensor([0, 1]), bins=4)
    assert share.tolist() == [0, 0.5, 0.5, 0]  # .5 belongs to (.25, .5], .75 to (.5, .75]
    assert accuracy.tolist() == [0, 1, 0, 0]
    assert confidence.tolist() == [0, 0.5, 0.75, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bins", [10, 15, 20, 25, 50, 100])
def test_ece_puts_every_edge_into_the_bin_below_in_either_precision(dtype, bins):
    for j in range(bins // 2 + 1, bins):
        edge = torch.tensor([[j / bins, 1 - j / bins]], dtype=dtype)
        share, _, _ = metrics.reliability(edge, torch.tensor([0]), bins)
        assert share.argmax() == j - 1


def test_metrics_accept_arrays_and_lists():
    p, y = np.array([[0.9, 0.1], [0.2, 0.8]]), [0, 1]
    assert metrics.expected_calibration_error(p, y) == pytest.approx(0.15)
    assert metrics.group_accuracy([0, 1], np.array(y), np.array([200, 5])) == {"many": 1.0, "medium": None, "few": 1.0}
    assert metrics.feature_distance(p, p, y, 2).tolist() == [0, 0]


def test_ece_is_0_for_certain_and_correct_and_1_for_certain_and_wrong():
    p = torch.eye(4)
    assert metrics.expected_calibration_error(p, torch.arange(4)) == 0
    assert metrics.expected_calibration_error(p, (torch.arange(4) + 1) % 4) == 1


def test_feature_distance_is_the_class_mean_of_euclidean_distances():
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(20, 6, generator=g), torch.randn(20, 6, generator=g)
    labels = torch.arange(20) % 3
    result = metrics.feature_distance(a, b, labels, 4)
    for c in range(3):
        distances = [math.dist(a[i].tolist(), b[i].tolist()) for i in range(20) if labels[i] == c]
        assert result[c].item() == pytest.approx(sum(distances) / len(distances), rel=1e-6)
    assert result[3].isnan()


def test_summary_is_in_percent_and_agrees_with_scikit_learn():
    g = torch.Generator().manual_seed(1)
    logits, labels = torch.randn(300, 5, generator=g), torch.randint(0, 5, (300,), generator=g)
    result = metrics.summarize(logits, labels, [500, 200, 50, 30, 3])
    predicted = logits.argmax(-1)
    assert list(result) == list(metrics.METRICS)
    assert result["top1"] == pytest.approx(100 * (predicted == labels).float().mean().item(), rel=1e-5)
    assert result["balanced"] == pytest.approx(100 * balanced_accuracy_score(labels, predicted))
    per_class = [100 * (predicted[labels == c] == c).double().mean().item() for c in range(5)]
    assert result["worst"] == pytest.approx(min(per_class))
    assert result["medium"] == pytest.approx((per_class[2] + per_class[3]) / 2)


def test_summary_without_images_is_none_not_nan():
    result = metrics.summarize(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), [200, 50, 3])
    assert set(result.values()) == {None}
