from .accuracy import class_accuracy, group_accuracy, shot_group
from .calibration import expected_calibration_error, reliability
from .conformal import (
    aps_scores,
    compute_scores,
    conformal_threshold,
    fewest_images,
    interpolate_thresholds,
    lac_scores,
    largest_score,
    mondrian_thresholds,
    pas_scores,
    prediction_sets,
    raps_scores,
)
from .distance import feature_distance
from .names import GROUPS, METRICS, SCORES, THRESHOLDS
from .recalibration import apply_temperature, estimate_prior, fit_bias_corrected, fit_temperature
from .summary import summarize

__all__ = [
    "GROUPS",
    "METRICS",
    "SCORES",
    "THRESHOLDS",
    "apply_temperature",
    "aps_scores",
    "class_accuracy",
    "compute_scores",
    "conformal_threshold",
    "estimate_prior",
    "expected_calibration_error",
    "feature_distance",
    "fewest_images",
    "fit_bias_corrected",
    "fit_temperature",
    "group_accuracy",
    "interpolate_thresholds",
    "lac_scores",
    "largest_score",
    "mondrian_thresholds",
    "pas_scores",
    "prediction_sets",
    "raps_scores",
    "reliability",
    "shot_group",
    "summarize",
]
