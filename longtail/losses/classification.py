"""Cross-entropy and its balanced form (Ren et al. 2020; Menon et al. 2021; ECL, Eq. 3-4)."""

import torch
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the cross-entropy of each sample, in nats.

    (..., N, C), (N,) -> (..., N)
    """
    index = labels.expand(logits.shape[:-1]).unsqueeze(-1)
    return -logits.log_softmax(-1).gather(-1, index).squeeze(-1)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Encode labels as one-hot rows: (N,) -> (N, C) bool.

    `torch.nn.functional.one_hot` reads the labels back to check them, which a captured step cannot do.
    """
    return labels.unsqueeze(-1) == torch.arange(classes, device=labels.device)


def balanced_cross_entropy(logits: Tensor, labels: Tensor, log_prior: Tensor, tau: float = 1.0) -> Tensor:
    """Compute the cross-entropy of logits shifted by tau times the log class prior, in nats (ECL, Eq. 3).

    (..., N, C), (N,), (C,) -> (..., N). For a target prior t that is not uniform, pass log_prior - log t.
    """
    return cross_entropy(logits + tau * log_prior, labels)


def adjust_logits(logits: Tensor, log_prior: Tensor, tau: float = 1.0, log_target: Tensor | None = None) -> Tensor:
    """Move logits that were learned under one class prior to another, after training (ECL, Eq. 4).

    (..., N, C), (C,), optional (C,) -> (..., N, C). Without log_target the target is uniform, and its constant is omitted.
    """
    shift = log_prior if log_target is None else log_prior - log_target
    return logits - tau * shift
