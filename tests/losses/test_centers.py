"""Losses against class centers: the numbers of worked examples, and loops over plain numbers."""

import math

import pytest
import torch
from scipy.special import ive
from torch.nn.functional import normalize

from longtail import losses


def double(*rows) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


QUERY, KEY, QUEUE = double([0.6, 0.8]), double([0.8, 0.6]), double([1, 0], [0, 1], [-1, 0])
TARGETS, OWN = double([0, -1], [1, 0]), torch.tensor([1])
ONE = torch.tensor([[True]])


@pytest.mark.parametrize("drawn, expected", [(0, 1.7280931980353116), (1, 1.5280931980353119)])
def test_targeted_contrast_is_the_mean_over_own_key_and_drawn_keys_and_a_pull_to_the_target(drawn, expected):
    positives = (torch.tensor([[drawn]]), ONE)
    found = losses.targeted_contrastive(QUERY, KEY, QUEUE, positives, 0.5, TARGETS, OWN, 0.2)
    assert found.item() == pytest.approx(expected, abs=1e-12)


def test_without_targets_the_contrast_is_over_own_key_and_queue_and_a_missing_positive_does_not_count():
    s = [math.exp(2 * x) for x in (0.96, 0.6, 0.8, -0.6)]
    log_p = [math.log(x / sum(s)) for x in s]
    found = losses.targeted_contrastive(QUERY, KEY, QUEUE, (torch.tensor([[1]]), ONE), 0.5)
    assert found.item() == pytest.approx(-(log_p[0] + log_p[2]) / 2, abs=1e-12)
    found = losses.targeted_contrastive(QUERY, KEY, QUEUE, (torch.tensor([[1]]), ~ONE), 0.5)
    assert found.item() == pytest.approx(-log_p[0], abs=1e-12)


def test_positives_are_distinct_random_keys_of_the_class_and_no_more_than_there_are():
    torch.manual_seed(0)
    labels, keys, pairs = torch.tensor([0, 1, 2]), torch.tensor([0, 1, 0, 0, -1, 1]), set()
    for _ in range(100):
        index, is_positive = losses.sample_positives(labels, keys, 2)
        assert is_positive.sum(1).tolist() == [2, 2, 0]
        assert (keys[index[:2]] == labels[:2].unsqueeze(1)).all()
        pairs.add(frozenset(index[0].tolist()))
    assert pairs == {frozenset(p) for p in ((0, 2), (0, 3), (2, 3))}
    assert losses.sample_positives(labels, keys, 9)[1].sum(1).tolist() == [3, 2, 0]


def find_log_bessel(k: float, nu: float) -> float:
    """Compute log I_nu(k) - nu log k by scipy."""
    return math.log(ive(nu, k)) + k - nu * math.log(k)


def make_example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    z, mean = torch.zeros(1, 128, dtype=torch.float64), torch.zeros(2, 128, dtype=torch.float64)
    z[0, 0], z[0, 1], mean[0, 0], mean[1, 1] = 0.6, 0.8, 0.9, 0.5
    return z, mean, double([606.3157894736844, 85.33333333333333])[0]


def test_the_logit_of_a_class_distribution_is_that_of_the_worked_example():
    found = losses.vmf_logits(*make_example(), 0.1)[0].tolist()
    assert found == pytest.approx([5.453855958989624, 4.218500669806383], abs=1e-12)
    z, mean, kappas = make_example()
    moved = (kappas.unsqueeze(1) * normalize(mean, dim=1) + z / 0.1).norm(dim=1).tolist()
    assert moved == pytest.approx([612.3680478591134, 93.52599163393623], rel=1e-14)
    exact = [find_log_bessel(a, 63) - find_log_bessel(b, 63) for a, b in zip(moved, kappas.tolist(), strict=True)]
    assert exact == pytest.approx([5.453855955738902, 4.218501552078237], abs=1e-9)
    assert found == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("width, error", [(128, 1e-5), (64, 4e-5), (32, 3e-4)])
