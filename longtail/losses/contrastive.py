"""Contrastive losses."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """InfoNCE of each query with its own key against the queue, in nats (He et al. 2020; ECL, Eq. 9).

    (K, N, d) x 2, (K, Q, d) -> (K, N). All three are expected L2-normalised; gradients flow into whatever requires them.
    """
    positive = (query * key).sum(-1, keepdim=True)
    negative = query @ queue.transpose(-1, -2)
    logits = torch.cat([positive, negative], -1) / temperature
    first = torch.zeros(logits.shape[:-1], dtype=torch.long, device=logits.device)
    return cross_entropy(logits.flatten(0, -2), first.flatten(), reduction="none").view(first.shape)
