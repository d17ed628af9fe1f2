"""Orders in which the training images of an epoch are seen; every rank makes the same one and takes its slice."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

# labels (N,), counts of C classes, generator -> (N,) positions of an epoch in the training set
Sampler = Callable[[Tensor, Sequence[int], Generator], Tensor]


def instance(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """Every image once, shuffled: (N,) positions."""
    return torch.randperm(len(labels), generator=generator)


def balanced(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """N draws with replacement, each class equally likely (Kang et al. 2020): (N,) positions."""
    return draw_by_class_weight(1 / clamped_counts(counts), labels, generator)


def square_root(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """N draws with replacement, a class being as likely as the root of its images (Mahajan et al. 2018): (N,) positions."""
    return draw_by_class_weight(clamped_counts(counts) ** -0.5, labels, generator)


def reversed_frequency(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """N draws with replacement, a class being as likely as 1 over its images (Zhou et al. 2020, BBN): (N,) positions."""
    return draw_by_class_weight(clamped_counts(counts) ** -2, labels, generator)


def effective_number(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """N draws with replacement, an image weighing 1 over the effective number of its class: (N,) positions.

    Cui et al. 2019, (1 - beta) / (1 - beta^n), with a beta that grows from .9999 for the largest class by up to 1e-5 for
    the smallest (Li et al. 2022, GCL).
    """
    n = clamped_counts(counts)
    rarity = n.max().log() - n.log()
    beta = 0.9999 + 1e-5 * rarity / rarity.max().clamp_min(1e-9)
    return draw_by_class_weight((1 - beta) / (1 - beta**n), labels, generator)


def clamped_counts(counts: Sequence[int]) -> Tensor:
    """Training images of each class, at least 1: (C,) float64."""
    return torch.tensor(counts, dtype=torch.float64).clamp_min(1)


def draw_by_class_weight(weight: Tensor, labels: Tensor, generator: Generator) -> Tensor:
    """N draws with replacement, an image weighing as its class says: (C,), (N,) -> (N,)."""
    return torch.multinomial(weight[labels], len(labels), replacement=True, generator=generator)


SAMPLERS: dict[str, Sampler] = {
    "instance": instance,
    "balanced": balanced,
    "square_root": square_root,
    "reversed": reversed_frequency,
    "effective_number": effective_number,
}
