"""One training step, the same for every method; nothing in it waits for the device."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor

from longtail.augment import TransformSet
from longtail.data import Batch
from longtail.distributed import SINGLE_PROCESS, World
from longtail.errors import LongtailError
from longtail.methods import Method, ParameterGroup
from longtail.recipe import Recipe


def check_terms(terms: object, method: str) -> None:
    """Raise LongtailError unless the forward pass of a method returned named loss terms: tensors () that can be learned."""
    values = list(terms.values()) if isinstance(terms, dict) else []
    if not values or not all(isinstance(term, Tensor) and not term.dim() for term in values):
        kinds = [f"{type(t).__name__} {tuple(getattr(t, 'shape', ()))}" for t in values] or type(terms).__name__
        raise LongtailError(
            f"forward of {method} returned {kinds}; it must return a dict of loss terms by name, each a tensor without "
            "dimensions, such as the mean over the batch"
        )
    if not any(term.requires_grad for term in values):
        raise LongtailError(f"no loss term of {method} depends on its parameters, so nothing can be learned")


class Step:
    """Forward, backward, optimizer, momentum copies; sums of the loss terms stay on the device until they are read."""

    def __init__(
        self,
        method: Method,
        groups: list[ParameterGroup],
        recipe: Recipe,
        transform_set: TransformSet,
        world: World = SINGLE_PROCESS,
    ):
        self.method, self.recipe = method, recipe
        self.world, self.micro_batches = world, recipe.accumulate
        self.forward = world.wrap(method)
        device = next(method.parameters()).device
        self.normalize = transform_set.build_normalize(device)
        # device tensors, so that a captured step reads their current values
        self.progress = torch.zeros((), device=device)
        self.count = torch.zeros((), dtype=torch.long, device=device)
        self.lrs = [torch.tensor(recipe.lr, dtype=torch.float32, device=device) for _ in groups]
        self.lr_scales = [group.get("lr_scale", 1.0) for group in groups]
        self.names: list[str] = []
        self.optimizer = build_optimizer(groups, self.lrs, recipe)

    @property
    def lr(self) -> Tensor:
        """Return the current learning rate () of the stage, which a group's `lr_scale` multiplies."""
        return self.lrs[0] / self.lr_scales[0]

    def __call__(self, batches: Sequence[Batch], progress: float) -> None:
        """Train on uint8 batches, one for each sampler; `progress` is the share of the stage that is done."""
        self.progress.fill_(progress)
        lr = self.recipe.lr * compute_lr_factor(self.recipe, progress)
        for current, scale in zip(self.lrs, self.lr_scales, strict=True):
            current.fill_(lr * scale)
        self.run(batches)

    def run(self, batches: Sequence[Batch]) -> None:
        """Compute the step on the device, without reading any value back."""
        self.optimizer.zero_grad(set_to_none=True)
        found = [self.accumulate_gradient(batches, number) for number in range(self.micro_batches)]
        self.optimizer.step()
        self.method.after_step()
        self.record({name: sum_tensors(terms[name] for terms in found) / len(found) for name in found[0]})

    def accumulate_gradient(self, batches: Sequence[Batch], number: int) -> dict[str, Tensor]:
        """Run forward and backward on one micro-batch; returns its detached loss terms."""
        n = self.micro_batches
        rows = [slice(len(b.y) * number // n, len(b.y) * (number + 1) // n) for b in batches]
        with self.world.micro_batch(self.forward, number == n - 1):
            terms = self.forward(*(self.prepare(batch[own]) for batch, own in zip(batches, rows, strict=True)))
            if not self.names:
                check_terms(terms, type(self.method).__name__)
            if not self.names:
                check_terms(terms, type(self.method).__name__)
            (sum_tensors(terms.values()) / n).backward()
        return {name: term.detach() for name, term in terms.items()}

    def prepare(self, batch: Batch) -> Batch:
        """Return the batch of all processes, with its views as normalized floats."""
        y, index, *views = (self.world.all_gather(rows) for rows in (batch.y, batch.index, *batch.views))
        return replace(batch, views=[self.normalize(v) for v in views], y=y, index=index, progress=self.progress)

    def record(self, terms: dict[str, Tensor]) -> None:
        """Add the terms to their sums, and record the first step at which each was not finite."""
        values = torch.stack([term.float() for term in terms.values()])
        if not self.names:
            self.names = list(terms)
            self.sums, self.bad = torch.zeros_like(values), torch.full_like(values, -1, dtype=torch.long)
        self.sums += values
        self.bad.copy_(torch.where((self.bad < 0) & ~values.isfinite(), self.count, self.bad))
        self.count += 1

    def not_finite(self) -> tuple[str, int] | None:
        """Return the first term that was not finite in any process since the last `pop_sums`, and its step from 1, or None."""
        bad = self.world.all_gather(self.bad.unsqueeze(0)).tolist()
        found = [(at, name) for own in bad for name, at in zip(self.names, own, strict=True) if at >= 0]
        return (min(found)[1], min(found)[0] + 1) if found else None

    def pop_sums(self) -> tuple[dict[str, float], int]:
        """Return and reset the summed loss terms, equal in every process, and the number of steps; waits for the device."""
        sums, steps = dict(zip(self.names, self.sums.tolist(), strict=True)), int(self.count)
        self.sums.zero_()
        self.count.zero_()
        return sums, steps

    def state_dict(self) -> dict:
        """Return the state of the optimizer for a checkpoint."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict) -> None:
        """Restore the optimizer from a checkpoint."""
        self.optimizer.load_state_dict(state)
        for group, lr in zip(self.optimizer.param_groups, self.lrs, strict=True):
            group["lr"] = lr  # loading replaces the tensor that the next steps fill


def sum_tensors(tensors: Iterable[Tensor]) -> Tensor:
    """Return the sum of tensors, added one by one from the first."""
    return reduce(torch.add, tensors)


def build_optimizer(groups: list[ParameterGroup], lrs: list[Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    """Return SGD or AdamW, fused, over groups of parameters whose learning rates are tensors."""
    own = [
        {"params": list(group["params"]), "lr": lr, "weight_decay": group.get("weight_decay", recipe.weight_decay)}
        for group, lr in zip(groups, lrs, strict=True)
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(own, capturable=lrs[0].is_cuda, fused=True)
    return torch.optim.SGD(own, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=True)


def compute_lr_factor(recipe: Recipe, progress: float) -> float:
    """Return the factor by which the schedule scales the learning rate when a share of the stage is done."""
    if recipe.schedule == "cosine":
        share = (1 + math.cos(math.pi * progress)) / 2
    else:
        share = 0.1 ** sum(progress >= milestone for milestone in recipe.milestones)
    return share * min(progress / recipe.warmup, 1) if recipe.warmup else share
