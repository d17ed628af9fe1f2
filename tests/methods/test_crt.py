"""Classifier re-training as a method."""

import torch

from longtail.testing import build_method, enter_stage, make_batch


def test_the_second_stage_trains_a_new_head_on_frozen_features_and_balanced_batches():
    method = build_method("crt", experts=2)
    features, head = method.stages()
    assert features.samplers == ("instance",) and head.samplers == ("balanced",)
    x = make_batch(method).views[0]
    before, v = method.cls.weight.detach().clone(), method.eval().features(x)
    assert set(enter_stage(method, head)) == set(method.cls.parameters())
    assert not torch.isclose(before, method.cls.weight).any()
    assert torch.equal(v, method.features(x))  # in evaluation mode, and unchanged


def test_the_new_head_depends_on_the_seed():
    heads = []
    for seed in (0, 0, 1):
        method = build_method("crt")
        torch.manual_seed(seed)
        enter_stage(method, method.stages()[1])
        heads.append(method.cls.weight.detach().clone())
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])
