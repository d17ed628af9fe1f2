"""Contrastive losses: between instances (InfoNCE: He et al. 2020), and between classes.

PaCo is by Cui et al. 2021, BCL by Zhu et al. 2022, SSD by Li et al. 2021, supervised contrast by Khosla et al. 2020.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from longtail.losses.classification import one_hot


def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Compute InfoNCE of each query with its key against the queue, in nats (He et al. 2020; ECL, Eq. 9).

    (K, N, d) x 2, (K, Q, d) -> (K, N). All three are expected L2-normalized; gradients reach every input that asks for them.
    """
    positive = (query * key).sum(-1, keepdim=True)
    negative = query @ queue.transpose(-1, -2)
    logits = torch.cat([positive, negative], -1) / temperature
    target = torch.zeros(logits.shape[:-1], dtype=torch.long, device=logits.device)  # the positive is column 0
    return cross_entropy(logits.flatten(0, -2), target.flatten(), reduction="none").view(target.shape)


def guided_nce(
    query: Tensor, key: Tensor, queue: Tensor, labels: Tensor, queue_labels: Tensor, temperature: float
) -> Tensor:
    """Compute InfoNCE without the queue keys of the query's own class, in nats (Li et al. 2021, SSD).

    (K, N, d) x 2, (K, Q, d), (N,), (Q,) -> (K, N). L2-normalized inputs.
    """
    positive = (query * key).sum(-1, keepdim=True)
    negative = (query @ queue.transpose(-1, -2)).masked_fill(labels.unsqueeze(1) == queue_labels, -torch.inf)
    return -(torch.cat([positive, negative], -1) / temperature).log_softmax(-1)[..., 0]


def parametric_contrastive(
    query: Tensor,
    keys: Tensor,
    labels: Tensor,
    key_labels: Tensor,
    centers: Tensor,
    alpha: float,
    temperature: float,
) -> Tensor:
    """Compute the supervised contrastive loss with class centers as further keys, in nats (Cui et al. 2021, PaCo).

    (..., N, d), (..., M, d), (N,), (M,), centers as logits (..., N, C) -> (..., N). The other queries are keys too. A
    positive key weighs alpha and the center of the label 1; the weights are divided by their sum. L2-normalized inputs.
    """
    candidates, candidate_labels = torch.cat([query, keys], -2), torch.cat([labels, key_labels])
    is_self = torch.eye(len(labels), len(candidate_labels), dtype=torch.bool, device=labels.device)
    similarity = (query @ candidates.transpose(-1, -2) / temperature).masked_fill(is_self, -torch.inf)
    log_p = torch.cat([centers, similarity], -1).log_softmax(-1)
    is_positive = (labels.unsqueeze(1) == candidate_labels) & ~is_self
    weight = torch.cat([one_hot(labels, centers.shape[-1]), alpha * is_positive], -1)
    # The authors' code divides by the sum of the weights. The paper does not print this, but its alpha assumes it.
    # 0 * -inf of a query with itself is nan, hence the fill.
    return -(weight * log_p.masked_fill(weight == 0, 0.0)).sum(-1) / weight.sum(-1)


def balanced_contrastive(features: Tensor, labels: Tensor, prototypes: Tensor, temperature: float) -> Tensor:
    """Compute the supervised contrastive loss in which every class counts once, in nats (Zhu et al. 2022, BCL).

    (..., M, d), (M,), (..., C, d) -> (..., M). Prototypes stand in for classes that the batch lacks. In the denominator a
    class is the mean of its members; the anchor is not a member, as in the authors' code. L2-normalized inputs.
    """
    classes = torch.arange(prototypes.shape[-2], device=labels.device)
    candidates, candidate_labels = torch.cat([features, prototypes], -2), torch.cat([labels, classes])
    is_self = torch.eye(len(labels), len(candidate_labels), dtype=torch.bool, device=labels.device)
    similarity = features @ candidates.transpose(-1, -2) / temperature
    is_same_class = labels.unsqueeze(1) == candidate_labels
    # size of each candidate's class, less the anchor where the anchor belongs to it
    class_size = (candidate_labels.unsqueeze(1) == candidate_labels).sum(1) - is_same_class.int()
    # exp(s - log size) summed over candidates is the sum of class means
    denominator = (similarity - class_size.log()).masked_fill(is_self, -torch.inf).logsumexp(-1, keepdim=True)
    is_positive = is_same_class & ~is_self
    return ((denominator - similarity) * is_positive).sum(-1) / is_positive.sum(-1)


def supervised_contrastive(features: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Compute the supervised contrastive loss of each point against all others, in nats (Khosla et al. 2020).

    (..., M, d), (M,) -> (..., M), the mean over the other points of the same class; 0 for a point that has none.
    L2-normalized features.
    """
    is_self = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    similarity = features @ features.transpose(-1, -2) / temperature
    log_p = similarity.masked_fill(is_self, -torch.inf).log_softmax(-1)
    is_positive = (labels.unsqueeze(1) == labels) & ~is_self
    # 0 * -inf of a point with itself is nan, hence the fill
    return -log_p.masked_fill(~is_positive, 0.0).sum(-1) / is_positive.sum(-1).clamp_min(1)
