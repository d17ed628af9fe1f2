"""What each of two processes does for the tests of `longtail.distributed`; run as `python tests/ranks.py FOLDER` by torchrun."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from longtail import LongtailError
from longtail.augment import get_transform_set
from longtail.data import Batch
from longtail.distributed import World, init_world
from longtail.methods import METHODS, Method, Stage
from longtail.nets import convert_sync_batch_norm
from longtail.recipe import Recipe
from longtail.recipes import recipe_for
from longtail.step import Step
from longtail.testing import enter_stage

COUNTS = (40, 20, 10, 5)


@contextmanager
def in_double() -> Iterator[None]:
    """Within it all is computed in float64: in float32 rounding now and then turns a ReLU on, which shows as 1e-4."""
    single = Tensor.float
    torch.set_default_dtype(torch.float64)
    Tensor.float = Tensor.double
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        Tensor.float = single


def batch(seed: int, views: int) -> Batch:
    """Sixteen images of 8 x 8."""
    g = torch.Generator().manual_seed(seed)
    images = [torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8, generator=g) for _ in range(views)]
    return Batch(images, torch.arange(16) % len(COUNTS), torch.arange(16), torch.zeros(()))


def after_stages(name: str, world: World, **changes) -> dict[str, torch.Tensor]:
    """The state of a method after two steps in each of its stages, and the sums of its terms.

    Each process brings its share of every batch.
    """
    recipe = recipe_for("digits-lt", method=name, lr=0.02, **changes)
    torch.manual_seed(0)
    method, sums = recipe.build_method(COUNTS), {}
    trainable = [p for p in method.parameters() if p.requires_grad]
    for number, stage in enumerate(method.stages()):
        torch.manual_seed(number)
        for p in trainable:
            p.requires_grad_(True)
        own = enter_stage(method, stage)
        for p in trainable:
            p.requires_grad_(any(p is one for one in own))
        if own:
            sums |= {f"{stage.name} {k}": v for k, v in steps(method, stage, own, recipe, world).items()}
    return method.state_dict() | sums


def steps(method: Method, stage: Stage, own: list, recipe: Recipe, world: World) -> dict[str, torch.Tensor]:
    """Sums of the terms over an early and a late step, one batch for each sampler."""
    step = Step(method, [{"params": own}], recipe, get_transform_set("digits"), world)
    for progress in (0.4, 0.9):
        seeds = [int(10 * progress) + 100 * place for place in range(len(stage.samplers))]
        step([batch(seed, len(method.views))[world.shard(16)] for seed in seeds], progress)
    assert step.not_finite() is None
    return {name: torch.tensor(value) for name, value in step.pop_sums()[0].items()}


def translated(world: World) -> dict[str, torch.Tensor]:
    """The state of M2m after steps in which the guide takes every image."""
    with in_double():
        return after_stages("m2m", world, beta=0.5, gamma=0.0)


def through_batch_norm(world: World) -> dict[str, torch.Tensor]:
    """Outputs, gradients and running statistics of batch norm in float64, on this process's rows of a batch of six."""
    torch.manual_seed(1)
    layer = torch.nn.Sequential(torch.nn.BatchNorm2d(3)).double()
    x, wanted = (torch.randn(6, 3, 4, 4, dtype=torch.float64) for _ in range(2))
    x = (3 * x + 100).requires_grad_()  # a mean far from 0 shows cancellation
    if world.size > 1:
        convert_sync_batch_norm(layer, world.device)
    y = layer(x[world.shard(6)])
    (y - wanted[world.shard(6)]).square().sum().backward()
    buffers = {name: value.clone() for name, value in layer.named_buffers()}
    grads = {name: p.grad for name, p in layer.named_parameters()}
    return {"y": y.detach(), "x": x.grad[world.shard(6)], **buffers, **grads}


def errors(world: World) -> list[str]:
    """What each process is told if one of them fails."""

    def fail(rank: int) -> None:
        if world.rank == rank:
            raise LongtailError(f"disk of {rank}")

    told = []
    for attempt in (
        lambda: world.run_everywhere(lambda: fail(0)),
        lambda: world.run_everywhere(lambda: fail(1)),
        lambda: world.on_main(lambda: fail(0)),
        lambda: world.main_first(lambda: fail(0)),
    ):
        try:
            attempt()
        except LongtailError as error:
            told.append(str(error))
    return told


def main(folder: Path) -> None:
    """Do all of it and keep what came out."""
    torch.set_num_threads(1)
    world = init_world("cpu")
    with in_double():
        methods = {name: after_stages(name, world) for name in METHODS}
    found = {
        "methods": methods,
        "translated": translated(world),
        "half": after_stages("ecl", world, precision="bf16"),
        "parts": after_stages("bc", world, accumulate=2),
        "norm": through_batch_norm(world),
        "errors": errors(world),
        "gathered": world.all_gather(torch.arange(5)[world.shard(5)], n=5),
        "made": (world.on_main(lambda: world.rank), world.run_everywhere(lambda: world.rank)),
    }
    torch.save(found, folder / f"{world.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