def test_in_float32_the_logit_of_a_class_distribution_is_close_to_scipys_bessel_function(width, error):
    nu, cosines, kappas = width / 2 - 1, (-1.0, -0.3, 0.5, 1.0), (0.5, 12.0, 300.0, 1e4)
    z = torch.zeros(4, width)
    z[:, 0] = torch.tensor(cosines)
    z[:, 1] = (1 - z[:, 0] ** 2).clamp_min(0).sqrt()
    mean = torch.zeros(4, width)
    mean[:, 0] = 0.5
    for t in (0.1, 0.5):
        found = losses.vmf_logits(z, mean, torch.tensor(kappas), t)
        for i, cosine in enumerate(cosines):
            for j, kappa in enumerate(kappas):
                moved = math.sqrt(kappa**2 + 2 * kappa * cosine / t + t**-2)
                exact = find_log_bessel(moved, nu) - find_log_bessel(kappa, nu)
                assert found[i, j].item() == pytest.approx(exact, abs=error)


def test_the_gradient_along_the_sphere_is_the_ratio_of_bessel_functions():
    z, mean, kappa = make_example()
    z.requires_grad_()
    (found,) = torch.autograd.grad(losses.vmf_logits(z, mean, kappa, 0.1)[0, 1], z)
    moved = kappa[1] * normalize(mean[1], dim=0) + z[0].detach() / 0.1
    ratio = ive(64, moved.norm().item()) / ive(63, moved.norm().item())
    exact = ratio * normalize(moved, dim=0) / 0.1
    along = [g - (g @ z[0]) * z[0] for g in (found[0], exact)]
    assert torch.allclose(*along, atol=1e-5)


def test_the_robust_contrast_is_that_of_the_worked_example():
    v, y = double([0, 0], [3, 4], [0, 2]), torch.tensor([0, 0, 1])
    centroids, radius = double([0, 1], [0, 3], [5, 5]), double([0.5, 1, 2])[0]
    found = losses.robust_contrastive(v, y, centroids, radius, 1.0)
    by_class = []
    for c in (0, 1):  # class 2 is absent
        s = [math.exp(-math.dist(centroids[c], v[i]) - radius[c] * (y[i] == c)) for i in range(3)]
        own = [i for i in range(3) if y[i] == c]
        by_class.append(-sum(math.log(s[i] / sum(s)) for i in own) / len(own))
    assert by_class == pytest.approx([2.6100366180750973, 0.5191820630235644], abs=1e-12)
    assert found.item() == pytest.approx(1.5646093405493309, abs=1e-12)
    assert torch.allclose(losses.robust_contrastive(torch.stack([v, v]), y, centroids, radius, 1.0), found.expand(2))


def test_a_feature_on_its_centroid_has_a_finite_gradient_and_radii_can_only_shrink():
    v, radius = torch.zeros(2, 2, requires_grad=True), torch.ones(2, requires_grad=True)
    losses.robust_contrastive(v, torch.tensor([0, 1]), torch.zeros(2, 2), radius, 1.0).backward()
    assert v.grad.isfinite().all() and (radius.grad >= 0).all() and radius.grad.sum() > 0


def test_the_memory_draws_features_to_their_center_and_repels_them_from_the_others():
    v, centers, y = double([3, 4]), double([3, 0], [0, 4]), torch.tensor([0])
    assert losses.squared_distance(v, centers).sqrt().tolist() == [[4, 3]]
    assert losses.large_margin_memory(v, y, centers, 0.0, 10.0).item() == pytest.approx(8, abs=1e-12)
    found = losses.large_margin_memory(v, y, centers, 0.01, 10.0).item()
    assert found == pytest.approx(8 + 0.01 * 5.5, abs=1e-12) and 0.01 * found == pytest.approx(0.08055, abs=1e-12)
    assert losses.large_margin_memory(v, y, centers, 0.01, 4.0).item() == pytest.approx(8, abs=1e-12)
