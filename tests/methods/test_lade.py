"""LADE as a method."""

import pytest
import torch

from longtail.losses import balanced_cross_entropy, lade_regularizer
from longtail.testing import build_method, make_batch


def test_the_loss_is_balanced_cross_entropy_and_a_tenth_of_the_regularizer():
    method = build_method("lade", experts=2)
    batch = make_batch(method)
    z, terms = method.logits(batch.views[0]), method(batch)
    assert torch.allclose(terms["bc"], balanced_cross_entropy(z, batch.y, method.log_prior).mean())
    per_expert = [
        lade_regularizer(z[k], batch.y, method.log_prior, 0.01).item() for k in range(2)
    ]  # as for CIFAR-100-LT
    assert terms["lader"].item() == pytest.approx(0.1 * sum(per_expert) / 2, rel=1e-4)
