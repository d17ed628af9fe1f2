"""Samplers: orders of the training images of an epoch; every rank draws the same order and takes its slice."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

# labels (N,), counts of C classes, generator -> (N,) positions of an epoch in the training set
Sampler = Callable[[Tensor, Sequence[int], Generator], Tensor]


def instance(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """Shuffle all images, each once: -> (N,) positions."""
    return torch.randperm(len(labels), generator=generator)


def balanced(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """Draw N images with replacement, each class equally likely (Kang et al. 2020): -> (N,) positions."""
    return draw_by_class_weight(1 / clamp_counts(counts), labels, generator)


def square_root(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """Draw N images with replacement, a class as likely as the root of its count (Mahajan et al. 2018): -> (N,) positions."""
    return draw_by_class_weight(clamp_counts(counts) ** -0.5, labels, generator)


def reversed_frequency(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """Draw N images with replacement, a class as likely as 1 / its count (Zhou et al. 2020, BBN): -> (N,) positions."""
    return draw_by_class_weight(clamp_counts(counts) ** -2, labels, generator)


def effective_number(labels: Tensor, counts: Sequence[int], generator: Generator) -> Tensor:
    """Draw N images with replacement, an image weighted by 1 / the effective number of its class: -> (N,) positions.

    The effective number is (1 - beta^n) / (1 - beta) (Cui et al. 2019). Beta grows from .9999 for the largest class by up
    to 1e-5 for the smallest (Li et al. 2022, GCL).
    """
    n = clamp_counts(counts)
    rarity = n.max().log() - n.log()
    beta = 0.9999 + 1e-5 * rarity / rarity.max().clamp_min(1e-9)
    return draw_by_class_weight((1 - beta) / (1 - beta**n), labels, generator)


def clamp_counts(counts: Sequence[int]) -> Tensor:
    """Return the training images of each class, at least 1, since weights divide by them: (C,) float64."""
    return torch.tensor(counts, dtype=torch.float64).clamp_min(1)


def draw_by_class_weight(weight: Tensor, labels: Tensor, generator: Generator) -> Tensor:
    """Draw N images with replacement, each with the weight of its class: (C,), (N,) -> (N,) positions."""
    return torch.multinomial(weight[labels], len(labels), replacement=True, generator=generator)


SAMPLERS: dict[str, Sampler] = {
    "instance": instance,
    "balanced": balanced,
    "square_root": square_root,
    "reversed": reversed_frequency,
    "effective_number": effective_number,
}
