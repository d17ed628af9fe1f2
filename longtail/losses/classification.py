"""Cross-entropy and its balanced form (Ren et al. 2020; Menon et al. 2021; ECL, Eq. 3-4)."""

import torch
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Plain cross-entropy, in nats.

    (..., N, C), (N,) -> (..., N)
    """
    picked = labels.expand(logits.shape[:-1]).unsqueeze(-1)
    return -logits.log_softmax(-1).gather(-1, picked).squeeze(-1)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """(N,) -> (N, C) bool. Torch's own reads the labels back to check them, which a captured step cannot."""
    return labels.unsqueeze(-1) == torch.arange(classes, device=labels.device)


def balanced_cross_entropy(logits: Tensor, labels: Tensor, log_prior: Tensor, tau: float = 1.0) -> Tensor:
    """Cross-entropy of the logits shifted by tau times the log class prior, in nats (ECL, Eq. 3).

    (..., N, C), (N,), (C,) -> (..., N). With a target prior t other than uniform, pass log_prior - log t.
    """
    return cross_entropy(logits + tau * log_prior, labels)


def adjust_logits(logits: Tensor, log_prior: Tensor, tau: float = 1.0, log_target: Tensor | None = None) -> Tensor:
    """Move logits learnt under one class prior to another, after training (ECL, Eq. 4).

    (..., N, C), (C,), optional (C,) -> (..., N, C). Without log_target the target is uniform, whose constant is left out.
    """
    shift = log_prior if log_target is None else log_prior - log_target
    return logits - tau * shift
