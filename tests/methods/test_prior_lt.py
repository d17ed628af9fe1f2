"""UniMix and Bayias as a method."""

import pytest
import torch

from longtail.augment import sample_beta
from longtail.testing import COUNTS, build_method, make_batches


def test_the_share_of_an_image_is_a_beta_draw_moved_round_by_the_other_classs_part_of_the_images():
    method = build_method("prior_lt")
    own, other = torch.tensor([0, 0, 3, 2]), torch.tensor([0, 3, 0, 1])
    torch.manual_seed(5)
    found = method.shares(own, other)
    torch.manual_seed(5)
    drawn = sample_beta(0.8, (4,), torch.device("cpu"))
    for i in range(4):
        n, m = COUNTS[own[i]], COUNTS[other[i]]
        moved = drawn[i].item() + m / (n + m)
        assert found[i].item() == pytest.approx(moved - 1 if moved > 1 else moved, abs=1e-5)


def test_its_loss_is_cross_entropy_under_the_prior_against_both_labels_in_their_shares():
    method = build_method("prior_lt")
    batch, partners = make_batches(method, method.stages()[0])
    torch.manual_seed(6)
    found = method(batch, partners)["unimix"]
    torch.manual_seed(6)
    share = method.shares(batch.y, partners.y)
    x = torch.stack([s * a + (1 - s) * b for s, a, b in zip(share, batch.views[0], partners.views[0], strict=True)])
    p = (method.logits(x)[0] + torch.tensor(COUNTS).log()).log_softmax(-1)
    expected = [share[i] * p[i, batch.y[i]] + (1 - share[i]) * p[i, partners.y[i]] for i in range(16)]
    assert found.item() == pytest.approx(-sum(expected).item() / 16, rel=1e-4)


def test_partners_come_from_a_sampler_of_their_own():
    assert build_method("prior_lt").stages()[0].samplers == ("instance", "square_root")
    assert build_method("prior_lt", partners="balanced").stages()[0].samplers == ("instance", "balanced")
