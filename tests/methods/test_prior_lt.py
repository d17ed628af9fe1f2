"""UniMix and Bayias as a method."""

import pytest
import torch

from longtail.augment import sample_beta
from longtail.testing import COUNTS, build_method, make_batches


def test_the_share_of_an_image_is_a_beta_draw_plus_a_ratio_of_class_sizes_modulo_1():
    method = build_method("prior_lt")
    first, second = torch.tensor([0, 0, 3, 2]), torch.tensor([0, 3, 0, 1])
    torch.manual_seed(5)
    shares = method.draw_shares(first, second)
    torch.manual_seed(5)
    drawn = sample_beta(0.8, (4,), torch.device("cpu"))
    for i in range(4):
        n, m = COUNTS[first[i]], COUNTS[second[i]]
        moved = drawn[i].item() + m / (n + m)
        assert shares[i].item() == pytest.approx(moved - 1 if moved > 1 else moved, abs=1e-5)


def test_the_loss_is_balanced_cross_entropy_with_both_labels_by_their_shares():
    method = build_method("prior_lt")
    batch, partners = make_batches(method, method.stages()[0])
    torch.manual_seed(6)
    loss = method(batch, partners)["unimix"]
    torch.manual_seed(6)
    share = method.draw_shares(batch.y, partners.y)
    x = torch.stack([s * a + (1 - s) * b for s, a, b in zip(share, batch.views[0], partners.views[0], strict=True)])
    p = (method.logits(x)[0] + torch.tensor(COUNTS).log()).log_softmax(-1)
    expected = [share[i] * p[i, batch.y[i]] + (1 - share[i]) * p[i, partners.y[i]] for i in range(16)]
    assert loss.item() == pytest.approx(-sum(expected).item() / 16, rel=1e-4)


def test_partners_come_from_a_second_sampler():
    assert build_method("prior_lt").stages()[0].samplers == ("instance", "square_root")
    assert build_method("prior_lt", partners="balanced").stages()[0].samplers == ("instance", "balanced")
