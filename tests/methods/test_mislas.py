"""MiSLAS as a method."""

import math

import pytest
import torch

from longtail.methods.mislas import compute_smoothing
from longtail.testing import build_method, enter_stage, make_batch


def test_smoothing_falls_from_the_largest_class_to_the_smallest_along_a_sine():
    counts = (500, 200, 50, 5)
    smoothing = compute_smoothing(counts, 0.4, 0.1)
    for c, n in enumerate(counts):
        expected = 0.1 + 0.3 * math.sin(math.pi * (n - 5) / (2 * (500 - 5)))
        assert smoothing[c].item() == pytest.approx(expected)
    assert compute_smoothing((9, 9), 0.4, 0.1).isfinite().all()


def test_the_first_stage_is_mixup_and_the_second_smooths_over_batch_norm_that_follows_frozen_weights():
    method = build_method("mislas")
    assert list(method(make_batch(method))) == ["mixup"]
    trained = enter_stage(method, method.stages()[1])
    assert set(trained) == {*method.cls.parameters(), method.scale.factor}
    norm = next(m for m in method.encoders.modules() if isinstance(m, torch.nn.BatchNorm2d))
    before = norm.running_mean.clone(), norm.weight.detach().clone()
    batch = make_batch(method)
    p = method.logits(batch.views[0])[0].log_softmax(-1)
    smoothing = compute_smoothing(method.counts, 0.4, 0.1).tolist()
    expected = 0.0
    for i, y in enumerate(batch.y.tolist()):
        e = smoothing[y]
        expected -= sum(p[i, c].item() * (1 - e if c == y else e / 3) for c in range(4)) / len(batch.y)
    assert method(batch)["las"].item() == pytest.approx(expected, rel=1e-4)
    assert not torch.equal(before[0], norm.running_mean) and torch.equal(before[1], norm.weight)
