"""BBN against Eq. 1, 3 and 5 in naive loops."""

import pytest
import torch
from torch.nn import functional as F

from longtail import nets
from longtail.data import Batch
from longtail.methods.bbn import BBN

COUNTS = (40, 20, 10, 5)


def batch(seed: int, progress: float) -> Batch:
    g = torch.Generator().manual_seed(seed)
    x, y = torch.randn(8, 3, 8, 8, generator=g), torch.randint(0, 4, (8,), generator=g)
    return Batch([x], y, torch.arange(8), torch.tensor(progress))


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_the_loss_equals_the_equations_in_naive_loops(progress):
    torch.manual_seed(0)
    method, c, r = BBN(COUNTS, nets.Net("conv4")), batch(1, progress), batch(2, progress)
    terms, (w_c, w_r), (b_c, b_r) = method(c, r), method.cls.weight, method.cls.bias
    body = method.encoders.body
    f_c = body.branches[0](body.trunk(c.views[0])).mean((2, 3))
    f_r = body.branches[1](body.trunk(r.views[0])).mean((2, 3))
    alpha = 1 - progress**2
    loss = torch.zeros(())
    for i in range(8):
        z = alpha * (w_c @ f_c[i] + b_c) + (1 - alpha) * (w_r @ f_r[i] + b_r)
        loss += (alpha * -z.log_softmax(0)[c.y[i]] + (1 - alpha) * -z.log_softmax(0)[r.y[i]]) / 8
    assert sum(terms.values()).item() == pytest.approx(loss.item(), rel=1e-5)


def test_a_branch_learns_from_its_batch_only_and_the_prediction_is_the_mean_of_both():
    method = BBN(COUNTS, nets.Net("conv4"))
    sum(method(batch(1, 0.0), batch(2, 0.0)).values()).backward()  # alpha is 1
    conventional, rebalancing = method.encoders.body.branches
    assert any(p.grad.any() for p in conventional.parameters())
    assert not any(p.grad.any() for p in rebalancing.parameters())
    branches = method.encoders.body.branches
    means = [
        next(m for m in branch.modules() if isinstance(m, torch.nn.BatchNorm2d)).running_mean for branch in branches
    ]
    assert means[0].any() and means[1].any() and not torch.equal(*means)
    method.eval()
    x = batch(3, 0.0).views[0]
    v, z = method.features(x), method.logits(x)
    expected = sum(F.linear(v[k], method.cls.weight[k], method.cls.bias[k]) for k in range(2)) / 2
    assert torch.allclose(z.mean(0), expected, atol=1e-5)


def test_the_second_batch_is_sampled_by_reversed_frequency():
    assert [stage.samplers for stage in BBN(COUNTS, nets.Net("conv4")).stages()] == [("instance", "reversed")]
