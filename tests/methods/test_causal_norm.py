"""De-confounded training and the total direct effect as a method."""

import pytest
import torch

from longtail import LongtailError
from longtail.testing import build_method, make_batch, train_steps


def compute_naively(method, v, mean, alpha: float) -> torch.Tensor:
    """Compute Eq. 8 head by head: (N, d) features and the (d,) mean of one network -> (N, C)."""
    z, half = torch.zeros(len(v), 4), v.shape[1] // 2
    for head in (slice(0, half), slice(half, None)):
        c = mean[head] / mean[head].norm()
        for i in range(len(v)):
            x = v[i, head] / v[i, head].norm()
            for k in range(4):
                w = method.cls.weight[0, k, head]
                direct = x @ w - alpha * torch.cosine_similarity(x, c, dim=0) * (c @ w)
                z[i, k] += 16 / 2 * direct / (w.norm() + 1 / 32)
    return z


def test_training_uses_multi_head_normalized_logits_and_testing_subtracts_the_mean_direction():
    method = build_method("causal_norm", alpha=1.5)
    train_steps(method, 2)
    method.eval()
    x = make_batch(method, 8).views[0]
    v, mean = method.features(x)[0], method.cls.mean[0, 0]
    assert torch.allclose(method.cls(method.features(x))[0], compute_naively(method, v, mean, 0.0), atol=1e-4)
    assert torch.allclose(method.logits(x)[0], compute_naively(method, v, mean, 1.5), atol=1e-4)


def test_the_mean_is_a_moving_sum_of_the_features_of_training():
    method, expected = build_method("causal_norm", experts=2), torch.zeros(2, 64)
    for seed in range(3):
        batch = make_batch(method, seed)
        expected = 0.9 * expected + method.features(batch.views[0]).detach().mean(1)
        method(batch)
        assert torch.allclose(method.cls.mean[:, 0], expected, atol=1e-5)


def test_parts_that_do_not_divide_the_features_are_refused():
    with pytest.raises(LongtailError, match="parts is 3; it must divide the 64 features of conv4"):
        build_method("causal_norm", parts=3)
