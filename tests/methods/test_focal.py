"""Focal loss as a method."""

import pytest
import torch
from test_contract import batch_for, build


def test_its_loss_is_the_mean_over_experts_and_samples_of_the_focal_loss():
    method = build("focal", experts=2, gamma=2.0)
    batch = batch_for(method)
    p = method.logits(batch.views[0]).softmax(-1)
    expected = [
        (1 - p[k, i, y].item()) ** 2 * -p[k, i, y].log().item() for k in range(2) for i, y in enumerate(batch.y)
    ]
    assert method(batch)["focal"].item() == pytest.approx(sum(expected) / len(expected), rel=1e-4)


def test_at_gamma_0_it_is_cross_entropy():
    method, plain = build("focal", gamma=0.0), build("ce")
    plain.load_state_dict(method.state_dict())
    batch = batch_for(method)
    assert torch.allclose(method(batch)["focal"], plain(batch)["ce"])
