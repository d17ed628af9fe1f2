"""Logit adjustment after training as a method."""

import torch

from longtail.testing import COUNTS, build_method, make_batch


def test_training_is_cross_entropy_and_the_test_subtracts_the_log_prior():
    method, plain = build_method("logit_adjustment", tau=1.5), build_method("ce")
    batch = make_batch(method)
    assert torch.equal(method(batch)["ce"], plain(batch)["ce"])
    x = batch.views[0]
    adjusted, raw = method.logits(x), plain.logits(x)
    for c, n in enumerate(COUNTS):
        assert torch.allclose(adjusted[..., c], raw[..., c] - 1.5 * torch.tensor(n / sum(COUNTS)).log(), atol=1e-5)
