"""Learnable weight scaling as a method."""

import torch

from longtail.testing import build_method, enter_stage, make_batch


def test_the_second_stage_learns_one_factor_a_class_and_nothing_else():
    method = build_method("lws", experts=2)
    assert set(enter_stage(method, method.stages()[1])) == {method.scale.factor}
    assert method.scale.factor.numel() == 2 * 4


def test_a_logit_of_the_first_stage_is_multiplied_by_the_factor_of_its_class():
    method, plain = build_method("lws"), build_method("ce")
    x = make_batch(method).views[0]
    plain.load_state_dict({k: v for k, v in method.state_dict().items() if not k.startswith("scale")})
    assert torch.equal(method.logits(x), plain.logits(x))
    with torch.no_grad():
        method.scale.factor.copy_(torch.tensor([0.5, 1.0, 2.0, 3.0]))
    for c, factor in enumerate((0.5, 1.0, 2.0, 3.0)):
        assert torch.allclose(method.logits(x)[..., c], factor * plain.logits(x)[..., c])
