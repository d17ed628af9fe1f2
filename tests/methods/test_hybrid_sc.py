"""Hybrid-SC: two batches in one pass, and weights that move from the contrast to the classifier."""

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from longtail.losses import supervised_contrastive
from longtail.testing import build_method, make_batches


@pytest.mark.parametrize("progress, alpha", [(0.0, 1.0), (0.25, 0.9375), (0.5, 0.75), (1.0, 0.0)])
def test_the_contrast_weighs_one_minus_the_squared_progress_and_cross_entropy_the_rest(progress, alpha):
    method = build_method("hybrid_sc")
    natural, balanced = make_batches(method, method.stages()[0])
    natural.progress, balanced.y = torch.tensor(progress), balanced.y.flip(0)
    v = method.encoders(torch.cat([*natural.views, balanced.views[0]]))[0]  # batch norm sees both batches
    points = normalize(method.projector(v[None, :32])[0], dim=1)
    contrast = supervised_contrastive(points, torch.cat([natural.y, natural.y]), 0.1).mean()
    ce = cross_entropy(method.cls(v[None, 32:])[0], balanced.y)
    terms = method(natural, balanced)
    assert terms["contrast"].item() == pytest.approx(alpha * contrast.item(), rel=1e-4)
    assert terms["ce"].item() == pytest.approx((1 - alpha) * ce.item(), rel=1e-4)


def test_the_second_batch_is_balanced():
    assert build_method("hybrid_sc").stages()[0].samplers == ("instance", "balanced")
