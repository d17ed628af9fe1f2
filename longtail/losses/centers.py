"""Losses between features and one point for each class: fixed targets, centroids, or a whole distribution.

TSC is by Li et al. 2022, ProCo by Du et al. 2024, DRO-LT by Samuel and Chechik 2021, OLTR by Liu et al. 2019.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from longtail.losses.classification import one_hot


def sample_positives(labels: Tensor, key_labels: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Sample keys of the same class for each query, at most `number`, without replacement (Kang et al. 2021, KCL).

    (N,), (Q,) -> positions (N, k) among the keys, and whether each is of the same class, (N, k) bool; k is `number`, at
    most Q. All subsets are equally likely. Draws from torch's global generator.
    """
    draw = torch.rand(len(labels), len(key_labels), device=labels.device)
    draw = draw.masked_fill(key_labels != labels.unsqueeze(1), -1)
    largest, index = draw.topk(min(number, len(key_labels)))
    return index, largest >= 0


def targeted_contrastive(
    query: Tensor,
    key: Tensor,
    queue: Tensor,
    positives: tuple[Tensor, Tensor],
    temperature: float,
    targets: Tensor | None = None,
    own_target: Tensor | None = None,
    pull: float = 0.0,
) -> Tensor:
    """Compute the contrast of each query with its key, k positive keys and a target, in nats (Li et al. 2022, App. B).

    (N, d) x 2, (Q, d), `positives` as `sample_positives` gives them, targets (T, d), own_target (N,) -> (N,). Own key,
    queue and targets share one softmax. The loss is the mean of -log p over the own key and the positives, minus `pull`
    times log p of the own target. Without targets this is KCL. L2-normalized inputs.
    """
    others = queue if targets is None else torch.cat([queue, targets])
    similarity = torch.cat([(query * key).sum(-1, keepdim=True), query @ others.T], -1)
    log_p = (similarity / temperature).log_softmax(-1)
    own, queued, aimed = log_p.split([1, len(queue), len(others) - len(queue)], -1)
    index, is_positive = positives
    total = own.squeeze(-1) + (queued.gather(-1, index) * is_positive).sum(-1)
    loss = -total / (1 + is_positive.sum(-1))
    if own_target is None:
        return loss
    return loss - pull * aimed.gather(-1, own_target.unsqueeze(-1)).squeeze(-1)


def vmf_logits(points: Tensor, mean: Tensor, kappa: Tensor, temperature: float) -> Tensor:
    """Compute log E exp(z . z' / T) for z' of each class, von Mises-Fisher distributed (Du et al. 2024, ProCo).

    (..., M, p), class means (C, p) of which only the direction counts, concentrations (C,) -> (..., M, C). The points have
    length 1. The value is g(|kappa mu + z / T|) - g(kappa) with g(k) = log I_nu(k) - nu log k and nu = p / 2 - 1. Debye's
    expansion of the Bessel function to first order gives it in closed form. Against `scipy.special.ive` its error is below
    1e-5 for p = 128, T >= .05 and kappa <= 1e5, and grows to 2e-4 for p = 32. The gradient lacks the radial part, which
    the normalization of the points removes anyway.
    """
    nu = points.shape[-1] / 2 - 1
    cosine = points @ normalize(mean, dim=-1).T
    r = (1 + (kappa / nu) ** 2).sqrt()
    a = (2 * kappa * cosine / temperature + temperature**-2) / nu**2
    d = a / ((r**2 + a).sqrt() + r)  # sqrt(r^2 + a) - r without cancellation
    return nu * (d - (d / (1 + r)).log1p()) - (d / r).log1p() / 2 + _debye(1 / (r + d), nu) - _debye(1 / r, nu)


def _debye(t: Tensor, nu: float) -> Tensor:
    """Compute the logarithm of Debye's expansion up to the term in 1 / nu."""
    return ((3 * t - 5 * t**3) / (24 * nu)).log1p()


def robust_contrastive(
    features: Tensor, labels: Tensor, centroids: Tensor, radius: Tensor, temperature: float
) -> Tensor:
    """Compute the loss of centroids that may move by a radius, in nats (Samuel and Chechik 2021, DRO-LT).

    (..., N, d), (N,), (C, d), (C,) -> (...). For each class of the batch, all N images share one softmax of
    -|centroid - v| / T, in which the radius is first added to the distances of the class's own images. The loss is the
    mean of -log p over these images, then over classes. A class that the batch lacks adds nothing.
    """
    own = one_hot(labels, len(centroids)).T  # (C, N)
    # differences, not products: a small distance would lose its digits
    distance = torch.cdist(centroids, features, compute_mode="donot_use_mm_for_euclid_dist")
    log_p = (-(distance + radius.unsqueeze(1) * own) / temperature).log_softmax(-1)
    n = own.sum(1)
    return -((own * log_p).sum(-1) / n.clamp_min(1)).sum(-1) / (n > 0).sum()


def squared_distance(features: Tensor, centers: Tensor) -> Tensor:
    """Compute squared Euclidean distances: (..., N, d), (C, d) -> (..., N, C)."""
    product = features @ centers.T
    return (features.square().sum(-1, keepdim=True) - 2 * product + centers.square().sum(-1)).clamp_min(0)


def large_margin_memory(features: Tensor, labels: Tensor, centers: Tensor, repel: float, margin: float) -> Tensor:
    """Compute the loss that draws features to their class center and away from all other centers (Liu et al. 2019, OLTR).

    (..., N, d), (N,), (C, d) -> (...): half the mean squared distance to the own center, plus `repel` times
    max(0, margin - S). S is the sum of squared distances to all other centers over N C, as in the authors' code.
    """
    distance, own = squared_distance(features, centers), one_hot(labels, len(centers))
    attract = (distance * own).sum(-1).mean(-1) / 2
    return attract + repel * (margin - (distance * ~own).mean((-2, -1))).clamp_min(0)
