"""Margins: logits that are made worse in training, the more the rarer the class."""

import torch
from torch import Tensor

from longtail.losses.classification import one_hot


def ldam_margins(log_prior: Tensor, largest: float) -> Tensor:
    """Margins proportional to n^(-1/4), that of the rarest class being `largest` (Cao et al. 2019, Eq. 13): (C,) -> (C,)."""
    margin = (-log_prior / 4).exp()
    return margin * (largest / margin.max())


def subtract_margin(logits: Tensor, labels: Tensor, margin: Tensor) -> Tensor:
    """Take its class's margin from the logit of each label (Cao et al. 2019): (..., N, C), (N,), (C,) -> (..., N, C)."""
    return logits - one_hot(labels, logits.shape[-1]) * margin


def gaussian_cloud_size(log_prior: Tensor) -> Tensor:
    """log n_max - log n of each class over its largest value: 0 for the head, 1 for the rarest (Li et al. 2022, GCL).

    (C,) -> (C,); all 0 where the classes are equal.
    """
    gap = log_prior.max() - log_prior
    return gap / gap.max().clamp_min(torch.finfo(gap.dtype).tiny)


def subtract_gaussian_cloud(logits: Tensor, size: Tensor) -> Tensor:
    """Lower each logit by size |e|, e a Gaussian of deviation 1/3 cut at 1, new for every sample and class (Li et al. 2022).

    (..., N, C), (C,) -> (..., N, C), drawn from torch's generator.
    """
    return logits - size * (torch.randn_like(logits) / 3).abs().clamp_max(1)
