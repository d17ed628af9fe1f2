"""PaCo and BCL pass the right tensors to their losses, and PaCo keeps keys and labels between steps."""

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from longtail import nets
from longtail.data import Batch
from longtail.losses import balanced_contrastive, parametric_contrastive
from longtail.methods.bcl import BCL
from longtail.methods.paco import PaCo

COUNTS = (40, 20, 10, 5)
PRIOR = torch.tensor(COUNTS) / 75


def batch(views: int) -> Batch:
    g = torch.Generator().manual_seed(1)
    images = [torch.randn(8, 3, 8, 8, generator=g) for _ in range(views)]
    return Batch(images, torch.arange(8) % 4, torch.arange(8), torch.tensor(0.0))


def project(two_layers: torch.nn.Sequential, v: torch.Tensor) -> torch.Tensor:
    """Apply two layers with a fresh batch norm between: (N, d) -> (N, out)."""
    first, _, _, second = two_layers
    hidden = v @ first.weight.T + first.bias
    hidden = (hidden - hidden.mean(0)) / (hidden.var(0, correction=0) + 1e-5).sqrt()
    return hidden.relu() @ second.weight.T + second.bias


def test_the_centers_of_paco_are_balanced_logits_and_its_keys_are_new_and_queued_ones():
    torch.manual_seed(0)
    method, data = PaCo(COUNTS, nets.Net("conv4"), queue=20), batch(2)
    for step in range(2):
        v = method.encoders(data.views[0])[0]
        query = normalize(project(method.projector, v), dim=1)
        key = normalize(project(method.key.copy[-1], method.key.copy[0](data.views[1])[0]), dim=1)
        centers = v @ method.cls.weight[0].T + method.cls.bias[0] + PRIOR.log()
        keys, owners = torch.cat([key, method.queue.keys[0]]), torch.cat([data.y, method.queue.labels])
        expected = parametric_contrastive(query, keys, data.y, owners, centers, 0.02, 0.05).mean()
        assert method(data)["paco"].item() == pytest.approx(expected.item(), rel=1e-4)
        assert (method.queue.labels == -1).sum() == 20 - 8 * step
        method.after_step()
        rows = slice(8 * step, 8 * step + 8)
        assert torch.equal(method.queue.labels[rows], data.y) and torch.allclose(method.queue.keys[0, rows], key)


def test_bcl_classifies_the_first_view_and_contrasts_the_others_with_prototypes():
    torch.manual_seed(0)
    method, data = BCL(COUNTS, nets.Net("conv4")), batch(3)
    v = method.encoders(torch.cat(data.views))[0]
    z = 30 * normalize(v[:8], dim=1) @ normalize(method.cls.weight[0], dim=1).T
    points = method.projector(v)[8:]  # batch norm sees all three views
    prototypes = method.of_class(method.cls.weight[0])
    y = torch.cat([data.y, data.y])
    contrast = balanced_contrastive(normalize(points, dim=1), y, normalize(prototypes, dim=1), 0.1).mean()
    terms = method(data)
    assert terms["bc"].item() == pytest.approx(2 * cross_entropy(z + PRIOR.log(), data.y).item(), rel=1e-4)
    assert terms["contrast"].item() == pytest.approx(0.6 * contrast.item(), rel=1e-4)
    assert prototypes.shape == (4, 128) and points.shape == (16, 128)
