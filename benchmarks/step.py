"""A whole training step of ECL at the sizes of the paper against the reference step, fp32 and bf16."""

import argparse
from collections.abc import Sequence

import torch

from benchmarks.harness import compare, count, save
from benchmarks.peer import PeerECL, PeerStep
from longtail.augment import Compose, get_transform_set
from longtail.data import Batch, exponential_counts
from longtail.machine import has_bf16
from longtail.methods.ecl import ECL
from longtail.recipes import recipe_for
from longtail.step import Step

BATCH, RECIPE = 64, recipe_for("cifar100-lt")


def ours(precision: str, kind: type[Step] = Step, device: str = "cpu") -> Step:
    """Build our step with the weights of seed 0."""
    recipe = RECIPE.change(precision=precision)
    torch.manual_seed(0)
    method = recipe.build_method(exponential_counts(100, 500, 100)).to(device).train()
    return kind(
        method, [{"params": [p for p in method.parameters() if p.requires_grad]}], recipe, get_transform_set("cifar")
    )


def batches(n: int, device: str = "cpu") -> list[Batch]:
    """Make n batches of random uint8 images."""
    g = torch.Generator().manual_seed(1)
    shape = (BATCH, 3, 32, 32)
    return [
        Batch(
            [torch.randint(0, 256, shape, dtype=torch.uint8, generator=g).to(device) for _ in range(2)],
            torch.randint(0, 100, (BATCH,), generator=g).to(device),
            torch.arange(BATCH, device=device),
            torch.zeros((), device=device),
        )
        for _ in range(n)
    ]


def peer_step(device: str = "cpu") -> PeerStep:
    """Build the reference step with our weights of seed 0."""
    method = ours("fp32", device=device).method
    assert isinstance(method, ECL)
    return PeerStep(PeerECL(method), RECIPE.lr, RECIPE.momentum, RECIPE.weight_decay)


def get_views(name: str, views: Sequence[str]) -> list[Compose]:
    """Return the transforms of some views of a transform set that works on tensors."""
    transforms = [get_transform_set(name).transforms[view] for view in views]
    return [transform for transform in transforms if isinstance(transform, Compose)]


def check_equal(steps: int) -> float:
    """Run both steps from equal weights and return the largest relative difference of their losses."""
    mine, peer = ours("fp32"), peer_step()
    worst = 0.0
    for batch in batches(steps):
        mine([batch], 0.0)
        sums, _ = mine.pop_sums()
        views = mine.prepare(batch).views
        loss = peer(views[0], views[1], batch.y)
        worst = max(worst, abs(sum(sums.values()) - loss) / loss)
    assert worst < 1e-3, f"the steps disagree by {worst:.1e}"
    return worst


def main(argv: list[str]) -> None:
    """Check that both steps compute the same losses, then time them in turn."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks step", description=__doc__)
    parser.add_argument("--rounds", type=count(), default=20)
    args = parser.parse_args(argv)
    worst = check_equal(5)
    print(f"losses of 5 steps agree within {worst:.1e} (relative)")
    full, half, peer = ours("fp32"), ours("bf16"), peer_step()
    batch = batches(1)[0]
    views = full.prepare(batch).views
    calls = {"peer": lambda: peer(views[0], views[1], batch.y), "ours fp32": lambda: full([batch], 0.0)}
    if has_bf16(torch.device("cpu")):  # emulated bf16 says nothing about ours
        calls["ours bf16"] = lambda: half([batch], 0.0)
    record = compare(calls, args.rounds)
    save("step", record | {"loss_difference": worst})
