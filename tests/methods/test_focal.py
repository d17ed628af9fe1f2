"""Focal loss as a method."""

import pytest
import torch

from longtail.testing import build_method, make_batch


def test_the_loss_is_the_mean_of_the_focal_loss_over_experts_and_samples():
    method = build_method("focal", experts=2, gamma=2.0)
    batch = make_batch(method)
    p = method.logits(batch.views[0]).softmax(-1)
    expected = [
        (1 - p[k, i, y].item()) ** 2 * -p[k, i, y].log().item() for k in range(2) for i, y in enumerate(batch.y)
    ]
    assert method(batch)["focal"].item() == pytest.approx(sum(expected) / len(expected), rel=1e-4)


def test_gamma_0_is_cross_entropy():
    method, plain = build_method("focal", gamma=0.0), build_method("ce")
    plain.load_state_dict(method.state_dict())
    batch = make_batch(method)
    assert torch.allclose(method(batch)["focal"], plain(batch)["ce"])
