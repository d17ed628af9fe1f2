"""PaCo's and BCL's contrasts against loops over every pair."""

import math

import torch
from torch.nn.functional import normalize

from longtail.losses import balanced_contrastive, parametric_contrastive


def unit(*shape: int) -> torch.Tensor:
    return normalize(torch.randn(*shape), dim=-1)


def test_parametric_contrast_equals_a_loop():
    torch.manual_seed(0)
    query, keys, centers = unit(2, 5, 4), unit(2, 9, 4), torch.randn(2, 5, 3)
    y, owners, alpha, t = torch.tensor([0, 1, 1, 2, 0]), torch.tensor([0, 1, 1, 2, 0, -1, -1, 1, 2]), 0.3, 0.2
    found = parametric_contrastive(query, keys, y, owners, centers, alpha, t)
    for k in range(2):
        for i in range(5):
            every = [(centers[k, i, c].item(), 1.0 if c == y[i] else 0.0) for c in range(3)]
            every += [
                ((query[k, i] @ query[k, j]).item() / t, alpha * (y[j] == y[i]).item()) for j in range(5) if j != i
            ]
            every += [((query[k, i] @ keys[k, j]).item() / t, alpha * (owners[j] == y[i]).item()) for j in range(9)]
            log_all = math.log(sum(math.exp(s) for s, _ in every))
            expected = sum(w * (log_all - s) for s, w in every) / sum(w for _, w in every)
            assert math.isclose(found[k, i].item(), expected, rel_tol=1e-4)


def test_parametric_contrast_without_positives_is_cross_entropy_with_more_negatives():
    query, centers, y = unit(4, 4), torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    found = parametric_contrastive(query, unit(2, 4), y, torch.tensor([-1, -1]), centers, 0.0, 1e3)
    plain = torch.cat([centers, torch.zeros(4, 5)], 1).log_softmax(1)[
        range(4), y
    ]  # 3 other queries and 2 keys, all alike
    assert torch.allclose(found, -plain, atol=1e-2)


def test_balanced_contrast_equals_a_loop():
    torch.manual_seed(0)
    features, prototypes, t = unit(2, 7, 4), unit(2, 3, 4), 0.5
    y = torch.tensor([0, 0, 0, 0, 1, 1, 0])  # the batch lacks class 2
    found = balanced_contrastive(features, y, prototypes, t)
    for k in range(2):
        for i in range(7):
            members = {
                c: [prototypes[k, c]] + [features[k, j] for j in range(7) if y[j] == c and j != i] for c in range(3)
            }
            score = {c: [(features[k, i] @ m).item() / t for m in of_class] for c, of_class in members.items()}
            denominator = sum(sum(map(math.exp, s)) / len(s) for s in score.values())
            own = score[y[i].item()]
            expected = -sum(s - math.log(denominator) for s in own) / len(own)
            assert math.isclose(found[k, i].item(), expected, rel_tol=1e-4)


def test_gradients_are_finite_where_a_class_is_alone():
    features = unit(2, 4).requires_grad_()
    balanced_contrastive(features, torch.tensor([0, 1]), unit(2, 4), 0.1).sum().backward()
    assert features.grad.isfinite().all()
    query = unit(2, 4).requires_grad_()
    owners = torch.tensor([-1])
    parametric_contrastive(
        query, unit(1, 4), torch.tensor([0, 1]), owners, torch.zeros(2, 2), 0.02, 0.05
    ).sum().backward()
    assert query.grad.isfinite().all()
