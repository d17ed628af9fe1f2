"""RIDE equals its losses in naive loops, and its router uses experts in order."""

import pytest
import torch
from torch.nn import functional as F

from longtail import nets
from longtail.api import train
from longtail.data import Batch
from longtail.methods.ride import RIDE, average_first_experts
from longtail.stages import plan_stages

COUNTS = (40, 20, 10, 5)


def make(**options) -> RIDE:
    torch.manual_seed(0)
    return RIDE(COUNTS, nets.Net("conv4"), **options)


def batch(progress: float, n: int = 12) -> Batch:
    g = torch.Generator().manual_seed(1)
    return Batch([torch.randn(n, 3, 8, 8, generator=g)], torch.arange(n) % 4, torch.arange(n), torch.tensor(progress))


@pytest.mark.parametrize("late", [False, True])
def test_the_losses_equal_their_definition_in_naive_loops(late):
    method, data = make(), batch(0.9 if late else 0.5)
    z, y, n = method.cls(method.encoders(data.views[0])), data.y, torch.tensor(COUNTS, dtype=torch.float64)
    terms = method(data)
    margin = 0.5 * n**-0.25 / (n**-0.25).max()
    weight = (1 - 0.9999) / (1 - 0.9999**n)
    weight = (4 * weight / weight.sum() if late else torch.ones(4)).float()
    temperature = 4 * n / n.sum() * 0.05 + 0.95
    temperature = (temperature / temperature.max() if late else torch.ones(4)).float()
    ldam = divergence = 0.0
    for k in range(3):
        shifted = z[k].clone()
        for i in range(len(y)):
            shifted[i, y[i]] -= 30 * margin[y[i]]
        ldam += F.cross_entropy(shifted, y, weight=weight)
        p = (z.mean(0).detach() / temperature).softmax(1)
        divergence += temperature.mean() ** 2 * (p * (p.log() - (z[k] / temperature).log_softmax(1))).sum(1).mean()
    assert terms["ldam"].item() == pytest.approx(ldam.item(), rel=1e-4)
    assert terms["diversity"].item() == pytest.approx(-0.2 * divergence.item(), rel=1e-3)


def test_ride_has_the_size_of_a_trunk_and_three_slim_branches():
    method = RIDE((1,) * 100, nets.Net("resnet32"))
    kept = sum(p.numel() for n, p in method.named_parameters() if n.startswith(("encoders", "cls")))
    block = lambda i, o: 9 * i * o + 2 * o  # noqa: E731
    trunk = block(3, 16) + 10 * block(16, 16)
    branch = block(16, 24) + 9 * block(24, 24) + block(24, 48) + 9 * block(48, 48)
    assert kept == trunk + 3 * (branch + 48 * 100)


def test_the_router_learns_where_a_later_expert_would_help():
    method, data = make(top=2), batch(0.5)
    v = method.encoders(data.views[0])
    z = method.cls(v)
    loss, scores = 0.0, method.router(v, average_first_experts(z))
    for k in range(2):
        for i in range(12):
            right = [z[: m + 1, i].mean(0).argmax() == data.y[i] for m in range(3)]
            helps = not right[k] and any(right[k + 1 :])
            loss += (100 * F.softplus(-scores[k, i]) if helps else F.softplus(scores[k, i])) / 24
    assert method.compute_router_loss(v, z, data.y).item() == pytest.approx(loss.item(), rel=1e-4)


def test_the_router_has_the_sampler_rate_and_decay_of_the_authors_code_and_5_of_200_epochs():
    (experts, router), epochs = make().stages(), [plan.epochs for plan in plan_stages(make().stages(), 205)]
    assert (router.samplers, router.trains, router.lr, router.weight_decay) == (("balanced",), ("router",), 0.01, 5e-4)
    assert (experts.samplers, experts.lr, experts.weight_decay) == (("instance",), None, None) and epochs == [200, 5]


def test_routing_uses_one_more_expert_only_while_every_earlier_one_asks(monkeypatch):
    method, x = make().eval(), batch(0.0, 4).views[0]
    scores = torch.tensor([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]])
    monkeypatch.setattr(method.router, "forward", lambda v, mean: scores)
    z, asked = method.route(x)
    assert asked.tolist() == [3, 2, 1, 1]
    full = method.logits(x)
    for i, k in enumerate(asked):
        assert torch.allclose(z[i], full[:k, i].mean(0), atol=1e-5)
    assert method.adapt(lambda epoch: iter([[x]]))["experts_asked"] == pytest.approx(7 / 4)


def test_the_last_stage_trains_only_the_router_and_the_results_say_how_many_experts_it_uses(tmp_path):
    results = train("digits-lt", "ride", out=tmp_path / "run", epochs=2, routing=1.0).results
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in rows[1:]] == ["experts", "router"] and "router" in rows[0]
    assert 1 <= results["test_time"]["experts_asked"] <= 3 and 0 <= results["test_time"]["same_choice_percent"] <= 100
    assert len(results["plain"]["experts"]) == 3
