"""Orders in which the training images of an epoch are seen; every rank makes the same one and takes its slice."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor


def instance(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """Every image once, shuffled: (N,) positions."""
    return torch.randperm(len(labels), generator=generator)


def balanced(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """N draws with replacement, each class equally likely (Kang et al. 2020): (N,) positions."""
    return draw(1 / images(counts), labels, generator)


def rarest_first(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """N draws with replacement, a class being as likely as 1 over its images (Zhou et al. 2020, BBN): (N,) positions."""
    return draw(images(counts) ** -2, labels, generator)


def effective_number(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """N draws with replacement, an image weighing 1 over the effective number of its class: (N,) positions.

    Cui et al. 2019, (1 - beta) / (1 - beta^n), with a beta that grows from .9999 for the largest class by up to 1e-5 for
    the smallest (Li et al. 2022, GCL).
    """
    n = images(counts)
    rarity = n.max().log() - n.log()
    beta = 0.9999 + 1e-5 * rarity / rarity.max().clamp_min(1e-9)
    return draw((1 - beta) / (1 - beta**n), labels, generator)


def images(counts: Sequence[int]) -> Tensor:
    """Training images of each class, at least 1: (C,) float64."""
    return torch.tensor(counts, dtype=torch.float64).clamp_min(1)


def draw(weight: Tensor, labels: Tensor, generator: Generator) -> Tensor:
    """N draws with replacement, an image weighing as its class says: (C,), (N,) -> (N,)."""
    return torch.multinomial(weight[labels], len(labels), replacement=True, generator=generator)


SAMPLERS: dict[str, Callable[[Tensor, Sequence[int], Generator], Tensor]] = {
    "instance": instance,
    "balanced": balanced,
    "reversed": rarest_first,
    "effective_number": effective_number,
}
