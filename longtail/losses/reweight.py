"""Losses that weigh some samples, or some classes, more than others; each function names its source paper."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from longtail.losses.classification import cross_entropy, one_hot


def focal_loss(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Compute (1 - p)^gamma times cross-entropy, where p is the label's probability, in nats (Lin et al. 2017, Eq. 4).

    (..., N, C), (N,) -> (..., N)
    """
    ce = cross_entropy(logits, labels)
    # expm1 keeps the small 1 - p of a sure sample exact; at 0 a power below 1 has no finite gradient
    one_minus_p = (-torch.expm1(-ce)).clamp_min(torch.finfo(ce.dtype).tiny)
    return one_minus_p**gamma * ce


def effective_number_weights(counts: Sequence[int], beta: float) -> Tensor:
    """Compute class weights (1 - beta) / (1 - beta^n), scaled so that the C weights sum to C (Cui et al. 2019).

    counts of C classes, an unseen class counts as 1 -> (C,) float32. For beta = 1 the weight is its limit 1 / n.
    """
    n = torch.tensor(counts, dtype=torch.float64).clamp_min(1)
    weight = 1 / n if beta == 1 else (1 - beta) / (1 - beta**n)
    return (weight * len(n) / weight.sum()).float()


def weighted_mean(loss: Tensor, weight: Tensor) -> Tensor:
    """Compute the mean loss under sample weights, divided by the weights' sum over the batch: (..., N), (N,) -> (...)."""
    return (loss * weight).sum(-1) / weight.sum()


def inverse_frequency_weights(counts: Sequence[int], rho: float) -> Tensor:
    """Compute class weights 1 / n^rho, scaled so that the C weights sum to C.

    Generalized re-weighting (Zhang et al. 2021, DisAlign). counts of C classes, an unseen class counts as 1 -> (C,) float32
    """
    weight = torch.tensor(counts, dtype=torch.float64).clamp_min(1) ** -rho
    return (weight * len(weight) / weight.sum()).float()


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: Tensor) -> Tensor:
    """Compute cross-entropy with a target of 1 - e for the label and e / (C - 1) for each other class, in nats.

    (..., N, C), (N,), (C,) -> (..., N), with e = smoothing[label]. This is label-aware smoothing as printed (Zhong et al.
    2021, MiSLAS); the authors' code gives e / C to every class, including the label.
    """
    log_p, classes = logits.log_softmax(-1), logits.shape[-1]
    label_log_p = log_p.gather(-1, labels.expand(logits.shape[:-1]).unsqueeze(-1)).squeeze(-1)
    e = smoothing[labels]
    return -(1 - e) * label_log_p - e / (classes - 1) * (log_p.sum(-1) - label_log_p)


def lade_regularizer(logits: Tensor, labels: Tensor, log_prior: Tensor, penalty: float) -> Tensor:
    """Estimate how far the logits are from log p(x | c) / p(x) under equal classes (Hong et al. 2021, LADER).

    (..., N, C), (N,), (C,) -> (...). The estimate is the regularized Donsker-Varadhan bound. The term of class c is
    -mean of z_c over its samples + R_c + penalty R_c^2. R_c is log mean of w_i exp(z_ic) over all samples i, with
    w_i = (1 / C) / prior of i's label. Classes are weighted by their prior.
    """
    n, classes = logits.shape[-2:]
    labels_one_hot = one_hot(labels, classes).to(logits.dtype)
    # mean of z_c over the samples of c; a class that the batch lacks adds nothing
    class_mean = (logits * labels_one_hot).sum(-2) / labels_one_hot.sum(0).clamp_min(1)
    # The authors' code uses the prior of c in place of the label's, which is not the paper's change of measure.
    log_weight = -log_prior[labels].unsqueeze(-1) - math.log(classes * n)
    r = (logits + log_weight).logsumexp(-2)
    return (log_prior.exp() * (r + penalty * r**2 - class_mean)).sum(-1)


def prediction_change(before: Tensor, after: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Compute how far predictions moved away from the labels and towards them (Yu et al. 2022, Eq. 6-7).

    Probabilities (N, C) x 2, (N,) -> unlearned (N,), learned (N,), in nats, both at least 0. The size of a move is
    (p - q) log(p / q), summed over classes. A class counts as unlearned if the label's probability fell or another
    class's rose.
    """
    gap = after - before
    size, is_worse = gap * (after / before).log(), (gap > 0) != one_hot(labels, before.shape[-1])
    return (size * is_worse).sum(-1), (size * ~is_worse).sum(-1)
