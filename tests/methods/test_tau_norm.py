"""The tau-normalized classifier as a method."""

import pytest
import torch

from longtail.testing import build_method, enter_stage


@pytest.mark.parametrize("tau", [0.0, 0.7, 1.0])
def test_the_weights_of_a_class_are_divided_by_a_power_of_their_norm_and_the_bias_is_zero(tau):
    method = build_method("tau_norm", tau=tau, experts=2)
    before = method.cls.weight.detach().clone()
    train, normalize = method.stages()
    assert train.share == 1 and normalize.share == 0
    enter_stage(method, normalize)
    for k in range(2):
        for c in range(4):
            assert torch.allclose(method.cls.weight[k, c], before[k, c] / before[k, c].norm() ** tau, atol=1e-6)
    assert (method.cls.bias == 0).all()
