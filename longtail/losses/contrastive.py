"""Contrastive losses: of instances (InfoNCE), and of classes (PaCo, BCL)."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from longtail.losses.classification import one_hot


def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """InfoNCE of each query with its own key against the queue, in nats (He et al. 2020; ECL, Eq. 9).

    (K, N, d) x 2, (K, Q, d) -> (K, N). All three are expected L2-normalized; gradients flow into whatever requires them.
    """
    positive = (query * key).sum(-1, keepdim=True)
    negative = query @ queue.transpose(-1, -2)
    logits = torch.cat([positive, negative], -1) / temperature
    first = torch.zeros(logits.shape[:-1], dtype=torch.long, device=logits.device)
    return cross_entropy(logits.flatten(0, -2), first.flatten(), reduction="none").view(first.shape)


def parametric_contrastive(
    query: Tensor,
    keys: Tensor,
    labels: Tensor,
    key_labels: Tensor,
    centers: Tensor,
    alpha: float,
    temperature: float,
) -> Tensor:
    """Supervised contrast in which the class centers take part as further keys, in nats (Cui et al. 2021, PaCo).

    (..., N, d), (..., M, d), (N,), (M,), centers as logits (..., N, C) -> (..., N). The other queries are keys too. A
    positive key weighs alpha and the center of the label 1; the weights are divided by their sum. L2-normalized inputs.
    """
    others, owners = torch.cat([query, keys], -2), torch.cat([labels, key_labels])
    itself = torch.eye(len(labels), len(owners), dtype=torch.bool, device=labels.device)
    similar = (query @ others.transpose(-1, -2) / temperature).masked_fill(itself, -torch.inf)
    log_p = torch.cat([centers, similar], -1).log_softmax(-1)
    positive = (labels.unsqueeze(1) == owners) & ~itself
    weight = torch.cat([one_hot(labels, centers.shape[-1]), alpha * positive], -1)
    # the authors' code divides by the sum of the weights, which the paper does not print; its alpha belongs to that
    return -(weight * log_p.masked_fill(weight == 0, 0.0)).sum(-1) / weight.sum(-1)


def balanced_contrastive(features: Tensor, labels: Tensor, prototypes: Tensor, temperature: float) -> Tensor:
    """Supervised contrast in which every class counts once, in nats (Zhu et al. 2022, BCL).

    (..., M, d), (M,), (..., C, d) -> (..., M). Prototypes complete the classes that the batch lacks; in the denominator a
    class is the mean of its members, the anchor itself left out, as in the authors' code. L2-normalized inputs.
    """
    classes = torch.arange(prototypes.shape[-2], device=labels.device)
    others, owners = torch.cat([features, prototypes], -2), torch.cat([labels, classes])
    itself = torch.eye(len(labels), len(owners), dtype=torch.bool, device=labels.device)
    similar = features @ others.transpose(-1, -2) / temperature
    same = labels.unsqueeze(1) == owners
    members = (owners.unsqueeze(1) == owners).sum(1) - same.int()  # of the class of each other, without the anchor
    everyone = (similar - members.log()).masked_fill(itself, -torch.inf).logsumexp(-1, keepdim=True)
    positive = same & ~itself
    return ((everyone - similar) * positive).sum(-1) / positive.sum(-1)
