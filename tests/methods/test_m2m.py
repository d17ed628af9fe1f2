"""Major-to-minor translation: who is replaced, from which seed, and how an image moves."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from longtail.losses import cross_entropy
from longtail.methods.m2m import M2m, compute_seed_weights, scale_to_length, step_down
from longtail.testing import build_method, enter_stage, make_batch, train_steps


def begin(**options) -> M2m:
    """Build the method at the beginning of the last stage, with some training before."""
    method = build_method("m2m", **options)
    first, last = method.stages()
    method.stages = lambda: [first]
    train_steps(method, 4)
    enter_stage(method, last)
    return method


def test_seeds_are_drawn_from_larger_classes_by_the_gap_of_their_counts():
    weight = compute_seed_weights(torch.tensor([500, 100, 5], dtype=torch.float64), 0.999)
    assert weight[0].tolist() == [0, 0, 0]
    assert weight[1].tolist() == pytest.approx([0.3298140939932599, 0, 0], rel=1e-12)
    assert weight[2].tolist() == pytest.approx([0.39058004346455033, 0.09067028853734094, 0], rel=1e-12)


def test_a_step_has_its_length_in_units_of_each_channels_range_and_stays_inside_it():
    x, gradient = torch.zeros(1, 2, 1, 1, dtype=torch.float64), torch.tensor([3.0, 4.0]).double().view(1, 2, 1, 1)
    black, white = torch.full((1, 2, 1, 1), -1.0), torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    moved = step_down(x, gradient, black.double(), white.double(), 0.1)
    assert moved.flatten().tolist() == pytest.approx([-0.16641005886756877, -0.05547001962252292], rel=1e-12)
    assert step_down(x, gradient, black.double(), white.double(), 9.0).flatten().tolist() == [-1, -1]


def test_images_are_scaled_to_a_length_and_zeros_stay():
    v = torch.randn(3, 3, 4, 4)
    v[1] = 0
    assert scale_to_length(v, 50.0).flatten(1).norm(dim=1).tolist() == pytest.approx([50, 0, 50], rel=1e-5)


class Constant(nn.Module):
    """A module with a constant output."""

    def __init__(self, *output: float):
        super().__init__()
        self.output = torch.tensor([[output]], dtype=torch.float64)

    def forward(self, x):
        return self.output


def test_a_translation_lowers_the_guides_loss_and_the_logit_of_the_seeds_class():
    method = build_method("m2m")
    method.guide, method.encoders, method.cls = Constant(1, 2, 0), nn.Identity(), Constant(0, 1.5, 3)
    found = method.compute_distance(torch.empty(1, 3, 8, 8), torch.tensor([2]), torch.tensor([1]))
    assert found.item() == pytest.approx(3.15760596444438, rel=1e-12)


def test_more_moves_lower_the_distance_further():
    method, far = begin(beta=0.5, gamma=0.0, noise=0.0), []
    batch = make_batch(method)
    x, y, away = batch.views[0], batch.y, torch.zeros_like(batch.y)
    method.eval()
    black, white = x.amin((0, 2, 3), keepdim=True), x.amax((0, 2, 3), keepdim=True)
    for _ in range(4):
        far.append(method.compute_distance(x, y, away).sum().item())
        x = step_down(x, method.compute_gradient(x, y, away), black, white, 0.1)
    assert far == sorted(far, reverse=True) and far[-1] < far[0]


def test_images_are_replaced_by_the_rarity_of_their_class_and_never_of_the_largest():
    torch.manual_seed(0)
    method = begin(beta=0.0, gamma=0.0, moves=1)  # q is 1 for every larger class
    batch, share = make_batch(method), torch.zeros(4)
    for _ in range(100):
        used = method.translate(batch.views[0], batch.y)[1]
        share += torch.stack([used[batch.y == c].float().mean() for c in range(4)]) / 100
    assert share[0] == 0 and torch.allclose(share[1:], torch.tensor([0.5, 0.75, 0.875]), atol=0.1)


def test_only_the_used_images_change_and_a_guide_that_is_never_sure_leaves_all():
    method = begin(beta=0.5, gamma=0.0)
    batch = make_batch(method)
    made, used = method.translate(batch.views[0], batch.y)
    changed = (made != batch.views[0]).flatten(1).any(1)
    assert used.any() and torch.equal(changed, used)
    never = begin(beta=0.5, gamma=1.01)
    made, used = never.translate(batch.views[0], batch.y)
    assert torch.equal(made, batch.views[0]) and not used.any()


def test_used_images_are_those_that_the_guide_takes_for_the_class():
    method = begin(beta=0.0, gamma=0.6, step_size=1.0, moves=20)
    batch = make_batch(method)
    torch.manual_seed(1)
    made, used = method.translate(batch.views[0], batch.y)
    assert used.any()
    sure = method.guide(made)[0].softmax(-1).gather(-1, batch.y.unsqueeze(-1)).squeeze(-1)
    assert (sure[used] >= 0.6).all()


def test_a_translation_changes_neither_statistics_nor_gradients_nor_the_mode_of_the_network():
    method = begin(beta=0.5, gamma=0.0)
    batch = make_batch(method)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.zero_grad()
    method.translate(batch.views[0], batch.y)
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert all(p.grad is None for p in method.parameters())
    assert method.encoders.training and not method.guide.training


def test_the_first_stage_trains_two_networks_and_the_last_the_first_of_them():
    method = build_method("m2m")
    first, last = method.stages()
    enter_stage(method, first)
    batch = make_batch(method)
    terms = method(batch)
    assert terms["ce"].item() == pytest.approx(cross_entropy(method.logits(batch.views[0]), batch.y).mean().item())
    assert terms["guide"].item() == pytest.approx(cross_entropy(method.guide(batch.views[0]), batch.y).mean().item())
    assert terms["ce"] != terms["guide"]
    assert last == replace(last, share=0.2, samplers=("balanced",), trains=("encoders", "cls"), lr_scale=0.1)


@pytest.mark.parametrize("u, replaced", [(0.005, []), (0.0101, [2]), (0.1999, [2]), (0.2001, [1, 2]), (0.9999, [1, 2])])
def test_an_image_is_replaced_with_probability_0_at_500_images_a_class_80_at_100_and_99_at_5(u, replaced, monkeypatch):
    method = build_method("m2m", counts=(500, 100, 5), beta=0.0, gamma=0.0, moves=1)
    batch = make_batch(method)
    y = batch.y.clamp_max(2)
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.full_like(x, u))
    used = method.translate(batch.views[0], y)[1]
    assert y[used].unique().tolist() == replaced
