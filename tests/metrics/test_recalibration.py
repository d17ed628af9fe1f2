"""Temperature and bias against a grid and against known distortions; EM against the true class frequencies."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from longtail import metrics

PRIOR = torch.tensor([0.6, 0.25, 0.1, 0.05], dtype=torch.float64)


def draw(n: int, seed: int, prior: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw labels (n,) from a prior and true log-likelihoods log p(x | y), (n, C), of points on a line."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(prior, n, replacement=True, generator=g)
    x = labels + 0.7 * torch.randn(n, generator=g, dtype=torch.float64)
    return -((x[:, None] - torch.arange(len(prior))) ** 2) / (2 * 0.7**2), labels


def compute_loss(z, labels, correction, temperature):
    return (
        cross_entropy(z / temperature + correction, labels, reduction="sum") + torch.tensor(temperature).log() ** 2 / 2
    )


def test_the_temperature_has_the_smallest_loss_of_a_grid_and_undoes_a_distortion():
    z, labels = draw(4000, 0, PRIOR)
    for factor in (0.3, 1.0, 3.0):
        found = metrics.fit_temperature(factor * z, labels, PRIOR.log())
        grid = [found * (1 + step) for step in (-0.2, -0.05, -0.01, 0.01, 0.05, 0.2)]
        best = compute_loss(factor * z, labels, PRIOR.log(), found)
        assert all(best < compute_loss(factor * z, labels, PRIOR.log(), t) for t in grid)
        assert found == pytest.approx(factor, rel=0.1)


def test_a_temperature_fitted_under_one_prior_calibrates_under_another():
    z, labels = draw(4000, 1, PRIOR)
    found = metrics.fit_temperature(2.5 * z, labels, PRIOR.log())
    even = torch.full((4,), 0.25, dtype=torch.float64)
    new, new_labels = draw(4000, 2, even)
    before = metrics.expected_calibration_error((2.5 * new).softmax(-1), new_labels)
    after = metrics.expected_calibration_error(
        metrics.apply_temperature(2.5 * new, found, even.log()).exp(), new_labels
    )
    assert after < 0.03 < before


def test_no_temperature_moves_the_most_probable_class():
    z, _ = draw(100, 3, PRIOR)
    for temperature in (0.1, 7.0):
        moved = metrics.apply_temperature(z, temperature, torch.zeros(4))
        assert (moved.argmax(-1) == z.argmax(-1)).all()


def test_images_that_are_all_right_leave_the_temperature_above_zero():
    z = 20 * torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0]]
    found = metrics.fit_temperature(z, torch.tensor([0, 1, 2, 0]), torch.zeros(3))
    assert 0.1 < found < 3


def test_the_bias_undoes_a_shift_of_classes_and_stays_near_zero_for_a_class_without_images():
    z, labels = draw(6000, 4, PRIOR)
    shift = torch.tensor([1.0, -1.0, 0.5, 0.0], dtype=torch.float64)
    temperature, bias = metrics.fit_bias_corrected(2 * (z + shift), labels, PRIOR.log())
    found = bias + shift  # up to a constant
    assert temperature == pytest.approx(2, rel=0.1) and (found - found.mean()).abs().max() < 0.35
    unseen = torch.cat([z, torch.full((6000, 1), -50.0, dtype=torch.float64)], 1)
    _, bias = metrics.fit_bias_corrected(unseen, labels, torch.zeros(5))
    assert bias[4].abs() < 0.01


def test_em_finds_the_class_frequencies_and_equals_a_loop():
    target = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    z, _ = draw(5000, 5, target)
    log_p = (z + PRIOR.log()).log_softmax(-1)
    found = metrics.estimate_prior(log_p, PRIOR.log())
    assert found.tolist() == pytest.approx(target.tolist(), abs=0.03) and found.sum() == pytest.approx(1)
    few = log_p[:50]
    prior = PRIOR.clone()
    for _ in range(2000):
        total = torch.zeros(4, dtype=torch.float64)
        for row in few.exp():
            weighed = [row[c] / PRIOR[c] * prior[c] for c in range(4)]
            total += torch.stack(weighed) / sum(weighed) / 50
        done, prior = (total - prior).abs().max() < 1e-8, total
        if done:
            break
    assert metrics.estimate_prior(few, PRIOR.log()).tolist() == pytest.approx(prior.tolist(), abs=1e-6)


def test_em_leaves_a_class_that_the_source_lacks_at_zero():
    source = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    found = metrics.estimate_prior(torch.tensor([[0.9, 0.1, 0.0]] * 4).log(), source.log())
    assert found[2] == 0 and found.isfinite().all() and found.sum() == pytest.approx(1)
