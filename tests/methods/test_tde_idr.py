"""TDE + IDR: difficulties from two epochs of predictions, their weights, and its limit of memory."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from longtail import LongtailError
from longtail.losses import prediction_change
from longtail.testing import build_method, make_batch


def test_difficulty_sums_the_changes_of_the_predictions_of_every_epoch_but_the_first():
    method = build_method("tde_idr", offset=0.5).eval()
    batch, before = make_batch(method), torch.full((16, 4), 0.25)
    batch.index = torch.arange(16) * 3 + 2
    unlearned = learned = torch.zeros(16)
    with torch.no_grad():
        for epoch in range(3):
            method.begin_epoch(iter([batch]))
            if epoch:
                p = method.cls(method.features(batch.views[0]))[0].softmax(-1)
                back, ahead = prediction_change(before, p, batch.y)
                unlearned, learned, before = unlearned + back, learned + ahead, p
            method.cls.weight.add_(torch.randn_like(method.cls.weight))
    expected = torch.ones(75)
    expected[batch.index] = (0.5 + unlearned) / (0.5 + learned)
    assert (expected != 1).sum() == 16 and torch.allclose(method.compute_difficulty(), expected, atol=1e-5)


def test_the_loss_of_an_image_weighs_its_difficulty_over_the_mean():
    method = build_method("tde_idr")
    batch = make_batch(method)
    method.back.copy_(torch.rand(75))
    method.ahead.copy_(torch.rand(75))
    d = [(1 + b) / (1 + a) for b, a in zip(method.back.tolist(), method.ahead.tolist(), strict=True)]
    ce = cross_entropy(method.cls(method.features(batch.views[0]))[0], batch.y, reduction="none").tolist()
    expected = sum(d[i] * ce[i] for i in range(16)) / 16 / (sum(d) / 75)
    assert method(batch)["ce"].item() == pytest.approx(expected, rel=1e-4)
    assert torch.equal(method.cls.mean[:, 0], method.features(batch.views[0]).mean(1))


def test_predictions_that_would_fill_memory_are_refused():
    with pytest.raises(LongtailError, match=r"would keep 13 GiB .* 437,513 images of 8,142 classes"):
        build_method("tde_idr", counts=(437_513 - 8141,) + (1,) * 8141)
