"""ACE: experts of nested classes, of which the first alone trains the trunk."""

import pytest
import torch
from torch import nn

from longtail import nets
from longtail.methods.ace import ACE
from longtail.testing import build_method, make_batch


class Constant(nn.Module):
    """A module with a constant output."""

    def __init__(self, output: torch.Tensor):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output


def build_worked() -> ACE:
    """Build the worked example in float64: two experts, classes with 6, 3 and 1 images, three images of labels 0, 1, 2."""
    method = ACE((6, 3, 1), nets.Net("conv4"), experts=2)
    z = [[[2.0, 0, -1], [0, 1, 0], [1, 0, 3]], [[0.5, 1, 0], [1, 2, 0], [-1, 0, 2]]]
    method.encoders, method.cls = nn.Identity(), Constant(torch.tensor(z, dtype=torch.float64))
    method.rate = method.rate.double()
    return method


def test_the_loss_has_the_worked_values():
    method = build_worked()
    assert method.rate.tolist() == pytest.approx([1, 0.4])
    batch = make_batch(method)
    batch.y = torch.tensor([0, 1, 2])
    method.rate = torch.tensor([1, 0.4], dtype=torch.float64)
    terms = method(batch)
    assert terms["ce"].item() == pytest.approx(0.41253598114834056, rel=1e-12)
    # expert 2 sees the images of classes 1 and 2; its logits of class 0 are 1 and -1
    assert terms["suppress"].item() == pytest.approx(0.4 * 2**0.5, rel=1e-12)


def test_the_prediction_is_the_mean_over_a_classs_experts_at_the_weight_length_of_the_first():
    method = build_worked()
    method.cls.weight = torch.zeros(2, 3, 4, dtype=torch.float64)
    method.cls.weight[0, :, 0], method.cls.weight[1, :, 1] = torch.tensor([6.0, 4, 2]), torch.tensor([9.0, 1, 1])
    # lengths 4 and 1: class 0 is no target of expert 2, so its vector does not count
    assert method.logits(torch.empty(3, 3, 8, 8)).mean(0)[2].tolist() == pytest.approx([1, 0, 5.5], rel=1e-12)


def test_the_targets_are_nested_and_follow_falling_frequency():
    method = ACE((5, 100, 40, 10, 20, 80), nets.Net("conv4"), experts=3)
    assert method.target.int().tolist() == [[1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 1, 0], [1, 0, 0, 1, 0, 0]]
    assert method.rate.tolist() == pytest.approx([1, 75 / 255, 15 / 255])


def test_a_cifar_like_tail_is_cut_nearly_at_the_many_medium_and_few_shot_classes():
    counts = [round(500 * 0.01 ** (c / 99)) for c in range(100)]
    assert ACE(counts, nets.Net("conv4")).target.sum(1).tolist() == [100, 67, 34]


def test_the_trunk_learns_from_the_first_expert_only():
    method, batch = build_method("ace"), make_batch(build_method("ace"))
    z = method.cls(method.encoders(batch.views[0]))
    weight = method.encoders.body.trunk[0][0].weight
    gradients = [torch.autograd.grad(z[k].square().sum(), weight, retain_graph=True)[0] for k in range(3)]
    assert [bool(g.any()) for g in gradients] == [True, False, False]


def test_an_expert_without_images_in_the_batch_adds_nothing_and_its_gradient_is_zero():
    method = build_method("ace")
    batch = make_batch(method)
    batch.y = torch.zeros_like(batch.y)
    terms = method(batch)
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert method.cls.weight.grad[0].any() and not method.cls.weight.grad[1:].any()
