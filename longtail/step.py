"""One training step, the same for every method; nothing in it waits for the device."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from longtail.augment import Family
from longtail.data import Batch
from longtail.methods import Method
from longtail.recipe import Recipe
from longtail.world import ALONE, World


class Step:
    """Forward, backward, optimiser, momentum copies; sums of the loss terms stay on the device until they are read."""

    def __init__(
        self,
        method: Method,
        parameters: list[Tensor],
        recipe: Recipe,
        family: Family,
        world: World = ALONE,
    ):
        self.method, self.recipe = method, recipe
        self.world, self.parts = world, recipe.accumulate
        self.forward = world.wrap(method)
        device = parameters[0].device
        self.normalise = family.normaliser(device)
        self.lr = torch.tensor(recipe.lr, dtype=torch.float32, device=device)
        self.progress = torch.zeros((), device=device)
        self.count = torch.zeros((), dtype=torch.long, device=device)
        self.names: list[str] = []
        self.optimiser = torch.optim.SGD(
            parameters,
            lr=self.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov,
            fused=True,
        )

    def __call__(self, batches: Sequence[Batch], progress: float) -> None:
        """Train on uint8 batches, one for each sampler, at this share of the stage."""
        self.progress.fill_(progress)
        self.lr.fill_(self.recipe.lr * share_of_lr(self.recipe, progress))
        self.run(batches)

    def run(self, batches: Sequence[Batch]) -> None:
        """The step itself, on the device from end to end."""
        self.optimiser.zero_grad(set_to_none=True)
        found = [self.backward(batches, part) for part in range(self.parts)]
        self.optimiser.step()
        self.method.after_step()
        self.record({name: sum(terms[name] for terms in found) / self.parts for name in found[0]})

    def backward(self, batches: Sequence[Batch], part: int) -> dict[str, Tensor]:
        """The terms of one of the equal parts of the batches, and their gradient; the last part adds up the processes'."""
        rows = [slice(len(b.y) * part // self.parts, len(b.y) * (part + 1) // self.parts) for b in batches]
        with self.world.one_batch(self.forward, part == self.parts - 1):
            terms = self.forward(*(self.prepare(batch[own]) for batch, own in zip(batches, rows, strict=True)))
            (sum(terms.values()) / self.parts).backward()
        return {name: term.detach() for name, term in terms.items()}

    def prepare(self, batch: Batch) -> Batch:
        """The batch of all processes, its views as normalised floats."""
        y, index, *views = (self.world.gather(rows) for rows in (batch.y, batch.index, *batch.views))
        return replace(batch, views=[self.normalise(v) for v in views], y=y, index=index, progress=self.progress)

    def record(self, terms: dict[str, Tensor]) -> None:
        """Add the terms to their sums, and remember the first step at which each was not finite."""
        values = torch.stack([term.float() for term in terms.values()])
        if not self.names:
            self.names = list(terms)
            self.sums, self.bad = torch.zeros_like(values), torch.full_like(values, -1, dtype=torch.long)
        self.sums += values
        self.bad.copy_(torch.where((self.bad < 0) & ~values.isfinite(), self.count, self.bad))
        self.count += 1

    def not_finite(self) -> tuple[str, int] | None:
        """The first term that was not finite in any process since the last reading, and its step, counted from 1."""
        bad = self.world.gather(self.bad.unsqueeze(0)).tolist()
        found = [(at, name) for own in bad for name, at in zip(self.names, own, strict=True) if at >= 0]
        return (min(found)[1], min(found)[0] + 1) if found else None

    def read(self) -> tuple[dict[str, float], int]:
        """Sums of the terms, the same in every process, and the number of steps since the last reading."""
        sums, steps = dict(zip(self.names, self.sums.tolist(), strict=True)), int(self.count)
        self.sums.zero_()
        self.count.zero_()
        return sums, steps

    def state(self) -> dict:
        """What a checkpoint keeps of the optimiser."""
        return self.optimiser.state_dict()

    def restore(self, state: dict) -> None:
        """Continue from a checkpoint."""
        self.optimiser.load_state_dict(state)
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr


def share_of_lr(recipe: Recipe, progress: float) -> float:
    """What the schedule leaves of the learning rate at this share of a stage."""
    if recipe.schedule == "cosine":
        share = (1 + math.cos(math.pi * progress)) / 2
    else:
        share = 0.1 ** sum(progress >= milestone for milestone in recipe.milestones)
    return share * min(progress / recipe.warmup, 1) if recipe.warmup else share
