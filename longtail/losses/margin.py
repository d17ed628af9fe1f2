"""Margins that lower logits in training, more for rarer classes (LDAM: Cao et al. 2019; GCL: Li et al. 2022)."""

import torch
from torch import Tensor

from longtail.losses.classification import one_hot


def ldam_margins(log_prior: Tensor, largest: float) -> Tensor:
    """Compute margins proportional to n^(-1/4); the rarest class gets `largest` (Cao et al. 2019, Eq. 13): (C,) -> (C,)."""
    margin = (-log_prior / 4).exp()
    return margin * (largest / margin.max())


def subtract_margin(logits: Tensor, labels: Tensor, margin: Tensor) -> Tensor:
    """Subtract its class's margin from the logit of each label (Cao et al. 2019): (..., N, C), (N,), (C,) -> (..., N, C)."""
    return logits - one_hot(labels, logits.shape[-1]) * margin


def gaussian_cloud_size(log_prior: Tensor) -> Tensor:
    """Compute log n_max - log n of each class over its largest value: 0 for the head, 1 for the rarest (Li et al. 2022).

    (C,) -> (C,); all 0 if all classes have the same number of images.
    """
    gap = log_prior.max() - log_prior
    return gap / gap.max().clamp_min(torch.finfo(gap.dtype).tiny)


def subtract_gaussian_cloud(logits: Tensor, size: Tensor) -> Tensor:
    """Subtract size |e| from each logit; e is Gaussian with deviation 1/3, clipped at 1 (Li et al. 2022, GCL).

    (..., N, C), (C,) -> (..., N, C). Every sample and class has its e, drawn from torch's global generator.
    """
    return logits - size * (torch.randn_like(logits) / 3).abs().clamp_max(1)
