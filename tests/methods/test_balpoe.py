"""BalPoE: its loss on a worked example, the strengths of its experts, and their mean prior."""

import pytest
import torch

from longtail.augment import mixup
from longtail.testing import COUNTS, build_method, make_batch

PRIOR = torch.tensor(COUNTS) / 75


def test_the_loss_is_that_of_the_worked_example():
    method = build_method("balpoe", counts=(6, 3, 1)).double()
    method.shifts = (
        torch.tensor([0.0, 1, 2], dtype=torch.float64).view(3, 1, 1)
        * torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64).log()
    )
    z = torch.tensor([[[1, 2, 0]], [[0, 1, 1]], [[2, 0, 1]]], dtype=torch.float64)
    labels, share = (torch.tensor([0]), torch.tensor([2])), torch.tensor(0.7, dtype=torch.float64)
    assert method.compute_loss(z, *labels, share).item() == pytest.approx(1.465754078553881, abs=1e-12)


def test_expert_k_adds_its_share_of_the_spread_times_the_log_prior():
    shifts = build_method("balpoe", experts=5, spread=1.0).shifts
    expected = [t * PRIOR.log() for t in (0, 0.25, 0.5, 0.75, 1)]
    assert torch.allclose(shifts[:, 0], torch.stack(expected), atol=1e-6)


def test_a_batch_is_mixed_with_itself_before_the_experts_see_it():
    method = build_method("balpoe", alpha=0.7)
    batch = make_batch(method)
    torch.manual_seed(3)
    found = method(batch)["experts"]
    torch.manual_seed(3)
    x, other, share = mixup(batch.views[0], batch.y, 0.7)
    z, total = method.logits(x), 0.0
    for k in range(3):
        log_p = (z[k] + k * PRIOR.log()).log_softmax(-1)
        total -= sum(share * log_p[i, batch.y[i]] + (1 - share) * log_p[i, other[i]] for i in range(16)) / 16
    assert found.item() == pytest.approx(total.item() / 3, rel=1e-4)


def test_the_branches_have_the_full_width_of_the_network():
    assert build_method("balpoe").cls.weight.shape == (3, 4, 64)
    assert build_method("sade").cls.weight.shape == (3, 4, 48)


def test_the_mean_of_the_logits_assumes_the_prior_that_the_mean_strength_leaves():
    assert build_method("balpoe").assumed_log_prior().abs().max() == 0
    assert torch.allclose(build_method("balpoe", spread=1.0).assumed_log_prior(), 0.5 * PRIOR.log())
