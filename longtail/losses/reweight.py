"""Losses that count some samples, or some classes, more than others."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from longtail.losses.classification import cross_entropy, one_hot


def focal_loss(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma times cross-entropy, p being the probability of the label, in nats (Lin et al. 2017, Eq. 4).

    (..., N, C), (N,) -> (..., N)
    """
    ce = cross_entropy(logits, labels)
    doubt = (-torch.expm1(-ce)).clamp_min(torch.finfo(ce.dtype).tiny)  # at 0 a power below 1 has no finite gradient
    return doubt**gamma * ce


def effective_number_weights(counts: Sequence[int], beta: float) -> Tensor:
    """A class's weight (1 - beta) / (1 - beta^n), scaled so that the C weights sum to C (Cui et al. 2019).

    counts of C classes, an unseen one counting as 1 -> (C,) float32; a beta of 1 is its limit 1 / n
    """
    n = torch.tensor(counts, dtype=torch.float64).clamp_min(1)
    weight = 1 / n if beta == 1 else (1 - beta) / (1 - beta**n)
    return (weight * len(n) / weight.sum()).float()


def weighted_mean(loss: Tensor, weight: Tensor) -> Tensor:
    """Mean of the samples' losses by their weights, over what these sum to in the batch: (..., N), (N,) -> (...)."""
    return (loss * weight).sum(-1) / weight.sum()


def inverse_frequency_weights(counts: Sequence[int], rho: float) -> Tensor:
    """A class's weight 1 / n^rho, scaled so that the C weights sum to C (generalized re-weight; Zhang et al. 2021, DisAlign).

    counts of C classes, an unseen one counting as 1 -> (C,) float32
    """
    weight = torch.tensor(counts, dtype=torch.float64).clamp_min(1) ** -rho
    return (weight * len(weight) / weight.sum()).float()


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: Tensor) -> Tensor:
    """Cross-entropy with a target of 1 - e for the label and e / (C - 1) for each other class, in nats.

    Label-aware smoothing (Zhong et al. 2021, MiSLAS), as printed: the authors' code gives e / C to every class, the label
    too. e is smoothing[label]. (..., N, C), (N,), (C,) -> (..., N)
    """
    log_p, classes = logits.log_softmax(-1), logits.shape[-1]
    own, e = log_p.gather(-1, labels.expand(logits.shape[:-1]).unsqueeze(-1)).squeeze(-1), smoothing[labels]
    return -(1 - e) * own - e / (classes - 1) * (log_p.sum(-1) - own)


def lade_regularizer(logits: Tensor, labels: Tensor, log_prior: Tensor, penalty: float) -> Tensor:
    """Estimate of how far the logits are from log p(x | c) / p(x) under equal classes (Hong et al. 2021, LADER).

    Regularized Donsker-Varadhan, a class c: -mean of z_c over its samples + R_c + penalty R_c^2, where R_c = log mean over
    all samples i of w_i exp(z_ic) and w_i = (1 / C) / prior of i's label; the classes are weighted by their prior.
    (..., N, C), (N,), (C,) -> (...)
    """
    n, classes = logits.shape[-2:]
    is_own = one_hot(labels, classes).to(logits.dtype)
    own = (logits * is_own).sum(-2) / is_own.sum(0).clamp_min(1)  # a class absent from the batch adds nothing here
    # the authors' code takes the prior of c for that of the sample's label, which is not the paper's change of measure
    log_weight = -log_prior[labels].unsqueeze(-1) - math.log(classes * n)
    r = (logits + log_weight).logsumexp(-2)
    return (log_prior.exp() * (r + penalty * r**2 - own)).sum(-1)
