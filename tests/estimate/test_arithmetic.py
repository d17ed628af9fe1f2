"""The costs of methods: known sizes of ResNet-32, and a counter that equals a loop over layers."""

import pytest
import torch
from torch import nn

from longtail.commands.listings import methods
from longtail.errors import LongtailError
from longtail.estimate.arithmetic import MacCounter, count_costs
from longtail.methods import METHODS


def test_a_counted_network_has_the_products_of_its_layers():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1, stride=2, groups=2), nn.Flatten(), nn.Linear(64, 10)
    )
    with MacCounter() as counter:
        net(torch.zeros(2, 3, 8, 8))
    first, second, third = 8 * 64 * 3 * 9, 4 * 16 * 4, 64 * 10
    assert counter.macs == 2 * (first + second + third)


def test_ecl_trains_and_keeps_the_parameters_of_the_paper():
    ce, ecl = count_costs("ce"), count_costs("ecl")
    assert (ce.trained_parameters, ce.parameters, ce.views) == (470_004, 470_004, 1)
    assert (ecl.trained_parameters, ecl.parameters, ecl.views) == (1_454_472, 1_410_012, 2)
    assert ecl.macs == 3 * ce.macs and 68e6 < ce.macs < 70e6  # K = 3; 0.07 G in SADE's README
    assert 6 * ce.macs < ecl.training_macs < 6.1 * ce.macs  # three networks and three key networks, one view each


def test_stages_count_by_their_share_of_the_epochs():
    one, dive = count_costs("ce").macs, count_costs("dive")
    assert dive.training_macs == 1.5 * one and dive.macs == one  # the second half passes the teacher too


def test_gradients_inside_a_step_are_counted():
    assert count_costs("m2m").training_macs > 2 * count_costs("ce").training_macs


def test_counting_leaves_the_random_state_as_it_was():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    count_costs("mixup")
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_costs(name):
    costs = count_costs(name)
    assert costs.training_macs >= costs.macs / 3 > 0 and costs.trained_parameters and costs.parameters and costs.views


def test_the_listing_of_costs_has_parameters_macs_and_the_printed_value(capsys):
    methods("ncl", cost=True)
    text = " ".join(capsys.readouterr().out.split())
    assert "│ ncl │ 2 │ 1.43 │ 413 │ 1.41 │ 207 │ 54.2 │" in text and "published elsewhere" in text
    with pytest.raises(LongtailError, match="unknown method 'nlc'"):
        methods("nlc", cost=True)
