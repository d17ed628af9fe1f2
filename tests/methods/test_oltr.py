"""OLTR: its head on a worked example, centroids measured after the first stage, and what learns when."""

import math

import pytest
import torch

from longtail.methods.oltr import MetaEmbedding
from longtail.testing import build_method, enter_stage, make_batch


def make_example() -> tuple[MetaEmbedding, torch.Tensor]:
    head = MetaEmbedding(1, 2, 2, reach=10.0, scale=16.0).double()
    with torch.no_grad():
        for layer, bias in ((head.hallucinator, [0, math.log(3)]), (head.selector, [0.5, -0.5])):
            layer.weight.zero_()
            layer.bias.copy_(torch.tensor([bias], dtype=torch.float64))
        head.centroids.copy_(torch.tensor([[3, 0], [0, 4]]))
        head.weight.copy_(torch.tensor([[[1, 0], [1, 1]]]))
    return head, torch.tensor([[[3, 4]]], dtype=torch.float64)


def test_the_logits_are_those_of_the_worked_example_once_centroids_are_measured():
    head, v = make_example()
    assert head(v).flatten().tolist() == pytest.approx([0, math.log(3)], abs=1e-12)
    head.filled.fill_(True)
    assert head(v).flatten().tolist() == pytest.approx([11.777876321563266, 14.832462005541155], abs=1e-12)
    x = [11.155292893150024, 8.712161760733236]
    size = 1 + math.hypot(*x)
    expected = [16 * x[0] / size, 16 * (x[0] + x[1]) / math.sqrt(2) / size]
    assert head(v).flatten().tolist() == pytest.approx(expected, abs=1e-12)


def test_centroids_learn_by_their_own_loss_only():
    head, v = make_example()
    head.filled.fill_(True)
    head(v.requires_grad_()).sum().backward()
    assert head.centroids.grad is None and v.grad.abs().sum() > 0 and head.selector.bias.grad.abs().sum() > 0


def test_the_first_stage_is_a_plain_network_and_centroids_are_then_its_class_means():
    method = build_method("oltr")
    features, centroids, memory = method.stages()
    names = {id(p): name for name, p in method.named_parameters() if name.startswith("cls")}
    trained = {names.get(id(p)) for p in enter_stage(method, features)} - {None}
    assert trained == {"cls.hallucinator.weight", "cls.hallucinator.bias"}
    batch = make_batch(method)
    plain = torch.nn.functional.cross_entropy(method.logits(batch.views[0])[0], batch.y)
    assert method(batch)["ce"].item() == pytest.approx(plain.item(), rel=1e-5)
    enter_stage(method, centroids)
    batches = [make_batch(method, seed) for seed in range(3)]
    v, y = torch.cat([method.features(b.views[0])[0] for b in batches]), torch.cat([b.y for b in batches])
    for c in range(4):
        assert torch.allclose(method.cls.centroids[c], v[y == c].mean(0), atol=1e-5)
    trained = {names.get(id(p)) for p in enter_stage(method, memory)} - {None}
    assert trained == set(names.values()) and memory.samplers == ("balanced",)


def test_the_second_stage_adds_the_weighted_loss_of_the_centroids():
    method = build_method("oltr", repel=0.5, margin=50.0, memory_weight=0.3)
    for stage in method.stages():
        enter_stage(method, stage)
    batch = make_batch(method)
    v, m = method.encoders(batch.views[0])[0], method.cls.centroids
    distance = [[(v[i] - m[c]).square().sum().item() for c in range(4)] for i in range(16)]
    others = sum(distance[i][c] for i in range(16) for c in range(4) if c != batch.y[i]) / 64
    total = sum(distance[i][batch.y[i]] for i in range(16)) / 32 + 0.5 * (50 - others)
    assert others < 50 and method(batch)["memory"].item() == pytest.approx(0.3 * total, rel=1e-3)
