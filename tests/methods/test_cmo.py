"""Context-rich minority over-sampling as a method."""

from dataclasses import replace

import pytest
import torch

from longtail.losses import cross_entropy
from longtail.testing import build_method, make_batch


def make_constant_batch(method, value: float, label: int):
    batch = make_batch(method)
    return replace(batch, views=[torch.full((16, 3, 8, 8), value)], y=torch.full((16,), label))


def test_labels_count_by_the_areas_of_image_and_patch(monkeypatch):
    method, seen = build_method("cmo", probability=1.0), []
    logits = method.logits
    monkeypatch.setattr(method, "logits", lambda x: seen.append(x) or logits(x))
    areas = []
    for seed in range(8):
        torch.manual_seed(seed)
        loss = method(make_constant_batch(method, 0.0, 0), make_constant_batch(method, 1.0, 3))["cutmix"]
        x = seen[-1]
        pasted = x[0, 0].mean()
        z = logits(x)
        base, patch = (cross_entropy(z, torch.full((16,), c)).mean() for c in (0, 3))
        assert torch.allclose(loss, (1 - pasted) * base + pasted * patch, atol=1e-5)
        areas.append(pasted.item())
    assert len(set(areas)) > 4


@pytest.mark.parametrize("progress, probability", [(0.01, 1.0), (0.99, 1.0), (0.5, 0.0)])
def test_nothing_is_pasted_at_either_end_of_training_nor_at_probability_0(progress, probability):
    method, plain = build_method("cmo", probability=probability), build_method("ce")
    batch = replace(make_batch(method), progress=torch.tensor(progress))
    assert torch.allclose(method(batch, make_batch(method, 7))["cutmix"], plain(batch)["ce"])


def test_patches_come_from_a_second_sampler():
    assert build_method("cmo").stages()[0].samplers == ("instance", "balanced")
    assert build_method("cmo", patches="reversed").stages()[0].samplers == ("instance", "reversed")
