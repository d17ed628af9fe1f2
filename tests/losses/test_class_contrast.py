"""The contrastive losses of PaCo, BCL, SSD and SupCon against loops over every pair."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from longtail import losses
from longtail.losses import balanced_contrastive, parametric_contrastive, supervised_contrastive


def random_unit(*shape: int) -> torch.Tensor:
    """Draw random vectors of length 1."""
    return normalize(torch.randn(*shape), dim=-1)


def test_parametric_contrast_equals_a_loop():
    torch.manual_seed(0)
    query, keys, centers = random_unit(2, 5, 4), random_unit(2, 9, 4), torch.randn(2, 5, 3)
    y, key_labels = torch.tensor([0, 1, 1, 2, 0]), torch.tensor([0, 1, 1, 2, 0, -1, -1, 1, 2])
    alpha, t = 0.3, 0.2
    result = parametric_contrastive(query, keys, y, key_labels, centers, alpha, t)
    for k in range(2):
        for i in range(5):
            terms = [(centers[k, i, c].item(), 1.0 if c == y[i] else 0.0) for c in range(3)]
            terms += [
                ((query[k, i] @ query[k, j]).item() / t, alpha * (y[j] == y[i]).item()) for j in range(5) if j != i
            ]
            terms += [((query[k, i] @ keys[k, j]).item() / t, alpha * (key_labels[j] == y[i]).item()) for j in range(9)]
            log_all = math.log(sum(math.exp(s) for s, _ in terms))
            expected = sum(w * (log_all - s) for s, w in terms) / sum(w for _, w in terms)
            assert math.isclose(result[k, i].item(), expected, rel_tol=1e-4)


def test_parametric_contrast_without_positives_is_cross_entropy_with_more_negatives():
    query, centers, y = random_unit(4, 4), torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    result = parametric_contrastive(query, random_unit(2, 4), y, torch.tensor([-1, -1]), centers, 0.0, 1e3)
    # 3 other queries and 2 keys; at this temperature all their logits are 0
    log_p = torch.cat([centers, torch.zeros(4, 5)], 1).log_softmax(1)[range(4), y]
    assert torch.allclose(result, -log_p, atol=1e-2)


def test_balanced_contrast_equals_a_loop():
    torch.manual_seed(0)
    features, prototypes, t = random_unit(2, 7, 4), random_unit(2, 3, 4), 0.5
    y = torch.tensor([0, 0, 0, 0, 1, 1, 0])  # the batch lacks class 2
    result = balanced_contrastive(features, y, prototypes, t)
    for k in range(2):
        for i in range(7):
            members = {
                c: [prototypes[k, c]] + [features[k, j] for j in range(7) if y[j] == c and j != i] for c in range(3)
            }
            score = {c: [(features[k, i] @ m).item() / t for m in vectors] for c, vectors in members.items()}
            denominator = sum(sum(map(math.exp, s)) / len(s) for s in score.values())
            positives = score[y[i].item()]
            expected = -sum(s - math.log(denominator) for s in positives) / len(positives)
            assert math.isclose(result[k, i].item(), expected, rel_tol=1e-4)


def test_gradients_are_finite_if_each_class_has_one_sample():
    features = random_unit(2, 4).requires_grad_()
    balanced_contrastive(features, torch.tensor([0, 1]), random_unit(2, 4), 0.1).sum().backward()
    assert features.grad.isfinite().all()
    query = random_unit(2, 4).requires_grad_()
    y, key_labels = torch.tensor([0, 1]), torch.tensor([-1])
    parametric_contrastive(query, random_unit(1, 4), y, key_labels, torch.zeros(2, 2), 0.02, 0.05).sum().backward()
    assert query.grad.isfinite().all()


def test_guided_contrast_leaves_keys_of_the_own_class_out():
    q, k = (torch.tensor([[row]], dtype=torch.float64) for row in ([1.0, 0.0], [0.6, 0.8]))
    queue = torch.tensor([[[0.0, 1.0], [0.8, 0.6], [-1.0, 0.0]]], dtype=torch.float64)
    found = losses.guided_nce(q, k, queue, torch.tensor([0]), torch.tensor([1, 0, 2]), 0.2)
    assert found.shape == (1, 1) and found.item() == pytest.approx(0.04890685354740576, rel=1e-12)


def test_guided_contrast_without_equal_labels_is_info_nce_and_with_no_other_key_is_zero():
    q, k, queue = random_unit(2, 3, 4), random_unit(2, 3, 4), random_unit(2, 5, 4)
    y, none, same = torch.zeros(3, dtype=torch.long), torch.full((5,), -1), torch.zeros(5, dtype=torch.long)
    assert torch.allclose(losses.guided_nce(q, k, queue, y, none, 0.2), losses.info_nce(q, k, queue, 0.2), atol=1e-6)
    assert not losses.guided_nce(q, k, queue, y, same, 0.2).any()


def test_supervised_contrast_is_the_mean_over_the_other_points_of_the_class():
    points = torch.tensor([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]], dtype=torch.float64)
    found = supervised_contrastive(points, torch.tensor([0, 0, 1, 1]), 0.5)
    expected = [0.2941285610404085, 0.9487744372405003, 1.939177884473635, 0.36223013187438935]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)
    found = supervised_contrastive(points, torch.tensor([0, 0, 0, 1]), 0.5)
    s = [math.exp(2 * x) for x in (0.6, 0.0, -1.0)]  # of the first point with the others; two are of its class
    assert math.isclose(found[0].item(), -sum(math.log(x / sum(s)) for x in s[:2]) / 2) and found[3] == 0
