"""Losses as pure functions of tensors; all take any leading axes, so K experts need no loop."""

from longtail.losses.centers import (
    large_margin_memory,
    robust_contrastive,
    sample_positives,
    squared_distance,
    targeted_contrastive,
    vmf_logits,
)
from longtail.losses.classification import adjust_logits, balanced_cross_entropy, cross_entropy, one_hot
from longtail.losses.contrastive import (
    balanced_contrastive,
    guided_nce,
    info_nce,
    parametric_contrastive,
    supervised_contrastive,
)
from longtail.losses.distillation import (
    divergence_from_mean,
    expert_weight,
    hard_categories,
    pairwise_kl,
    subset_kl,
    tempered_kl,
    transfer_weight,
)
from longtail.losses.margin import gaussian_cloud_size, ldam_margins, subtract_gaussian_cloud, subtract_margin
from longtail.losses.reweight import (
    effective_number_weights,
    focal_loss,
    inverse_frequency_weights,
    lade_regularizer,
    prediction_change,
    smoothed_cross_entropy,
    weighted_mean,
)

__all__ = [
    "adjust_logits",
    "balanced_contrastive",
    "balanced_cross_entropy",
    "cross_entropy",
    "divergence_from_mean",
    "effective_number_weights",
    "expert_weight",
    "focal_loss",
    "gaussian_cloud_size",
    "guided_nce",
    "hard_categories",
    "info_nce",
    "inverse_frequency_weights",
    "lade_regularizer",
    "large_margin_memory",
    "ldam_margins",
    "one_hot",
    "pairwise_kl",
    "parametric_contrastive",
    "prediction_change",
    "robust_contrastive",
    "sample_positives",
    "smoothed_cross_entropy",
    "squared_distance",
    "subset_kl",
    "subtract_gaussian_cloud",
    "subtract_margin",
    "supervised_contrastive",
    "targeted_contrastive",
    "tempered_kl",
    "transfer_weight",
    "vmf_logits",
    "weighted_mean",
]
