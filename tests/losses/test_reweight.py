"""Re-weighted losses against loops over plain numbers."""

import math

import pytest
import torch

from longtail import losses

K, N, C = 2, 6, 4
COUNTS = (50, 20, 5, 1)
LABELS = torch.tensor([0, 3, 1, 1, 0, 0])


@pytest.fixture
def z() -> torch.Tensor:
    return 3 * torch.randn(K, N, C, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def log_prior() -> torch.Tensor:
    counts = torch.tensor(COUNTS, dtype=torch.float64)
    return (counts / counts.sum()).log()


def probability(z, label: int) -> float:
    """Compute the softmax probability of a label."""
    return math.exp(z[label]) / sum(math.exp(v) for v in z)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_is_cross_entropy_times_a_power_of_one_minus_p(z, gamma):
    result = losses.focal_loss(z, LABELS, gamma)
    for k in range(K):
        for i in range(N):
            p = probability(z[k, i].tolist(), LABELS[i])
            assert result[k, i].item() == pytest.approx(-((1 - p) ** gamma) * math.log(p), rel=1e-9)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_has_a_finite_gradient_where_the_label_is_certain(gamma):
    z = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    losses.focal_loss(z, torch.tensor([0, 0]), gamma).sum().backward()
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("beta", [0.0, 0.99, 0.9999, 1.0])
def test_class_weights_are_one_over_the_effective_number_and_sum_to_the_number_of_classes(beta):
    effective = [sum(beta**j for j in range(n)) for n in COUNTS]  # (1 - beta^n) / (1 - beta), with 0^0 = 1
    expected = [C / e / sum(1 / f for f in effective) for e in effective]
    assert losses.effective_number_weights(COUNTS, beta).tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rho", [0.0, 0.5, 1.2])
def test_generalized_weights_are_a_power_of_the_inverse_frequency(rho):
    shares = [n / sum(COUNTS) for n in COUNTS]
    expected = [C * (1 / r) ** rho / sum((1 / q) ** rho for q in shares) for r in shares]
    assert losses.inverse_frequency_weights(COUNTS, rho).tolist() == pytest.approx(expected, rel=1e-5)


def test_an_unseen_class_has_a_finite_weight():
    for weight in (losses.effective_number_weights((9, 0), 0.9999), losses.inverse_frequency_weights((9, 0), 1.2)):
        assert weight.isfinite().all() and weight[1] > weight[0]


def test_smoothed_cross_entropy_is_cross_entropy_with_the_smoothed_target(z):
    smoothing = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    result = losses.smoothed_cross_entropy(z, LABELS, smoothing)
    for k in range(K):
        for i in range(N):
            e, expected = smoothing[LABELS[i]].item(), 0.0
            for c in range(C):
                target = 1 - e if c == LABELS[i] else e / (C - 1)
                expected -= target * math.log(probability(z[k, i].tolist(), c))
            assert result[k, i].item() == pytest.approx(expected, rel=1e-9)
    assert torch.allclose(
        losses.smoothed_cross_entropy(z, LABELS, torch.zeros(C).double()), losses.cross_entropy(z, LABELS)
    )


@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_the_lade_regularizer_is_the_prior_weighted_bound_of_each_class(z, log_prior, penalty):
    result, prior = losses.lade_regularizer(z, LABELS, log_prior, penalty), log_prior.exp().tolist()
    for k in range(K):
        expected = 0.0
        for c in range(C):
            members = [z[k, i, c].item() for i in range(N) if LABELS[i] == c]
            mean = sum(members) / len(members) if members else 0.0
            weighted = [1 / C / prior[LABELS[i]] * math.exp(z[k, i, c]) for i in range(N)]
            r = math.log(sum(weighted) / N)
            expected += prior[c] * (-mean + r + penalty * r**2)
        assert result[k].item() == pytest.approx(expected, rel=1e-9)


def test_the_lade_regularizer_is_minimal_at_the_log_ratio():
    # two points x and three classes with unequal priors; under equal classes f(x)[c] = log p(x | c) / p(x)
    p_x_given_c = torch.tensor([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]], dtype=torch.float64)
    repeats = {(c, x): int(10 * p_x_given_c[c, x] * n) for c, n in enumerate((8, 4, 2)) for x in range(2)}
    labels = torch.tensor([c for (c, _), n in repeats.items() for _ in range(n)])
    points = torch.tensor([x for (_, x), n in repeats.items() for _ in range(n)])
    log_prior = (torch.tensor([8.0, 4.0, 2.0], dtype=torch.float64) / 14).log()
    f = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([f], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        total = losses.lade_regularizer(f[points], labels, log_prior, 0.1)
        total.backward()
        return total

    optimizer.step(loss)
    assert torch.allclose(f.detach(), (p_x_given_c / p_x_given_c.mean(0)).log().T, atol=1e-4)


@pytest.mark.parametrize(
    "label, unlearned, learned, difficulty",
    [
        (0, 0.0, 0.20149030205422644, 0.8322996850580217),
        (1, 0.16094379124341002, 0.04054651081081642, 1.1157058134179676),
        (2, 0.17917594692280547, 0.022314355131420965, 1.1534377278417651),
    ],
)
def test_a_prediction_that_moves_to_another_class_counts_as_unlearned(label, unlearned, learned, difficulty):
    before, after = (torch.tensor([p], dtype=torch.float64) for p in ([0.2, 0.5, 0.3], [0.4, 0.4, 0.2]))
    back, ahead = losses.prediction_change(before, after, torch.tensor([label]))
    assert (back.item(), ahead.item()) == pytest.approx((unlearned, learned), abs=1e-12)
    assert ((1 + back) / (1 + ahead)).item() == pytest.approx(difficulty, abs=1e-12)
