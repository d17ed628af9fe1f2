"""SADE against Eq. 1-4 in naive loops, and its aggregation on unlabeled test images."""

import pytest
import torch
from torch.nn import functional as F

import longtail
from longtail import evaluate, nets
from longtail.api import train
from longtail.augment import get_transform_set
from longtail.data import Batch, load_split
from longtail.methods.sade import SADE, reverse_prior

COUNTS = (10, 40, 5, 20)


def make(**options) -> SADE:
    torch.manual_seed(0)
    return SADE(COUNTS, nets.Net("conv4"), **options)


def test_the_reverse_prior_gives_the_rarest_class_the_largest_share():
    prior = torch.tensor(COUNTS) / 75
    assert torch.allclose(reverse_prior(prior.log()).exp(), torch.tensor([20.0, 5.0, 40.0, 10.0]) / 75)


def test_the_losses_equal_the_equations_in_naive_loops():
    method, y = make(), torch.arange(8) % 4
    x = torch.randn(8, 3, 8, 8)
    terms = method(Batch([x], y, torch.arange(8), torch.tensor(0.0)))
    z = 30 * torch.stack(
        [
            F.normalize(v, dim=1) @ F.normalize(w, dim=1).T
            for v, w in zip(method.encoders(x), method.cls.weight, strict=True)
        ]
    )
    pi, reverse = torch.tensor(COUNTS) / 75, torch.tensor([20.0, 5.0, 40.0, 10.0]) / 75
    expected = [
        F.cross_entropy(z[0], y),
        F.cross_entropy(z[1] + pi.log(), y),
        F.cross_entropy(z[2] + pi.log() - 2 * reverse.log(), y),
    ]
    assert list(terms) == ["as_trained", "uniform", "reversed"]
    assert torch.allclose(torch.stack([*terms.values()]), torch.stack(expected), rtol=1e-4)


class PassLogits(torch.nn.Module):
    def forward(self, x):
        return x[..., 0].transpose(0, 1)


class Scripted(SADE):
    """SADE whose "images" are the logits (N, 3, C, 1) of the three experts."""

    def __init__(self):
        super().__init__(COUNTS, nets.Net("conv4"), aggregate=True)
        self.encoders = torch.nn.Identity()
        self.cls = PassLogits()


def test_aggregation_follows_the_expert_that_two_views_agree_on_and_equals_a_loop():
    method = Scripted()
    g = torch.Generator().manual_seed(0)
    stable, noise = torch.randn(16, 1, 4, 1, generator=g) * 3, torch.randn(2, 16, 3, 4, 1, generator=g) * 3
    views = [torch.cat([n[:, :1], stable, n[:, 2:]], 1) for n in noise]
    result = method.adapt(lambda epoch: iter([views]))
    scores, velocity = torch.zeros(3, requires_grad=True), torch.zeros(3)
    for _ in range(result["passes"]):
        w, total = scores.exp() / scores.exp().sum(), 0.0
        for i in range(16):
            p, q = (sum(w[k] * view[i, k, :, 0] for k in range(3)).softmax(0) for view in views)
            total += (p @ q) / (p.norm() * q.norm()) / 16
        (grad,) = torch.autograd.grad(-total, scores)
        grad = grad + 5e-4 * scores.detach()
        velocity = 0.9 * velocity + grad
        scores = (scores.detach() - 0.1 * (grad + 0.9 * velocity)).requires_grad_()
    assert result["expert_weights"] == pytest.approx(scores.softmax(0).tolist(), abs=1e-5)
    assert result["expert_weights"][1] == max(result["expert_weights"]) > 0.34


def test_aggregation_learns_in_steps_of_128_images_on_every_device(monkeypatch):
    monkeypatch.setattr(evaluate, "CPU_BATCH", 1000)
    method, images, sizes = make(aggregate=True), load_split("digits-lt", 50.0).test, []
    method.adapt = lambda batches: sizes.extend(len(a) for a, b in batches(1)) or {}
    evaluate.adapt_to_test_images(method, images, get_transform_set("digits"), 0)
    assert set(sizes[:-1]) == {128} and sum(sizes) == len(images)


def test_the_mean_over_experts_is_the_weighted_sum():
    method, x = make().eval(), torch.randn(5, 3, 8, 8)
    plain = method.logits(x)
    assert torch.allclose(plain, method.cls(method.encoders(x)))
    method.aggregation.scores.copy_(torch.tensor([0.6, 0.3, 0.1]).log())
    weighted = sum(w * z for w, z in zip((0.6, 0.3, 0.1), plain, strict=True))
    assert torch.allclose(method.logits(x).mean(0), weighted, atol=1e-4)
    assert torch.equal(method.logits(x).argmax(-1), plain.argmax(-1))


def test_aggregation_is_off_by_default_and_otherwise_recorded_and_saved_with_the_model(tmp_path):
    assert "test_time" not in train("digits-lt", "sade", out=tmp_path / "off", epochs=1).results
    model = train("digits-lt", "sade", out=tmp_path / "on", epochs=1, aggregate=True)
    weights = model.results["test_time"]["expert_weights"]
    assert sum(weights) == pytest.approx(1, abs=1e-5) and weights != pytest.approx([1 / 3] * 3, abs=1e-6)
    again = longtail.load(tmp_path / "on")
    assert again.method.aggregation.scores.softmax(0).tolist() == pytest.approx(weights)
    split = load_split("digits-lt", again.recipe.imbalance)
    assert again.evaluate(split).results(again.train_counts)["flip"] == again.results["flip"]
