"""Orders in which the training images of an epoch are seen; every rank makes the same one and takes its slice."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor


def instance(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """Every image once, shuffled: (N,) positions."""
    return torch.randperm(len(labels), generator=generator)


def balanced(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """N draws with replacement, each class equally likely (Kang et al. 2020): (N,) positions."""
    weight = 1 / torch.tensor(counts, dtype=torch.float64).clamp_min(1)
    return torch.multinomial(weight[labels], len(labels), replacement=True, generator=generator)


SAMPLERS: dict[str, Callable[[Tensor, Sequence[int], Generator], Tensor]] = {"instance": instance, "balanced": balanced}
