"""Compare fused networks with plain ones in float64; run by test_fused.py with Triton's interpreter, and on a GPU."""

import copy
import sys

import torch
from torch import nn

from longtail.nets import fused
from longtail.nets.resnet_cifar import ResNetCifar


def compare(precision: str, tolerance: float, device: str = "cpu", depth: int = 8, n: int = 3, side: int = 8) -> None:
    """Assert that two ResNets trained as one have the features, gradients and statistics of plain ones."""
    torch.manual_seed(0)
    bodies = [ResNetCifar(depth).to(device, memory_format=torch.channels_last).train() for _ in range(2)]
    for norm in (m for body in bodies for m in body.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    plain = [copy.deepcopy(body).double() for body in bodies]
    x = torch.randn(n, 3, side, side, device=device)
    assert fused.fits(bodies, x)
    features = fused.FusedResNets(bodies, precision)(x)
    expected = torch.stack([body(x.double()) for body in plain])
    weights = torch.randn_like(features)
    (features * weights).sum().backward()
    (expected * weights).sum().backward()
    assert distance(features, expected) < tolerance
    for body, reference in zip(bodies, plain, strict=True):
        pairs = zip(body.named_parameters(), reference.parameters(), strict=True)
        assert {name: d for (name, p), q in pairs if not (d := distance(p.grad, q.grad)) < tolerance} == {}
        assert all(p.grad.stride() == p.stride() for p in body.parameters())
        for value, right in zip(body.buffers(), reference.buffers(), strict=True):
            assert distance(value, right) < tolerance


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Compute the relative distance of two tensors."""
    return float((a.double() - b).norm() / b.double().norm())


if __name__ == "__main__":
    fused.SPLITS.update(dict.fromkeys(fused.SPLITS, 2))  # the interpreter takes milliseconds for each program
    compare(sys.argv[1], float(sys.argv[2]))
