"""Compare fused networks with plain ones in float64; run by test_fused.py with Triton's interpreter, and on a GPU."""

import copy
import sys

import torch
from torch import nn

from longtail.nets import fused
from longtail.nets.fusible import fits
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
    assert fits(bodies, x)
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


def measure_distances(precision: str) -> tuple[float, float]:
    """Return how far the gradients of fused networks, and of torch's, are from float64 in a low precision, on a GPU."""
    torch.manual_seed(0)
    bodies = [ResNetCifar(14).to("cuda", memory_format=torch.channels_last).train() for _ in range(2)]
    plain, exact = ([copy.deepcopy(body) for body in bodies] for _ in range(2))
    x, weights = torch.randn(64, 3, 32, 32, device="cuda"), torch.randn(2, 64, 64, device="cuda")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
        low = torch.stack([body(x.contiguous(memory_format=torch.channels_last)) for body in plain]).float()
    high = torch.stack([body.double()(x.double()) for body in exact])
    for features in (low, fused.FusedResNets(bodies, precision)(x), high):
        (features * weights).sum().backward()
    gradients = [
        torch.cat([p.grad.flatten() for body in nets for p in body.parameters()]) for nets in (bodies, plain, exact)
    ]
    return distance(gradients[0], gradients[2]), distance(gradients[1], gradients[2])


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Compute the relative distance of two tensors."""
    return float((a.detach().double() - b.detach()).norm() / b.detach().double().norm())


if __name__ == "__main__":
    fused.SPLITS.update(dict.fromkeys(fused.SPLITS, 2))  # the interpreter takes milliseconds for each program
    compare(sys.argv[1], float(sys.argv[2]))
