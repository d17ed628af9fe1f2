"""What each of two processes does for the tests of `longtail.world`; run as `python tests/ranks.py FOLDER` by torchrun."""

import sys
from pathlib import Path

import torch

from longtail import LongtailError, nets
from longtail.augment import family
from longtail.data import Batch
from longtail.methods import METHODS
from longtail.nets import join_batch_norm
from longtail.recipes import recipe_for
from longtail.step import Step
from longtail.world import World, start

COUNTS = (40, 20, 10, 5)


def batch(seed: int) -> Batch:
    """Sixteen images in two views."""
    g = torch.Generator().manual_seed(seed)
    views = [torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8, generator=g) for _ in range(2)]
    return Batch(views, torch.arange(16) % len(COUNTS), torch.arange(16), torch.zeros(()))


def after_steps(name: str, world: World, **changes) -> dict[str, torch.Tensor]:
    """The state of a method after three steps, each process having its share of every batch, and the sums of its terms."""
    recipe = recipe_for("digits-lt", method=name, lr=0.02, **changes)
    torch.manual_seed(0)
    method = recipe.build(COUNTS).train()
    trained = [p for p in method.parameters() if p.requires_grad]
    step = Step(method, trained, recipe, recipe.lr, family("digits"), world)
    for i in range(3):
        step([batch(i)[world.rows(16)]], i / 3)
    assert step.not_finite() is None
    return method.state_dict() | {f"sum of {k}": torch.tensor(v) for k, v in step.read()[0].items()}


def through_batch_norm(world: World) -> dict[str, torch.Tensor]:
    """Outputs, gradients and running statistics of batch norm in float64, on this process's rows of a batch of six."""
    torch.manual_seed(1)
    layer = torch.nn.Sequential(torch.nn.BatchNorm2d(3)).double()
    x, wanted = (torch.randn(6, 3, 4, 4, dtype=torch.float64) for _ in range(2))
    x = (3 * x + 100).requires_grad_()  # a mean far from 0 shows cancellation
    if world.size > 1:
        join_batch_norm(layer, world.device)
    y = layer(x[world.rows(6)])
    (y - wanted[world.rows(6)]).square().sum().backward()
    buffers = {name: value.clone() for name, value in layer.named_buffers()}
    grads = {name: p.grad for name, p in layer.named_parameters()}
    return {"y": y.detach(), "x": x.grad[world.rows(6)], **buffers, **grads}


def errors(world: World) -> list[str]:
    """What each process is told if one of them fails."""

    def fail(rank: int) -> None:
        if world.rank == rank:
            raise LongtailError(f"disk of {rank}")

    told = []
    for attempt in (
        lambda: world.together(lambda: fail(0)),
        lambda: world.together(lambda: fail(1)),
        lambda: world.from_lead(lambda: fail(0)),
        lambda: world.in_turn(lambda: fail(0)),
    ):
        try:
            attempt()
        except LongtailError as error:
            told.append(str(error))
    return told


def main(folder: Path) -> None:
    """Do all of it and keep what came out."""
    torch.set_num_threads(1)
    world = start("cpu")
    keys = torch.arange(24.0).view(2, 4, 3)  # (K, N, d)
    queue = nets.Queue(2, 3, 3)
    queue.push(keys[:, world.rows(4)])
    found = {
        "methods": {name: after_steps(name, world) for name in METHODS},
        "half": after_steps("ecl", world, precision="bf16"),
        "parts": after_steps("bc", world, accumulate=2),
        "norm": through_batch_norm(world),
        "errors": errors(world),
        "gathered": world.gather(torch.arange(5)[world.rows(5)], n=5),
        "queue": queue.keys,
        "made": (world.from_lead(lambda: world.rank), world.together(lambda: world.rank)),
    }
    torch.save(found, folder / f"{world.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
