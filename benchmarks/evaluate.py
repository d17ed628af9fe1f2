"""Evaluation of three ResNet-32: batch norm folded, channels last, fp32 and bf16, against a plain loop."""

import argparse
from typing import Any

import torch

from benchmarks.harness import compare, count, save
from benchmarks.peer import PeerNet
from longtail.augment import get_transform_set
from longtail.data import exponential_counts
from longtail.evaluate import compute_logits
from longtail.machine import has_bf16
from longtail.recipes import recipe_for


def main(argv: list[str]) -> None:
    """Check that the logits agree, then time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks evaluate", description=__doc__)
    parser.add_argument("--images", type=count(), default=2000)
    parser.add_argument("--batch", type=count(), default=128, help="batch of the plain loop")
    parser.add_argument("--rounds", type=count(), default=5)
    args = parser.parse_args(argv)
    transform_set, counts = get_transform_set("cifar"), exponential_counts(100, 500, 100)
    torch.manual_seed(0)
    full: Any = recipe_for("cifar100-lt").build_method(counts)
    for _ in range(5):
        full.features(torch.randn(64, 3, 32, 32))  # moves the running statistics
    half = recipe_for("cifar100-lt", precision="bf16").build_method(counts)
    half.load_state_dict(full.state_dict())
    bodies = [PeerNet(expert.body).eval() for expert in full.encoders.experts]
    images = torch.randint(0, 256, (args.images, 3, 32, 32), dtype=torch.uint8)
    floats = transform_set.build_normalize()(images)

    @torch.no_grad()
    def plain() -> torch.Tensor:
        return torch.cat([full.cls(torch.stack([body(x) for body in bodies])) for x in floats.split(args.batch)], 1)

    expected = plain()
    assert torch.allclose(compute_logits(full, images, transform_set), expected, rtol=1e-3, atol=1e-3), (
        "folding changed the logits"
    )
    agree = (
        (compute_logits(half, images, transform_set).mean(0).argmax(1) == expected.mean(0).argmax(1))
        .float()
        .mean()
        .item()
    )
    print(f"fp32 logits equal; bf16 chooses the same class for {100 * agree:.1f}% of random images by an untrained net")
    calls = {"plain": plain, "ours fp32": lambda: compute_logits(full, images, transform_set)}
    if has_bf16(torch.device("cpu")):  # emulated bf16 says nothing about ours
        calls["ours bf16"] = lambda: compute_logits(half, images, transform_set)
    save(
        "evaluate",
        compare(calls, args.rounds) | {"images": args.images, "plain_batch": args.batch, "bf16_agrees": agree},
    )
