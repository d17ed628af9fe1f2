"""The loss landscape: filter norms, restored weights, and the trained model at step 0."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from longtail.analysis import landscape
from longtail.evaluate import compute_logits


def copy_state(method):
    return {name: value.clone() for name, value in method.state_dict().items()}


def test_every_filter_of_a_direction_has_the_norm_of_the_weights_and_the_rest_is_zero(ecl):
    direction = landscape.draw_direction(ecl.method, torch.Generator().manual_seed(0))
    weights = landscape.get_inference_parameters(ecl.method)
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


def test_the_weights_are_restored_bit_for_bit_even_after_an_error(ecl):
    before = copy_state(ecl.method)
    direction = landscape.draw_direction(ecl.method, torch.Generator().manual_seed(1))
    with pytest.raises(KeyboardInterrupt), landscape.move_weights(ecl.method, direction, 0.3):
        assert not torch.equal(ecl.method.cls.weight, before["cls.weight"])
        assert torch.equal(ecl.method.cls.bias, before["cls.bias"])
        raise KeyboardInterrupt
    assert all(torch.equal(value, before[name]) for name, value in ecl.method.state_dict().items())


def test_step_zero_is_the_plain_loss_and_other_steps_have_another(ecl, monkeypatch):
    monkeypatch.setattr(landscape, "STEPS", 3)
    monkeypatch.setattr(landscape, "DIRECTIONS", 2)
    before = copy_state(ecl.method)
    arrays = landscape.compute(ecl)
    chosen = landscape.draw_positions(ecl.labels, landscape.IMAGES)
    z = compute_logits(ecl.method, ecl.split.test.images[chosen], ecl.transform_set).mean(0).double()
    assert arrays["step"].tolist() == [-1, 0, 1] and arrays["loss"].shape == (2, 3)
    assert arrays["loss"][:, 1] == pytest.approx([cross_entropy(z, ecl.labels[chosen]).item()] * 2, rel=1e-12)
    assert np.allclose(arrays["accuracy"][:, 1], 100 * (z.argmax(-1) == ecl.labels[chosen]).double().mean().item())
    assert arrays["loss"][0, 0] != arrays["loss"][1, 0]
    assert all(torch.equal(value, before[name]) for name, value in ecl.method.state_dict().items())
    assert f"{arrays['loss'][:, 1].mean():.2f} nats" in landscape.describe(arrays)


def test_the_positions_are_fixed_distinct_and_no_more_than_the_test_images():
    labels = torch.zeros(50, dtype=torch.long)
    chosen = landscape.draw_positions(labels, 20)
    assert len(set(chosen.tolist())) == 20 and torch.equal(chosen, landscape.draw_positions(labels, 20))
    assert landscape.draw_positions(labels, 400).tolist() == list(range(50))
