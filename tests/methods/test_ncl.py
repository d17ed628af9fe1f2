"""NCL equals its definition in naive loops: hard classes, balanced logits, sums over experts, nothing detached."""

import pytest
import torch
from torch.nn import functional as F

from longtail import nets
from longtail.data import Batch, exponential_counts
from longtail.losses import hard_categories
from longtail.methods.ncl import NCL

COUNTS = tuple(exponential_counts(10, 60, 20))


def make(**options) -> NCL:
    torch.manual_seed(0)
    return NCL(COUNTS, nets.Net("conv4"), **options)


def batch(n: int = 12) -> Batch:
    g = torch.Generator().manual_seed(1)
    views = [torch.randn(n, 3, 8, 8, generator=g) for _ in range(2)]
    return Batch(views, torch.arange(n) % 10, torch.arange(n), torch.tensor(0.0))


def test_hard_classes_are_the_label_and_the_most_likely_other_classes():
    z, y = torch.randn(3, 20, 10), torch.randint(0, 10, (20,))
    classes = hard_categories(z, y, 4)
    for k in range(3):
        for i in range(20):
            ranked = sorted(range(10), key=lambda c: (c == y[i], z[k, i, c]), reverse=True)
            assert classes[k, i].tolist() == ranked[:4]


def compute_naively(method: NCL, data: Batch) -> dict[str, torch.Tensor]:
    """Compute the terms expert by expert and pair by pair; an infinite mask removes classes that are not hard."""
    (a, b), y, n = data.views, data.y, torch.tensor(COUNTS)
    vs = [expert(a) for expert in method.encoders.experts]
    zs = [v @ w.T + c for v, w, c in zip(vs, method.cls.weight, method.cls.bias, strict=True)]
    mask = torch.full_like(zs[0], -torch.inf)
    for i, row in enumerate(zs[0]):
        others = sorted((c for c in range(10) if c != y[i]), key=lambda c: row[c].item(), reverse=True)
        mask[i, [y[i].item(), *others[:2]]] = 0.0  # 0.3 of 10 classes
    balanced = [z + n.log() for z in zs]
    hard = [u + mask for u in balanced]
    out = dict.fromkeys(("bc", "bc_hard", "distil", "distil_hard", "contrast"), 0.0)
    for k in range(3):
        out["bc"] += F.cross_entropy(balanced[k], y)
        out["bc_hard"] += F.cross_entropy(hard[k], y)
        for q in range(3):
            if q != k:
                for name, logits in (("distil", balanced), ("distil_hard", hard)):
                    p, gap = logits[q].softmax(1), logits[q].log_softmax(1) - logits[k].log_softmax(1)
                    out[name] += 0.6 / 2 * (p * gap.nan_to_num(0.0)).sum(1).mean()
        query = F.normalize(method.projector(torch.stack(vs))[k], dim=1)
        key = F.normalize(method.key(b)[k], dim=1)
        scores = torch.cat([(query * key).sum(1, keepdim=True), query @ method.queue.keys[k].T], 1) / 0.2
        out["contrast"] += F.cross_entropy(scores, torch.zeros(len(y), dtype=torch.long))
    return out


def test_the_loss_and_its_gradient_equal_the_definition_in_naive_loops():
    method, again, data = make(), make(), batch()
    terms, expected = method(data), compute_naively(again, data)
    assert list(terms) == list(expected)
    for name in terms:
        assert terms[name].item() == pytest.approx(expected[name].item(), rel=1e-4), name
    sum(terms.values()).backward()
    sum(expected.values()).backward()
    for (name, p), q in zip(method.named_parameters(), again.parameters(), strict=True):
        if p.requires_grad:
            assert torch.allclose(p.grad, q.grad, rtol=1e-3, atol=1e-4), name


def test_ncl_has_the_size_of_ecl_without_reference_heads():
    method = NCL(exponential_counts(100, 500, 100), nets.Net("resnet32"))
    assert sum(p.numel() for p in method.parameters() if p.requires_grad) == 1_454_472 - 3 * 6_500


def test_head_cosine_gives_heads_whose_logits_are_bounded_by_the_scale():
    method = make(head="cosine", scale=32.0)
    assert isinstance(method.cls, nets.CosineHeads) and 1 < method.logits(batch().views[0]).abs().max() <= 32
    assert sum(method(batch()).values()).isfinite()


def test_at_least_two_classes_are_hard_and_at_most_all():
    assert NCL((9, 6, 3, 1), nets.Net("conv4")).hard == 2
    assert NCL((9, 6, 3, 1), nets.Net("conv4"), hard=1.0).hard == 4
