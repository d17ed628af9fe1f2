"""Samplers: how often each class is drawn in an epoch."""

import pytest
import torch

from longtail.data.samplers import SAMPLERS

COUNTS = (900, 90, 9, 0, 1)
LABELS = torch.repeat_interleave(torch.arange(5), torch.tensor(COUNTS))


def effective(n: int, rarity: float) -> float:
    beta = 0.9999 + 1e-5 * rarity
    return n * (1 - beta) / (1 - beta**n)


EXPECTED = {
    "instance": [900, 90, 9, 0, 1],
    "balanced": [1, 1, 1, 0, 1],
    "square_root": [30, 90**0.5, 3, 0, 1],
    "reversed": [1 / 900, 1 / 90, 1 / 9, 0, 1],
    "effective_number": [effective(900, 0.0), effective(90, 0.3385), effective(9, 0.6770), 0, effective(1, 1.0)],
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_each_class_comes_as_often_as_its_source_says(name):
    order = torch.cat([SAMPLERS[name](LABELS, COUNTS, torch.Generator().manual_seed(i)) for i in range(60)])
    share = torch.bincount(LABELS[order], minlength=5) / len(order)
    expected = torch.tensor(EXPECTED[name]) / sum(EXPECTED[name])
    assert torch.allclose(share, expected, atol=0.01)


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_epoch_has_as_many_images_as_the_training_set_and_the_same_seed_gives_the_same_order(name):
    a, b, c = (SAMPLERS[name](LABELS, COUNTS, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert len(a) == len(LABELS) and torch.equal(a, b) and not torch.equal(a, c)
    if name == "instance":
        assert torch.equal(a.sort().values, torch.arange(len(LABELS)))
