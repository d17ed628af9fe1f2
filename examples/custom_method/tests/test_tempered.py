"""The method keeps the contract of longtail, and its sampler draws the classes as it says."""

import torch
from longtail_tempered import Tempered, draw

from longtail.testing import check_method


def test_it_keeps_the_contract():
    check_method(Tempered)


def test_power_zero_draws_all_classes_equally_often():
    labels = torch.repeat_interleave(torch.arange(2), torch.tensor([3000, 300]))
    drawn = labels[draw(labels, (3000, 300), torch.Generator().manual_seed(0), power=0.0)]
    assert abs(drawn.float().mean() - 0.5) < 0.05
