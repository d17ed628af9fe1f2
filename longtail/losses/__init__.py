"""Losses as pure functions of tensors; they take any leading axes, so K experts need no loop."""

from longtail.losses.classification import adjust_logits, balanced_cross_entropy, cross_entropy
from longtail.losses.contrastive import info_nce
from longtail.losses.distillation import hard_categories, pairwise_kl, transfer_weight

__all__ = [
    "adjust_logits",
    "balanced_cross_entropy",
    "cross_entropy",
    "hard_categories",
    "info_nce",
    "pairwise_kl",
    "transfer_weight",
]
