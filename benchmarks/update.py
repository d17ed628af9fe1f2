"""The optimizer and the momentum copies of one step: one fused call each against a loop over parameters."""

import argparse
import copy

import torch
from torch import nn

from benchmarks.harness import compare, count, save
from longtail.nets import Experts, MomentumCopy, Net


def main(argv: list[str]) -> None:
    """Check that both ways compute the same, then time them on three ResNet-32."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks update", description=__doc__)
    parser.add_argument("--rounds", type=count(), default=50)
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    source = Experts(Net("resnet32").encoder, 3)
    key, plain = MomentumCopy(0.999, source), copy.deepcopy(source)
    for p in source.parameters():
        p.data.add_(torch.randn_like(p))

    def loop() -> None:
        for p_key, p in zip(plain.parameters(), source.parameters(), strict=True):
            p_key.data = p_key.data * 0.999 + p.data * (1.0 - 0.999)

    key.update(source)
    loop()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(key.parameters(), plain.parameters(), strict=True))
    record = {"momentum": compare({"loop": loop, "one call": lambda: key.update(source)}, args.rounds)}

    def build_optimizer(**options: bool) -> tuple[nn.Module, torch.optim.SGD]:
        model = copy.deepcopy(source)
        for i, p in enumerate(model.parameters()):
            p.grad = torch.empty_like(p).normal_(generator=torch.Generator().manual_seed(i))
        return model, torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=5e-3, **options)

    (a, default), (b, fused) = build_optimizer(foreach=False), build_optimizer(fused=True)
    for _ in range(3):
        default.step()
        fused.step()
    assert all(torch.allclose(p, q, atol=1e-5) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    record["sgd"] = compare({"loop": default.step, "fused": fused.step}, args.rounds)
    save("update", record)
