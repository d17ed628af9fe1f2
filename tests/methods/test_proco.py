"""ProCo as a method: class distributions of two epochs, and its terms with scipy's Bessel function."""

import math

import pytest
import torch
from scipy.special import ive
from torch.nn.functional import cross_entropy, normalize

from longtail.methods.proco import ClassDirections
from longtail.testing import COUNTS, build_method, make_batch


def test_a_class_is_the_mean_of_its_points_of_this_epoch_and_the_last():
    torch.manual_seed(0)
    directions, epochs = ClassDirections(3, 8), []
    for epoch in range(3):
        directions.begin_epoch()
        epochs.append([])
        for _ in range(2):
            points, y = normalize(torch.randn(6, 8), dim=1), torch.tensor([0, 0, 0, 1, 1, 0])
            epochs[epoch] += zip(points, y.tolist(), strict=True)
            mean, kappa = directions.update(points, y)
            for c in (0, 1):
                own = torch.stack([p for pairs in epochs[-2:] for p, label in pairs if label == c]).mean(0)
                assert torch.allclose(mean[c], own, atol=1e-6)
                length = own.norm()
                assert kappa[c].item() == pytest.approx((8 * length / (1 - length**2)).item(), rel=1e-4)
    assert mean[2].norm().item() == pytest.approx(0.9) and kappa[2].item() == pytest.approx(8 * 90 / 19, rel=1e-4)


def test_the_concentrations_are_those_of_the_worked_example():
    directions = ClassDirections(2, 128).double()
    directions.last_sums[0, 0], directions.last_sums[1, 1] = 9.0, 5.0
    directions.last_counts.fill_(10)
    no_points = torch.zeros(0, 128, dtype=torch.float64), torch.zeros(0, dtype=torch.long)
    kappa = directions.update(*no_points)[1].tolist()
    assert kappa == pytest.approx([606.3157894736844, 85.33333333333333], rel=1e-14)


def test_a_class_of_one_point_has_the_largest_concentration():
    points = torch.eye(2, 16)
    assert ClassDirections(2, 16).update(points, torch.tensor([0, 1]))[1].tolist() == [1e5, 1e5]


def test_the_first_view_is_classified_and_the_others_are_compared_with_class_distributions():
    method = build_method("proco", contrast=0.5)
    data, prior = make_batch(method), torch.tensor(COUNTS) / 75
    v = method.encoders(torch.cat(data.views))[0]
    points = normalize(method.projector(v)[16:], dim=1).detach().double()  # batch norm sees all three views
    y, z = torch.cat([data.y, data.y]), torch.zeros(32, 4, dtype=torch.float64)
    for c in range(4):
        mean = points[y == c].mean(0)
        kappa = 128 * mean.norm() / (1 - mean.norm() ** 2)
        for i in range(32):
            a, b = (k.norm().item() for k in (kappa * normalize(mean, dim=0) + points[i] / 0.1, kappa))
            z[i, c] = math.log(ive(63, a)) + a - 63 * math.log(a) - math.log(ive(63, b)) - b + 63 * math.log(b)
    terms = method(data)
    bc = cross_entropy(method.cls(v[None])[0, :16] + prior.log(), data.y)
    assert terms["bc"].item() == pytest.approx(bc.item(), rel=1e-4)
    assert terms["contrast"].item() == pytest.approx(0.5 * cross_entropy(z + prior.log(), y).item(), rel=1e-4)
