"""The landscape: filter norms, weights put back, and step 0 being the model itself."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from longtail.analysis import landscape
from longtail.evaluate import compute_logits


def state(method):
    return {name: value.clone() for name, value in method.state_dict().items()}


def test_every_filter_of_a_direction_has_the_norm_of_the_weights_and_the_rest_is_zero(ecl):
    direction = landscape.random_direction(ecl.method, torch.Generator().manual_seed(0))
    weights = landscape.inference_parameters(ecl.method)
    assert direction.keys() == weights.keys() and not any("key." in name or "ref." in name for name in direction)
    kinds = set()
    for name, d in direction.items():
        weight = weights[name].detach()
        if name.endswith("bias") or weight.dim() == 1:
            assert not d.any(), name
            continue
        kinds.add(weight.dim())
        rows = (-1, weight[0].numel()) if weight.dim() == 4 else (-1, weight.shape[-1])
        assert d.any() and torch.allclose(d.reshape(rows).norm(dim=1), weight.reshape(rows).norm(dim=1)), name
    assert kinds == {3, 4}  # heads of all experts, convolutions


def test_the_weights_come_back_bit_for_bit_even_after_an_error(ecl):
    before = state(ecl.method)
    direction = landscape.random_direction(ecl.method, torch.Generator().manual_seed(1))
    with pytest.raises(KeyboardInterrupt), landscape.moved_weights(ecl.method, direction, 0.3):
        assert not torch.equal(ecl.method.cls.weight, before["cls.weight"])
        assert torch.equal(ecl.method.cls.bias, before["cls.bias"])
        raise KeyboardInterrupt
    assert all(torch.equal(value, before[name]) for name, value in ecl.method.state_dict().items())


def test_step_zero_is_the_plain_loss_and_the_rest_is_another_place(ecl, monkeypatch):
    monkeypatch.setattr(landscape, "STEPS", 3)
    monkeypatch.setattr(landscape, "DIRECTIONS", 2)
    before = state(ecl.method)
    found = landscape.compute(ecl)
    chosen = landscape.draw_subset(ecl.labels, landscape.IMAGES)
    z = compute_logits(ecl.method, ecl.split.test.images[chosen], ecl.views).mean(0).double()
    assert found["step"].tolist() == [-1, 0, 1] and found["loss"].shape == (2, 3)
    assert found["loss"][:, 1].tolist() == [cross_entropy(z, ecl.labels[chosen]).item()] * 2
    assert np.allclose(found["accuracy"][:, 1], 100 * (z.argmax(-1) == ecl.labels[chosen]).double().mean().item())
    assert found["loss"][0, 0] != found["loss"][1, 0]
    assert all(torch.equal(value, before[name]) for name, value in ecl.method.state_dict().items())
    assert f"{found['loss'][:, 1].mean():.2f} nats" in landscape.describe(found)


def test_the_subset_is_fixed_distinct_and_no_larger_than_the_test():
    labels = torch.zeros(50, dtype=torch.long)
    chosen = landscape.draw_subset(labels, 20)
    assert len(set(chosen.tolist())) == 20 and torch.equal(chosen, landscape.draw_subset(labels, 20))
    assert landscape.draw_subset(labels, 400).tolist() == list(range(50))
